package hook

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/safefile"
	"github.com/terradue/t2-cred/helper/secret"
)

// maxCAFile is more than any system's whole list of authorities, in bytes.
const maxCAFile = 4 << 20

// newClient is for requests of a hook's own. It trusts the certificates in caFile, if
// any, beside the system's. It follows no redirect: the token must reach no other server.
func newClient(caFile string) (*http.Client, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		// Whoever may write it decides which servers get a token.
		pem, err := safefile.Read(caFile, safefile.Want{Max: maxCAFile, Trust: safefile.Ours})
		if err != nil {
			return nil, fmt.Errorf("%w: the CA's certificates: %w", ErrUsage, err)
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%w: no PEM certificate in %s", ErrUsage, caFile)
		}
		conf.RootCAs = pool
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy: helper.ProxyFromEnvironment, TLSClientConfig: conf, DialContext: secret.Dial(&net.Dialer{Timeout: 10 * time.Second}),
			TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{}, // no HTTP/2, which GODEBUG can have printed
			TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: 64 << 10,
			DisableCompression: true, // so that a small answer is a small answer
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}
