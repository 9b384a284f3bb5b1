package oidctest

import (
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
)

// clientAuth is how a request's client proved itself (RFC 6749 §2.3.1).
type clientAuth struct {
	method string // "basic", "post", "none", "both", or empty
	id     string
	secret string
}

func readClientAuth(r *http.Request, form url.Values) clientAuth {
	a := clientAuth{id: form.Get("client_id"), secret: form.Get("client_secret")}
	switch {
	case a.secret != "":
		a.method = "post"
	case a.id != "":
		a.method = "none"
	}
	id, secret, ok := r.BasicAuth()
	if !ok {
		return a
	}
	if a.method == "post" || a.id != "" && a.id != formDecode(id) {
		a.method = "both"
		return a
	}
	return clientAuth{method: "basic", id: formDecode(id), secret: formDecode(secret)}
}

// formDecode undoes the encoding that RFC 6749 §2.3.1 has around the two parts
// of basic authentication.
func formDecode(s string) string {
	if d, err := url.QueryUnescape(s); err == nil {
		return d
	}
	return s
}

// authenticate finds out the client, or answers as Keycloak does.
func (c *Call) authenticate() (client string, refused *Answer) {
	i := c.Issuer
	i.mu.Lock()
	secret, required := i.conf.secret, i.conf.authMethod
	i.mu.Unlock()
	refuse := func(status int, code, description string) (string, *Answer) {
		a := c.fail(status, code, description)
		return "", &a
	}
	const invalid = "Invalid client or Invalid client credentials"
	switch {
	case c.auth.method == "both":
		return refuse(http.StatusBadRequest, "invalid_request", "more than one way of client authentication")
	case c.auth.id == PortalID && c.auth.method == "none":
		return PortalID, nil
	case c.auth.id == PortalID:
		return refuse(http.StatusUnauthorized, "unauthorized_client", invalid)
	case c.auth.id != ClientID:
		return refuse(http.StatusUnauthorized, "invalid_client", invalid)
	case c.auth.method == "none":
		return refuse(http.StatusUnauthorized, "unauthorized_client", invalid)
	case required != "" && required != "client_secret_"+c.auth.method:
		return refuse(http.StatusUnauthorized, "unauthorized_client",
			"Invalid method used to get client secret. Client requires method '"+required+"' to obtain client secret from the request")
	case subtle.ConstantTimeCompare([]byte(c.auth.secret), []byte(secret)) != 1:
		return refuse(http.StatusUnauthorized, "unauthorized_client", invalid)
	}
	return ClientID, nil
}

// secretsOf are the secrets that a request carried, in each way it was written.
func secretsOf(c *Call) []string {
	var all []string
	for _, name := range secretParameters {
		all = append(all, c.Form[name]...)
	}
	if c.auth.method == "basic" {
		all = append(all, c.auth.secret)
	}
	if scheme, rest, ok := strings.Cut(c.Request.Header.Get("Authorization"), " "); ok {
		all = append(all, rest)
		if raw, err := base64.StdEncoding.DecodeString(rest); err == nil && strings.EqualFold(scheme, "basic") {
			_, secret, _ := strings.Cut(string(raw), ":")
			all = append(all, secret)
		}
	}
	return all
}
