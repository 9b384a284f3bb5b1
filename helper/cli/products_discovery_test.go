package cli

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// answerDiscovery stands for the discovery document, at both of its addresses.
func answerDiscovery(status int, kind, body string) oidctest.Fault {
	return oidctest.Fault{Name: "discovery", Endpoint: oidctest.Discovery, Before: func(*oidctest.Call) *oidctest.Answer {
		return &oidctest.Answer{Status: status, Header: http.Header{"Content-Type": {kind}}, Body: []byte(body)}
	}}
}

func editDiscovery(change func(document map[string]any)) oidctest.Fault {
	return oidctest.Fault{Name: "discovery", Endpoint: oidctest.Discovery, Edit: func(_ *oidctest.Call, o map[string]any) { change(o) }}
}

// TestProducts_discovery has odd discovery documents, and what stands in their place. They
// are taken where they are legal. Else the message says what is wrong, and the hint what
// to do.
func TestProducts_discovery(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault oidctest.Fault
		exit  int
		says  string
		hint  string
	}{
		{"a byte order mark, as a file that Windows wrote", oidctest.Fault{Name: "mark", Endpoint: oidctest.Discovery, After: func(_ *oidctest.Call, a *oidctest.Answer) {
			a.Body = append([]byte("\xef\xbb\xbf"), a.Body...)
		}}, exitOK, "", ""},
		{"text/plain, as a file in a bucket", oidctest.Fault{Name: "type", Endpoint: oidctest.Discovery, After: func(_ *oidctest.Call, a *oidctest.Answer) {
			a.Header.Set("Content-Type", "text/plain")
		}}, exitOK, "", ""},
		{"an endpoint with a query, as Azure B2C", editDiscovery(func(o map[string]any) {
			o["token_endpoint"] = o["token_endpoint"].(string) + "?p=b2c_1_signin"
		}), exitOK, "", ""},
		{"members that are null", editDiscovery(func(o map[string]any) {
			for _, name := range []string{"grant_types_supported", "scopes_supported", "device_authorization_endpoint", "mtls_endpoint_aliases", "introspection_endpoint"} {
				o[name] = nil
			}
		}), exitOK, "", ""},
		{"endpoints that are empty", editDiscovery(func(o map[string]any) { o["revocation_endpoint"], o["introspection_endpoint"] = "", "" }), exitOK, "", ""},
		{"authentication by methods of its own", editDiscovery(func(o map[string]any) {
			o["token_endpoint_auth_methods_supported"] = []string{"attest_jwt_client_auth", "client_secret_post", "client_secret_basic"}
		}), exitOK, "", ""},
		{"methods as one text", editDiscovery(func(o map[string]any) { o["token_endpoint_auth_methods_supported"] = "client_secret_basic" }), exitOK, "", ""},
		{"many further members", editDiscovery(func(o map[string]any) {
			o["claims_supported"], o["ping_end_session_endpoint"], o["id_generation_endpoint"] = strings.Fields(strings.Repeat("a-claim ", 5000)), "https://h.example/out", "https://h.example/id"
			o["code_challenge_methods_supported"], o["acr_values_supported"] = "S256", nil
		}), exitOK, "", ""},
		{"the issuer is a name, as FusionAuth's at first", editDiscovery(func(o map[string]any) { o["issuer"] = "acme.com" }), exitConfig, "calls itself acme.com", "ask the issuer's admin"},
		{"no issuer at all", editDiscovery(func(o map[string]any) { delete(o, "issuer") }), exitConfig, "names no issuer", "ask the issuer's admin"},
		{"Entra, no such tenant", answerDiscovery(400, "application/json", `{"error":"invalid_tenant","error_description":"AADSTS90002: Tenant 'corp' not found."}`), exitRefused, "AADSTS90002: Tenant 'corp' not found.", "check the issuer's address"},
		{"Okta, no such server", answerDiscovery(404, "application/json", `{"errorCode":"E0000007","errorSummary":"Not found: Resource not found: x (AuthorizationServer)"}`), exitConfig, "no OpenID provider", "check the issuer's address"},
		{"Keycloak's answer for a realm that is none", answerDiscovery(404, "application/json", `{"error":"Realm does not exist"}`), exitConfig, "no OpenID provider", "realms/test"},
		{"a gateway that wants a login", answerDiscovery(401, "application/json", `{"message":"No API key found in request"}`), exitRefused, "No API key found in request", "check the issuer's address"},
		{"a gateway that is broken", answerDiscovery(503, "text/html", `<html>upstream</html>`), exitUnreachable, "HTTP 503", ""},
		{"a page for browsers", answerDiscovery(200, "text/html", `<!doctype html><title>Sign in</title>`), exitUnreachable, "did not answer with JSON", ""},
		{"a list", answerDiscovery(200, "application/json", `[]`), exitConfig, "no JSON object", "check the issuer's address"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHomeWith(t, oidctest.Neutral())
			h.issuer.Inject(tt.fault)
			if strings.Contains(tt.name, "a query") { // the test issuer itself allows none
				h.issuer.Inject(oidctest.Fault{Name: "query", Endpoint: oidctest.Token, Before: func(c *oidctest.Call) *oidctest.Answer {
					if c.Request.URL.RawQuery != "p=b2c_1_signin" {
						t.Errorf("the query is %q", c.Request.URL.RawQuery)
					}
					c.Request.URL.RawQuery = ""
					return nil
				}})
			}
			code := h.run("profile", "add", "gep", "--issuer", h.issuer.URL(), "--client-id", oidctest.ClientID, "--scope", "openid offline_access",
				"--client-secret-file", filepath.Join(h.dir, "client.secret"))
			_, said, _ := strings.Cut(h.stderr.String(), "t2-cred: ")
			if code != tt.exit || !strings.Contains(said, tt.says) {
				t.Fatalf("it ends with %d, want %d: %s", code, tt.exit, h.stderr.String())
			}
			if _, hint, _ := strings.Cut(said, "hint: "); !strings.Contains(hint, tt.hint) {
				t.Errorf("the hint is %q, want %q", hint, tt.hint)
			}
			if code != exitOK {
				return
			}
			for _, args := range [][]string{{"exchange", "--token-file", h.userToken("alice")}, {"get", "--fresh"}, {"claims"}} {
				if code := h.run(args...); code != exitOK {
					t.Errorf("%s ends with %d: %s", args[0], code, h.stderr.String())
				}
			}
		})
	}
}
