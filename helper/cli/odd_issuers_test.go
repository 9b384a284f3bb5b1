package cli

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// A gateway's page, as a firewall before the issuer answers what it does not like.
const gatewayPage = `<html><head><title>403 Forbidden</title></head><body><center><h1>403 Forbidden</h1></center><hr><center>Application-Gateway/v2</center></body></html>`

const allScopes = "openid email profile offline_access ellip gep"

// answers stands for an endpoint of the issuer.
func answers(e oidctest.Endpoint, grant string, status int, kind, body string) oidctest.Fault {
	return oidctest.Fault{Name: "answers", Endpoint: e, Grant: grant, Before: func(*oidctest.Call) *oidctest.Answer {
		return &oidctest.Answer{Status: status, Header: http.Header{"Content-Type": {kind}}, Body: []byte(body)}
	}}
}

// inTokens edits all answers with tokens.
func inTokens(change func(answer map[string]any)) oidctest.Fault {
	return oidctest.Fault{Name: "in tokens", Endpoint: oidctest.Token, Edit: func(_ *oidctest.Call, answer map[string]any) {
		if answer["access_token"] != nil {
			change(answer)
		}
	}}
}

// message and hint are the two lines of a failure.
func (h *home) message() (message, hint string) {
	_, said, _ := strings.Cut(h.stderr.String(), "t2-cred: ")
	message, hint, _ = strings.Cut(said, "\nhint: ")
	return strings.TrimSpace(message), strings.TrimSpace(hint)
}

// fails wants a command to end so, with these words in its message and in its hint.
func (h *home) fails(code int, says, hint string, args ...string) {
	h.t.Helper()
	got := h.run(args...)
	message, remedy := h.message()
	if got != code || !strings.Contains(message, says) || !strings.Contains(remedy, hint) || strings.Contains(message, "\n") && !strings.Contains(message, "level=") {
		h.t.Errorf("%q ends with %d, want %d, %q and %q: %s\nhint: %s", args, got, code, says, hint, message, remedy)
	}
}

func (h *home) works(args ...string) {
	h.t.Helper()
	if code := h.run(args...); code != exitOK {
		h.t.Fatalf("%q ends with %d: %s", args, code, h.stderr.String())
	}
}

// TestOddIssuers_scopeForms: the scopes of an answer in a form that some issuers have. They
// are those that were asked for. So nothing is said to be missing, a required one is there,
// and a refresh token with an end is no online one.
func TestOddIssuers_scopeForms(t *testing.T) {
	for name, tt := range map[string]struct {
		scope any
		kept  string
	}{
		"commas, as GitHub":                 {strings.ReplaceAll(allScopes, " ", ","), allScopes},
		"commas and spaces":                 {strings.ReplaceAll(allScopes, " ", ", "), allScopes},
		"a list in one entry":               {[]string{allScopes}, allScopes},
		"some of them twice":                {"openid " + allScopes + " gep", allScopes},
		"empty, which is none of the RFCs'": {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHomeWith(t, oidctest.Neutral())
			h.addProfile(allScopes)
			if tt.kept != "" {
				h.setInProfile(`required_scopes = ["gep", "offline_access"]`)
			}
			h.issuer.Inject(inTokens(func(a map[string]any) { a["scope"], a["refresh_expires_in"] = tt.scope, 30*24*3600 }))
			for _, args := range [][]string{{"exchange", "--token-file", h.userToken("alice")}, {"get", "--fresh"}} {
				h.works(args...)
				if said := h.stderr.String(); tt.kept != "" && strings.Contains(said, "warning") {
					t.Errorf("%s says %s", args[0], said)
				}
			}
			h.works("status")
			if out := h.stdout.String(); strings.Contains(out, "those asked for, as the issuer names none") != (tt.kept == "") || strings.Contains(out, "not granted") {
				t.Errorf("status says %s", out)
			}
			if s := h.statusOf(); s.Kind != "offline" || tt.kept != "" && s.Scope != tt.kept {
				t.Errorf("status: %+v", s)
			}
			h.check()
		})
	}
}

