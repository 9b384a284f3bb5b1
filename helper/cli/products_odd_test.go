package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// An oddAnswer is a good answer in a form that some product has.
type oddAnswer struct {
	name  string
	edit  func(answer map[string]any)
	token func(d *oidctest.Draft)
	exit  int    // 0: it is taken
	hint  string // where it is not
}

func setMember(name string, value any) func(map[string]any) {
	return func(answer map[string]any) { answer[name] = value }
}

func dropMembers(names ...string) func(map[string]any) {
	return func(answer map[string]any) {
		for _, name := range names {
			delete(answer, name)
		}
	}
}

// header is of access tokens.
func header(name string, value any) func(*oidctest.Draft) {
	return func(d *oidctest.Draft) {
		if d.Kind == "access_token" {
			d.Header[name] = value
		}
	}
}

// access is of the claims of access tokens.
func access(change func(claims map[string]any)) func(*oidctest.Draft) {
	return func(d *oidctest.Draft) {
		if d.Kind == "access_token" {
			change(d.Claims)
		}
	}
}

func oddAnswers() []oddAnswer {
	scopes := []string{"openid", "email", "profile", "offline_access", "ellip", "gep"}
	return []oddAnswer{
		{name: "scope as a list", edit: setMember("scope", scopes)},
		{name: "expires_in as a string, as old Entra", edit: setMember("expires_in", "300")},
		{name: "expires_in as a fraction", edit: setMember("expires_in", 299.5)},
		{name: "expires_in null", edit: setMember("expires_in", nil)},
		{name: "no token_type", edit: dropMembers("token_type")},
		{name: "token_type BearerToken, as Apigee", edit: setMember("token_type", "BearerToken")},
		{name: "no issued_token_type", edit: dropMembers("issued_token_type")},
		{name: "issued_token_type jwt", edit: setMember("issued_token_type", "urn:ietf:params:oauth:token-type:jwt")},
		{name: "issued_token_type of its own", edit: setMember("issued_token_type", "Bearer")},
		{name: "issued_token_type null", edit: setMember("issued_token_type", nil)},
		{name: "no id_token", edit: dropMembers("id_token")},
		{name: "id_token null", edit: setMember("id_token", nil)},
		{name: "id_token empty", edit: setMember("id_token", "")},
		{name: "further members", edit: func(a map[string]any) {
			a["ext_expires_in"], a["expires_on"], a["foci"], a["client_info"] = "300", "1893456000", "1", "eyJ1aWQiOiIxIn0"
			a["userId"], a["roles"], a["instance_url"] = nil, []any{}, "https://api.example"
		}},
		{name: "Cognito's claims", token: access(func(c map[string]any) {
			for _, name := range []string{"aud", "azp", "typ", "name", "preferred_username", "email"} {
				delete(c, name)
			}
			c["client_id"], c["token_use"], c["username"], c["version"] = oidctest.ClientID, "access", "alice", 2
		})},
		{name: "Duende's claims", token: access(func(c map[string]any) {
			delete(c, "azp")
			delete(c, "typ")
			c["client_id"], c["scope"], c["amr"], c["idp"] = oidctest.ClientID, scopes, []string{"pwd"}, "local"
		})},
		{name: "exp as a fraction, as Auth0's rules", token: access(func(c map[string]any) { c["exp"] = float64(c["exp"].(int64)) + 0.25 })},
		{name: "header typ at+JWT", token: header("typ", "at+JWT")},
		{name: "header without typ", token: func(d *oidctest.Draft) { delete(d.Header, "typ") }},
		{name: "header typ of Okta's org server", token: header("typ", "application/okta-internal-at+jwt"), exit: exitVerify, hint: `set access_token = "opaque" in the profile`},
		{
			name: "signed with the client's secret, as Authentik without a key", exit: exitVerify, hint: "ask the issuer's admin",
			token: func(d *oidctest.Draft) { d.Header["alg"] = "HS256"; delete(d.Header, "kid") },
		},
	}
}

// TestProducts_oddAnswers: an odd form of a good answer is taken at an exchange and at a
// refresh, or refused with a hint that helps. The grant is kept in any case.
func TestProducts_oddAnswers(t *testing.T) {
	for _, odd := range oddAnswers() {
		t.Run(odd.name, func(t *testing.T) {
			h := newHomeWith(t, oidctest.Neutral())
			h.addProfile("openid email profile offline_access ellip gep")
			subject := h.userToken("alice")
			fault := oidctest.Fault{Name: odd.name, Endpoint: oidctest.Token}
			if odd.edit != nil {
				fault.Edit = func(_ *oidctest.Call, answer map[string]any) { odd.edit(answer) }
			}
			if odd.token != nil {
				fault.Token = func(_ *oidctest.Call, d *oidctest.Draft) { odd.token(d) }
			}
			remove := h.issuer.Inject(fault)
			odd.see(t, h, "exchange", "--token-file", subject)
			if odd.exit != exitOK {
				remove()
				if code := h.run("exchange", "--token-file", subject, "--replace"); code != exitOK {
					t.Fatalf("exchange ends with %d: %s", code, h.stderr.String())
				}
				remove = h.issuer.Inject(fault)
			}
			odd.see(t, h, "get", "--fresh")
			if s := h.statusOf(); s.Kind != "offline" || s.Scope != "openid email profile offline_access ellip gep" || s.Subject != h.issuer.Sub("alice") {
				t.Errorf("status: %+v", s)
			}
			remove()
			h.advance(time.Hour)
			if code := h.run("get"); code != exitOK {
				t.Errorf("later, get ends with %d: %s", code, h.stderr.String())
			}
			h.check()
		})
	}
}

func (odd oddAnswer) see(t *testing.T, h *home, args ...string) {
	t.Helper()
	code := h.run(args...)
	said := h.stderr.String()
	if code != odd.exit || odd.exit == exitOK && strings.Contains(said, "warning") {
		t.Errorf("%s ends with %d, want %d: %s", args[0], code, odd.exit, said)
	}
	if _, hint, _ := strings.Cut(said, "\nhint: "); !strings.Contains(hint, odd.hint) {
		t.Errorf("%s hints %q, want %q", args[0], hint, odd.hint)
	}
}
