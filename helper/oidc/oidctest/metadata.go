package oidctest

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
)

// serveMetadata is OpenID Connect Discovery 1.0 §4.2 and RFC 8414 §3.2.
func (c *Call) serveMetadata() Answer {
	i := c.Issuer
	i.mu.Lock()
	if p := i.conf.preset; p != nil {
		object := p.document(i)
		i.mu.Unlock()
		return c.document(object)
	}
	alg, algs, introspection, unlisted := i.conf.alg, i.conf.authAlgs, i.conf.introspection, i.conf.unlisted
	auth := []string{"client_secret_basic", "client_secret_post", "private_key_jwt", "client_secret_jwt"}
	if i.conf.listed != nil {
		auth = i.conf.listed
	}
	i.mu.Unlock()
	object := map[string]any{
		"issuer":                 i.url,
		"authorization_endpoint": i.url + "/protocol/openid-connect/auth",
		"token_endpoint":         i.endpoint(Token),
		"jwks_uri":               i.endpoint(JWKS),
		"revocation_endpoint":    i.endpoint(Revocation),
		"end_session_endpoint":   i.url + "/protocol/openid-connect/logout",
		"userinfo_endpoint":      i.url + "/protocol/openid-connect/userinfo",
		"introspection_endpoint": i.endpoint(Introspect),

		"grant_types_supported":                      []string{"authorization_code", "refresh_token", grantExchange},
		"response_types_supported":                   []string{"code", "none"},
		"response_modes_supported":                   []string{"query", "fragment", "form_post"},
		"subject_types_supported":                    []string{"public", "pairwise"},
		"id_token_signing_alg_values_supported":      []string{alg},
		"token_endpoint_auth_methods_supported":      auth,
		"revocation_endpoint_auth_methods_supported": auth,

		"token_endpoint_auth_signing_alg_values_supported": algs,
		"scopes_supported":                 []string{"openid", "profile", "email", "offline_access", "ellip", "gep"},
		"claims_supported":                 []string{"iss", "sub", "aud", "exp", "iat", "name", "preferred_username", "email"},
		"code_challenge_methods_supported": []string{"plain", "S256"},
		"claims_parameter_supported":       true,
		"request_parameter_supported":      true,
		"require_request_uri_registration": true,
	}
	if c.Request.TLS != nil {
		object["mtls_endpoint_aliases"] = map[string]any{
			"token_endpoint": i.alias(Token), "revocation_endpoint": i.alias(Revocation), "introspection_endpoint": i.alias(Introspect),
		}
	}
	if i.conf.node {
		object["authorization_endpoint"] = i.url + "/auth"
	}
	if introspection == IntrospectionNone {
		delete(object, "introspection_endpoint")
	}
	if unlisted {
		object["grant_types_supported"] = []string{"authorization_code", "refresh_token"}
	}
	return c.document(object)
}

// serveKeys is the JWK set (RFC 7517 §5).
func (c *Call) serveKeys() Answer {
	c.Issuer.mu.Lock()
	keys := c.Issuer.keys.published()
	if p := c.Issuer.conf.preset; p != nil {
		keys = slices.DeleteFunc(keys, func(jwk map[string]any) bool { return jwk["use"] == "enc" })
		for _, jwk := range keys {
			without("x5c", "x5t#S256")(jwk)
			if p.key != nil {
				p.key(jwk)
			}
		}
	}
	c.Issuer.mu.Unlock()
	return c.document(map[string]any{"keys": keys})
}

// document is a public document that a client may keep.
func (c *Call) document(object map[string]any) Answer {
	if m := c.Request.Method; m != http.MethodGet && m != http.MethodHead {
		return c.fail(http.StatusMethodNotAllowed, "HTTP 405 Method Not Allowed", "")
	}
	a := c.json(http.StatusOK, object)
	sum := sha256.Sum256(a.Body)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	c.Issuer.mu.Lock()
	a.Header.Set("Cache-Control", c.Issuer.conf.cacheControl)
	c.Issuer.mu.Unlock()
	a.Header.Del("Pragma")
	a.Header.Set("ETag", tag)
	if c.Request.Header.Get("If-None-Match") == tag {
		return Answer{Status: http.StatusNotModified, Header: http.Header{"Etag": {tag}, "Cache-Control": a.Header["Cache-Control"]}}
	}
	return a
}