// TestOddIssuers_scopesInScp: the answer names no scopes, and the access token names them
// in Okta's and Entra's claim.
func TestOddIssuers_scopesInScp(t *testing.T) {
	for name, scp := range map[string]any{"Okta": strings.Fields(allScopes), "Entra": allScopes} {
		h := newHomeWith(t, oidctest.Neutral())
		h.addProfile(allScopes)
		h.issuer.Inject(inTokens(dropMembers("scope")))
		h.issuer.Inject(oidctest.Fault{Name: "scp", Endpoint: oidctest.Token, Token: func(_ *oidctest.Call, d *oidctest.Draft) {
			access(func(c map[string]any) { delete(c, "scope"); c["scp"] = scp })(d)
		}})
		h.works("exchange", "--token-file", h.userToken("alice"))
		h.works("get", "--fresh")
		if s := h.statusOf(); s.Scope != allScopes {
			t.Errorf("%s: status: %+v", name, s)
		}
		h.check()
	}
}

// TestOddIssuers_onlyTheFirstAnswerTells: opaque tokens, and only the first answer has an ID
// token, scopes and a refresh token. Subject and scopes stay what they were (RFC 6749 §5.1,
// §6).
func TestOddIssuers_onlyTheFirstAnswerTells(t *testing.T) {
	h := newHomeWith(t, oidctest.Neutral(), oidctest.AccessTokens(oidctest.Opaque))
	h.addProfile(allScopes)
	h.works("exchange", "--token-file", h.userToken("alice"))
	fault := inTokens(dropMembers("id_token", "scope", "refresh_token"))
	fault.Grant = "refresh_token"
	h.issuer.Inject(fault)
	for range 2 {
		h.advance(time.Hour)
		h.works("--account", "default", "get", "--format", "json")
		var got struct{ Scope, Subject string }
		if err := json.Unmarshal(h.stdout.Bytes(), &got); err != nil || got.Scope != allScopes || got.Subject != h.issuer.Sub("alice") {
			t.Errorf("%+v, %v", got, err)
		}
		if s := h.statusOf(); s.Scope != allScopes || s.Subject != h.issuer.Sub("alice") || s.Kind != "offline" {
			t.Errorf("status: %+v", s)
		}
	}
}

// TestOddIssuers_tokenType: its case says nothing (RFC 6749 §7.1), and a space beside it
// does not either. Another type is refused.
func TestOddIssuers_tokenType(t *testing.T) {
	for kind, code := range map[string]int{"bEARER": exitOK, "Bearer ": exitOK, "mac": exitVerify} {
		h := newHomeWith(t, oidctest.Neutral())
		h.addProfile(allScopes)
		h.issuer.Inject(inTokens(setMember("token_type", kind)))
		if got := h.run("exchange", "--token-file", h.userToken("alice")); got != code {
			t.Errorf("%q: exchange ends with %d: %s", kind, got, h.stderr.String())
		}
		h.check()
	}
}

// TestOddIssuers_dpop: an answer with a token that is bound to a key (RFC 9449) is refused by
// name, at an exchange and at a refresh. The grant of the refresh is kept.
func TestOddIssuers_dpop(t *testing.T) {
	const hint = "the issuer demands DPoP (RFC 9449) of this client"
	h := newHomeWith(t, oidctest.Neutral(), oidctest.Refresh(oidctest.Revoke))
	h.addProfile(allScopes)
	user := h.userToken("alice")
	bound := inTokens(setMember("token_type", "DPoP"))
	remove := h.issuer.Inject(bound)
	h.fails(exitVerify, "its token_type is DPoP, not Bearer", hint, "exchange", "--token-file", user)
	remove()
	h.works("exchange", "--token-file", user)
	remove = h.issuer.Inject(bound)
	h.fails(exitVerify, "its token_type is DPoP, not Bearer", hint, "get", "--fresh")
	remove()
	h.works("get", "--fresh")
	h.check()
}

// TestOddIssuers_accessTokenWithoutEnd: it has no exp, as tokens for the issuer's own eyes.
// It is refused with what to set in the profile. Then the answer's expires_in counts.
func TestOddIssuers_accessTokenWithoutEnd(t *testing.T) {
	h := newHomeWith(t, oidctest.Neutral())
	h.addProfile(allScopes)
	h.issuer.Inject(oidctest.Fault{Name: "no exp", Endpoint: oidctest.Token, Token: func(_ *oidctest.Call, d *oidctest.Draft) {
		access(func(c map[string]any) { delete(c, "exp") })(d)
	}})
	user := h.userToken("alice")
	h.fails(exitVerify, "it has no exp", `set access_token = "opaque" in the profile`, "exchange", "--token-file", user)
	h.setInProfile(`access_token = "opaque"`)
	h.works("exchange", "--token-file", user)
	h.works("get")
	before := h.issuer.Refreshes()
	h.advance(4 * time.Minute)
	h.works("get")
	h.advance(2 * time.Minute)
	h.works("get")
	if n := h.issuer.Refreshes() - before; n != 1 {
		t.Errorf("%d refreshes in six minutes, with a life of five", n)
	}
	h.check()
}

