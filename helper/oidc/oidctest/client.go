package oidctest

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// clientAuth is how a request's client proved itself (RFC 6749 §2.3.1).
type clientAuth struct {
	// method is "basic", "post", "none", "private_key_jwt", "client_secret_jwt", "tls",
	// "both", or empty.
	method    string
	id        string
	secret    string
	kind      string // client_assertion_type
	assertion string
	cert      []byte // DER
}

func readClientAuth(r *http.Request, form url.Values) clientAuth {
	a := clientAuth{
		id: form.Get("client_id"), secret: form.Get("client_secret"),
		kind: form.Get("client_assertion_type"), assertion: form.Get("client_assertion"),
	}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		a.cert = r.TLS.PeerCertificates[0].Raw
	}
	switch {
	case a.assertion != "" && (a.secret != "" || r.Header.Get("Authorization") != ""):
		a.method = "both"
		return a
	case a.assertion != "":
		a.method = "private_key_jwt"
		if head, _, _ := strings.Cut(a.assertion, "."); strings.Contains(formDecodeBase64(head), `"HS`) {
			a.method = "client_secret_jwt"
		}
		return a
	case a.secret != "":
		a.method = "post"
	case a.id != "" && a.cert != nil:
		a.method = "tls"
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

func formDecodeBase64(s string) string {
	b, _ := base64.RawURLEncoding.DecodeString(s) // what it is not is refused later
	return string(b)
}

// authenticate finds out the client, or answers as Keycloak does.
func (c *Call) authenticate() (client string, refused *Answer) {
	i := c.Issuer
	i.mu.Lock()
	secret, required := i.conf.secret, i.conf.authMethod
	i.mu.Unlock()
	if required == "tls_client_auth" || required == "self_signed_tls_client_auth" {
		required = "tls"
	}
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
	case required != "" && required != c.auth.method && required != "client_secret_"+c.auth.method && (required == "tls" || strings.HasSuffix(required, "_jwt")):
		return refuse(http.StatusUnauthorized, "invalid_client", "Client authentication is by "+required+" only")
	case (c.auth.method == "tls") != c.aliased:
		return refuse(http.StatusUnauthorized, "invalid_client", "A certificate is for the mtls_endpoint_aliases, and they are for a certificate")
	case c.auth.method == "tls":
		i.mu.Lock()
		defer i.mu.Unlock()
		if !bytes.Equal(c.auth.cert, i.clientCert) {
			return refuse(http.StatusUnauthorized, "invalid_client", proofError(c.auth.method, errors.New("the certificate is another's")))
		}
		return ClientID, nil
	case c.auth.assertion != "":
		i.mu.Lock()
		defer i.mu.Unlock()
		if err := i.checkAssertion(c.auth); err != nil {
			return refuse(http.StatusUnauthorized, "invalid_client", proofError(c.auth.method, err))
		}
		return ClientID, nil
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
		for _, value := range c.Form[name] {
			if value != noToken { // a constant of the program, which its file holds
				all = append(all, value)
			}
		}
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
