package helper

import (
	"net/http"
	"net/url"

	"github.com/terradue/t2-cred/helper/oidc"
)

// ProxyFromEnvironment is the proxy for a hook's own request, as for the issuer's. No
// error of it shows the proxy's password.
func ProxyFromEnvironment(req *http.Request) (*url.URL, error) { return oidc.ProxyFromEnvironment(req) }