// TestOddIssuers_tokensOfAnotherSpelling: tokens name the issuer with a slash that its
// document does not have. They are refused, and the hint says who can mend that.
func TestOddIssuers_tokensOfAnotherSpelling(t *testing.T) {
	h := newHomeWith(t, oidctest.Neutral())
	h.addProfile(allScopes)
	remove := h.issuer.Inject(oidctest.Fault{Name: "slash", Endpoint: oidctest.Token, Token: func(_ *oidctest.Call, d *oidctest.Draft) {
		d.Claims["iss"] = d.Claims["iss"].(string) + "/"
	}})
	user := h.userToken("alice")
	h.fails(exitVerify, `iss is "`+h.issuer.URL()+`/"`, "have tokens name the issuer to the letter as its discovery document does", "exchange", "--token-file", user)
	remove()
	h.works("exchange", "--token-file", user)
	h.check()
}

// TestOddIssuers_gateway: a page of a firewall in the place of an answer is nobody's refusal.
// It ends no grant, and the hint says what to look at.
func TestOddIssuers_gateway(t *testing.T) {
	h := newHomeWith(t, oidctest.Neutral())
	h.addProfile(allScopes)
	user := h.userToken("alice")
	page := func(e oidctest.Endpoint, grant string) (remove func()) {
		return h.issuer.Inject(answers(e, grant, http.StatusForbidden, "text/html", gatewayPage))
	}
	through := func(path string) string {
		return "a gateway before the issuer may have answered; try later, or ask the issuer's admin: let requests through to " + h.issuer.URL() + "/protocol/openid-connect" + path
	}
	remove := page(oidctest.Token, "token-exchange")
	h.fails(exitUnreachable, "HTTP 403 Forbidden", through("/token"), "exchange", "--token-file", user)
	remove()
	h.forgetDocuments()
	remove = page(oidctest.JWKS, "")
	h.fails(exitRefused, "jwks: HTTP 403 Forbidden", "let clients read the keys at "+h.issuer.URL(), "exchange", "--token-file", user)
	remove()
	remove = page(oidctest.Introspect, "")
	h.works("exchange", "--token-file", user)
	h.works("get", "--fresh")
	h.works("status", "--check")
	if out := h.stdout.String(); !strings.Contains(out, "cannot tell: HTTP 403 Forbidden") {
		t.Errorf("status --check says %s", out)
	}
	remove()
	remove = page(oidctest.Token, "refresh_token")
	h.fails(exitUnreachable, "the refresh token may have been spent: HTTP 403 Forbidden", through("/token"), "get", "--fresh")
	remove()
	h.works("get", "--fresh")
	remove = page(oidctest.Token, "")
	if code := h.run("doctor"); code != exitUnreachable || !strings.Contains(strings.Join(strings.Fields(h.stdout.String()), " "), through("/token")) {
		t.Errorf("doctor ends with %d: %s", code, h.stdout.String())
	}
	remove()
	remove = page(oidctest.Revocation, "")
	h.fails(exitUnreachable, "erase gep/default: HTTP 403 Forbidden", through("/revoke"), "erase")
	remove()
	h.works("get", "--fresh")
	h.works("erase")
	h.check()
}

