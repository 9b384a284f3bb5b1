package cli

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

const jsonType = "application/json"

// TestOddIssuers_refusedWithSuccess: an error in the answer with the status of a success, as
// GitHub gives. It is a refusal at each endpoint. A grant that was not revoked is kept.
func TestOddIssuers_refusedWithSuccess(t *testing.T) {
	for _, tt := range []struct {
		body, says, hint string
		code             int
	}{
		{`{"error":"invalid_client","error_description":"No client"}`, `invalid_client "No client"`, "profile set-secret", exitRefused},
		{`{"error":"unsupported_token_type"}`, "unsupported_token_type", "t2-cred erase --local-only --profile gep", exitRefused},
		{`{"error":"server_error"}`, "server_error", "", exitUnreachable},
		{"\ufeff" + `{"error":"access_denied"}`, "access_denied", "", exitRefused},
		{`{"error":"invalid_token"}`, "erased here, not revoked", "", exitOK}, // Keycloak's
		{`{"error":""}`, "revoked and erased", "", exitOK},
		{`{"revoked":true}`, "revoked and erased", "", exitOK},
	} {
		h := newHomeWith(t, oidctest.Neutral())
		h.addProfile(allScopes)
		h.works("exchange", "--token-file", h.userToken("alice"))
		h.issuer.Inject(answers(oidctest.Revocation, "", http.StatusOK, jsonType, tt.body))
		if tt.code != exitOK {
			h.fails(tt.code, tt.says, tt.hint, "erase")
			h.works("get", "--fresh")
		} else if h.works("erase"); !strings.Contains(h.stderr.String(), tt.says) {
			t.Errorf("%s: it says %s", tt.body, h.stderr.String())
		}
		h.check()
	}
	h := newHomeWith(t, oidctest.Neutral())
	h.addProfile(allScopes)
	h.works("exchange", "--token-file", h.userToken("alice"))
	h.issuer.Inject(answers(oidctest.Introspect, "", http.StatusOK, jsonType, `{"error":"invalid_scope","error_description":"No introspection"}`))
	h.works("status", "--check")
	if out := h.stdout.String(); !strings.Contains(out, `cannot tell: invalid_scope "No introspection"`) {
		t.Errorf("status --check says %s", out)
	}
	h.check()
}

// TestOddIssuers_redirects: an endpoint that redirects, as to a login page. Neither a secret nor
// a token follows, and the message says where it leads.
func TestOddIssuers_redirects(t *testing.T) {
	h := newHomeWith(t, oidctest.Neutral())
	h.addProfile(allScopes)
	h.works("exchange", "--token-file", h.userToken("alice"))
	for _, status := range []int{302, 303, 307, 308} {
		for _, e := range []oidctest.Endpoint{oidctest.Revocation, oidctest.Introspect, oidctest.Token} {
			remove := h.issuer.Inject(oidctest.Fault{Name: "moved", Endpoint: e, Before: func(c *oidctest.Call) *oidctest.Answer {
				return &oidctest.Answer{Status: status, Header: http.Header{"Location": {h.issuer.OtherURL() + "/login"}}}
			}})
			switch e {
			case oidctest.Revocation:
				h.fails(exitUnreachable, "it redirects to "+h.issuer.OtherURL()+"/login, which is not followed", "let requests through to "+h.issuer.URL(), "erase")
			case oidctest.Introspect:
				if h.works("status", "--check"); !strings.Contains(h.stdout.String(), "it redirects to") {
					t.Errorf("status --check says %s", h.stdout.String())
				}
			default:
				h.fails(exitUnreachable, "the token endpoint redirects to "+h.issuer.OtherURL(), "", "get", "--fresh")
			}
			remove()
			h.works("get", "--fresh")
		}
	}
	h.check()
}

// TestOddIssuers_compressed: answers that are compressed although the headers do not say so, or by
// another name, or begin with a byte order mark.
func TestOddIssuers_compressed(t *testing.T) {
	zip := func(b []byte) []byte {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, _ = w.Write(b)
		_ = w.Close()
		return packed.Bytes()
	}
	for name, change := range map[string]func(a *oidctest.Answer){
		"in silence": func(a *oidctest.Answer) { a.Body = zip(a.Body) },
		"gzip":       func(a *oidctest.Answer) { a.Body = zip(a.Body); a.Header.Set("Content-Encoding", "gzip") },
		"x-gzip":     func(a *oidctest.Answer) { a.Body = zip(a.Body); a.Header.Set("Content-Encoding", "x-gzip") },
		"a mark":     func(a *oidctest.Answer) { a.Body = append([]byte("\ufeff"), a.Body...) },
	} {
		h := newHomeWith(t, oidctest.Neutral())
		for _, e := range []oidctest.Endpoint{oidctest.Discovery, oidctest.JWKS, oidctest.Token, oidctest.Introspect, oidctest.Revocation} {
			h.issuer.Inject(oidctest.Fault{Name: name, Endpoint: e, After: func(_ *oidctest.Call, a *oidctest.Answer) {
				if len(a.Body) > 0 {
					change(a)
				}
			}})
		}
		h.works(h.add(h.issuer.URL())...)
		for _, args := range [][]string{{"exchange", "--token-file", h.userToken("alice")}, {"get", "--fresh"}, {"claims"}} {
			h.works(args...)
		}
		if h.works("status", "--check"); strings.Contains(h.stdout.String(), "cannot tell") {
			t.Errorf("%s: status --check says %s", name, h.stdout.String())
		}
		h.works("erase")
		h.check()
	}
}

// TestOddIssuers_framework: the default answers of web frameworks for an address that they do not
// serve. They are nobody's refusal. A client that is refused with 401 is refused.
func TestOddIssuers_framework(t *testing.T) {
	const through = "that is no OAuth error, so a gateway before the issuer may have answered"
	h := newHomeWith(t, oidctest.Neutral())
	h.addProfile(allScopes)
	h.works("exchange", "--token-file", h.userToken("alice"))
	for _, tt := range []struct {
		status           int
		body, says, hint string
		code             int
	}{
		{404, `{"timestamp":"2026-11-30T18:00:00.000+00:00","status":404,"error":"Not Found","path":"/oauth2/token"}`, "HTTP 404 Not Found", through, exitUnreachable},
		{403, `{"timestamp":1796063538000,"status":403,"error":"Forbidden","message":"Access Denied","path":"/oauth2/token"}`, `HTTP 403 Forbidden "Access Denied"`, through, exitUnreachable},
		{404, `{"message":"Route POST:/token not found","error":"Not Found","statusCode":404}`, `HTTP 404 Not Found "Route POST:/token not found"`, through, exitUnreachable},
		{405, `{"statusCode":405,"error":"Method Not Allowed"}`, "HTTP 405 Method Not Allowed", through, exitUnreachable},
		{500, `{"status":500,"error":"Internal Server Error"}`, "HTTP 500", "", exitUnreachable},
		{401, `{"status":401,"error":"Unauthorized","message":"Unauthorized","path":"/oauth/token"}`, "Unauthorized", "profile set-secret", exitRefused},
		{400, `{"status":400,"error":"invalid_scope"}`, "invalid_scope", "take the scope out", exitRefused},
		{400, `{"error":"TEMPORARILY_UNAVAILABLE"}`, "TEMPORARILY_UNAVAILABLE", "", exitUnreachable},
	} {
		remove := h.issuer.Inject(answers(oidctest.Token, "refresh_token", tt.status, jsonType, tt.body))
		h.fails(tt.code, tt.says, tt.hint, "get", "--fresh")
		remove()
		h.works("get", "--fresh")
	}
	h.check()
}
