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

// TestOddAddress_noSuchPath: the issuer has its document at RFC 8414's place, and a gateway before
// it answers with something else than 404 at addresses that it does not know. Where
// both places are refused, the first answer is shown.
func TestOddAddress_noSuchPath(t *testing.T) {
	for name, tt := range map[string]struct {
		status     int
		kind, body string
		code       int // where neither place has it
		says       string
	}{
		"AWS API Gateway":     {403, jsonType, `{"message":"Missing Authentication Token"}`, exitRefused, "Missing Authentication Token"},
		"a bucket":            {403, "application/xml", `<Error><Code>AccessDenied</Code></Error>`, exitRefused, "HTTP 403"},
		"a strict framework":  {400, jsonType, `{"error":"bad_request"}`, exitRefused, "bad_request"},
		"a login is wanted":   {401, "text/plain", "no", exitRefused, "HTTP 401"},
		"gone":                {410, "text/plain", "no", exitRefused, "HTTP 410"},
		"a page for all":      {200, "text/html", `<!doctype html><div id="root"></div>`, exitUnreachable, "did not answer with JSON"},
		"the one that is due": {404, "text/plain", "no", exitConfig, "no OpenID provider at"},
	} {
		h := newHomeWith(t, oidctest.Neutral(), oidctest.OnlyRFC8414())
		unknown := oidctest.Fault{Name: name, Endpoint: "unknown", Before: func(*oidctest.Call) *oidctest.Answer {
			return &oidctest.Answer{Status: tt.status, Header: http.Header{"Content-Type": {tt.kind}}, Body: []byte(tt.body)}
		}}
		h.issuer.Inject(unknown)
		gone := unknown
		gone.Endpoint = oidctest.Discovery // which is of both places
		remove := h.issuer.Inject(gone)
		h.fails(tt.code, tt.says, "", h.add(h.issuer.URL())...)
		remove()
		h.works(h.add(h.issuer.URL())...)
		h.forgetDocuments()
		h.works("exchange", "--token-file", h.userToken("alice"))
		h.check()
	}
	h := newHomeWith(t, oidctest.Neutral(), oidctest.OnlyRFC8414())
	h.issuer.Inject(oidctest.Fault{Name: "overloaded", Endpoint: "unknown", Before: func(*oidctest.Call) *oidctest.Answer {
		return &oidctest.Answer{Status: http.StatusServiceUnavailable}
	}})
	h.fails(exitUnreachable, "HTTP 503", "", h.add(h.issuer.URL())...)
}

// TestOddIssuers_mediaType: a server that gives keys as application/jwk-set+json alone, and
// refuses requests that do not accept that.
func TestOddIssuers_mediaType(t *testing.T) {
	h := newHomeWith(t, oidctest.Neutral())
	h.addProfile(allScopes)
	const kind = "application/jwk-set+json"
	h.issuer.Inject(oidctest.Fault{
		Name: "strict", Endpoint: oidctest.JWKS,
		Before: func(c *oidctest.Call) *oidctest.Answer {
			if !strings.Contains(c.Request.Header.Get("Accept"), kind) {
				return &oidctest.Answer{Status: http.StatusNotAcceptable}
			}
			return nil
		},
		After: func(_ *oidctest.Call, a *oidctest.Answer) { a.Header.Set("Content-Type", kind+";charset=UTF-8") },
	})
	for _, args := range [][]string{{"exchange", "--token-file", h.userToken("alice")}, {"get", "--fresh"}, {"claims"}, {"doctor"}} {
		h.works(args...)
	}
	h.check()
}