// TestOddIssuers_revocation: what servers answer to the revocation of a refresh token. The
// grant is forgotten only where the issuer has ended it or does not know it.
func TestOddIssuers_revocation(t *testing.T) {
	const local = "t2-cred erase --local-only --profile gep"
	for _, tt := range []struct {
		name   string
		answer oidctest.Fault
		code   int
		says   string
		hint   string
	}{
		{"overloaded", answers(oidctest.Revocation, "", 503, "text/html", gatewayPage), exitUnreachable, "HTTP 503", ""},
		{"no such address", answers(oidctest.Revocation, "", 404, "text/html", gatewayPage), exitUnreachable, "HTTP 404", local},
		{"no such method", answers(oidctest.Revocation, "", 405, "text/plain", "no"), exitUnreachable, "HTTP 405", local},
		{"not of this type (RFC 7009 §2.2.1)", answers(oidctest.Revocation, "", 400, jsonType, `{"error":"unsupported_token_type"}`), exitRefused, "unsupported_token_type", local},
		{"the client is refused", answers(oidctest.Revocation, "", 401, jsonType, `{"error":"invalid_client"}`), exitRefused, "invalid_client", "profile set-secret"},
		{"a login is wanted", answers(oidctest.Revocation, "", 401, jsonType, `{"error":"invalid_token"}`), exitRefused, "invalid_token", ""},
		{"a dead one is invalid_token", answers(oidctest.Revocation, "", 400, jsonType, `{"error":"invalid_token"}`), exitOK, "erased here, not revoked", ""},
		{"a dead one is invalid_grant", answers(oidctest.Revocation, "", 400, jsonType, `{"error":"invalid_grant","error_description":"Token is not active"}`), exitOK, "erased here, not revoked", ""},
		{"a page", answers(oidctest.Revocation, "", 200, "text/html", "<html>done</html>"), exitOK, "revoked and erased", ""},
		{"nothing", answers(oidctest.Revocation, "", 204, "", ""), exitOK, "revoked and erased", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHomeWith(t, oidctest.Neutral())
			h.addProfile(allScopes)
			h.works("exchange", "--token-file", h.userToken("alice"))
			h.issuer.Inject(tt.answer)
			if tt.code == exitOK {
				h.works("erase")
				if said := h.stderr.String(); !strings.Contains(said, tt.says) {
					t.Errorf("it says %s", said)
				}
			} else {
				h.fails(tt.code, tt.says, tt.hint, "erase")
			}
			if kept := len(h.stored()) != 0; kept == (tt.code == exitOK) {
				t.Errorf("the grant is kept: %t", kept)
			}
			h.check()
		})
	}
}

// TestOddIssuers_brokenLines: Entra breaks the lines of its descriptions. They are shown,
// and stored, on one line.
func TestOddIssuers_brokenLines(t *testing.T) {
	h := newHomeWith(t, oidctest.Neutral())
	h.addProfile(allScopes)
	h.works("exchange", "--token-file", h.userToken("alice"))
	h.issuer.Inject(answers(oidctest.Token, "refresh_token", 400, "application/json",
		`{"error":"invalid_grant","error_description":"<p>AADSTS700082: The token has expired.\r\nTrace ID: 1\r\nCorrelation ID: 2</p>\n"}`))
	const shown = `invalid_grant "<p>AADSTS700082: The token has expired. Trace ID: 1 Correlation ID: 2</p>"`
	h.fails(exitLogin, shown, "t2-cred exchange --profile gep", "get", "--fresh")
	h.works("status")
	if out := h.stdout.String(); !strings.Contains(out, shown) {
		t.Errorf("status says %s", out)
	}
	h.check()
}

// TestOddIssuers_keyMembers: what a published key has beside the key itself does not hide it.
func TestOddIssuers_keyMembers(t *testing.T) {
	for name, more := range map[string]map[string]any{
		"a certificate that is none": {"x5c": []string{"no base64!"}, "x5t": "?"},
		"members of other types":     {"x5u": "::no address", "x5t": 7, "x5c": "text", "x5t#S256": []any{}},
		"an issuer and dates, Entra": {"issuer": "https://login.example/{tenantid}/v2.0", "nbf": 1, "exp": "2", "cloud_instance_name": nil},
	} {
		h := newHomeWith(t, oidctest.Neutral())
		h.addProfile(allScopes)
		h.issuer.Inject(oidctest.Fault{Name: name, Endpoint: oidctest.JWKS, Edit: func(_ *oidctest.Call, o map[string]any) {
			for _, key := range o["keys"].([]map[string]any) {
				for member, value := range more {
					key[member] = value
				}
			}
		}})
		for _, args := range [][]string{{"exchange", "--token-file", h.userToken("alice")}, {"get", "--fresh"}, {"claims"}} {
			if code := h.run(args...); code != exitOK {
				t.Errorf("%s: %s ends with %d: %s", name, args[0], code, h.stderr.String())
			}
		}
		h.check()
	}
}
