package cli

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// add is profile add for an issuer as a person types it.
func (h *home) add(issuer string) []string {
	return []string{
		"profile", "add", "gep", "--issuer", issuer, "--client-id", oidctest.ClientID, "--scope", allScopes,
		"--client-secret-file", filepath.Join(h.dir, "client.secret"),
	}
}

// TestOddAddress_typed: letters of the scheme and the host in another case are the same
// address. What is saved is what the issuer calls itself.
func TestOddAddress_typed(t *testing.T) {
	h := newHomeWith(t, oidctest.Neutral())
	h.works(h.add(strings.Replace(h.issuer.URL(), "http://", "HTTP://", 1))...)
	if said := h.stderr.String(); !strings.Contains(said, "the issuer writes itself "+h.issuer.URL()+"; saved so") {
		t.Errorf("it says %s", said)
	}
	h.works("exchange", "--token-file", h.userToken("alice"))
	h.check()
}

// TestOddAddress_secretAsKey: the issuer takes a client's secret as the key of a signature
// alone. That is said, and what the hint says works.
func TestOddAddress_secretAsKey(t *testing.T) {
	h := newHomeWith(t, oidctest.Neutral(), oidctest.RequireAuth("client_secret_jwt"), oidctest.ListAuth("client_secret_jwt", "private_key_jwt"))
	h.fails(exitConfig, "takes no client secret as it is; it lists client_secret_jwt, private_key_jwt", "--client-auth client_secret_jwt", h.add(h.issuer.URL())...)
	h.works(append(h.add(h.issuer.URL()), "--client-auth", "client_secret_jwt")...)
	h.works("exchange", "--token-file", h.userToken("alice"))
	h.works("get", "--fresh")
	h.check()
}

// TestOddAddress_tooManyKeys: more keys than are looked at end with who can mend that.
func TestOddAddress_tooManyKeys(t *testing.T) {
	h := newHomeWith(t, oidctest.Neutral())
	h.works(h.add(h.issuer.URL())...)
	h.issuer.Inject(oidctest.Fault{Name: "many", Endpoint: oidctest.JWKS, Edit: func(_ *oidctest.Call, o map[string]any) {
		keys := o["keys"].([]map[string]any)
		for range 120 {
			keys = append(keys, map[string]any{"kty": "AKP", "kid": "old"})
		}
		o["keys"] = keys
	}})
	h.fails(exitConfig, "keys, more than 100", "take the keys out", "exchange", "--token-file", h.userToken("alice"))
	h.issuer.Clear()
	h.works("exchange", "--token-file", h.userToken("alice"))
}

// TestOddAddress_path: an issuer with a port, letters beyond ASCII, and a slash at its end.
func TestOddAddress_path(t *testing.T) {
	h := newHomeWith(t, oidctest.Neutral(), oidctest.Path("/a/Größe/"))
	h.works(h.add(strings.TrimSuffix(h.issuer.URL(), "/"))...)
	for _, args := range [][]string{{"exchange", "--token-file", h.userToken("alice")}, {"get", "--fresh"}, {"claims"}, {"doctor"}, {"erase"}} {
		h.works(args...)
	}
	h.check()
}

// TestOddAddress_escapedPath: the issuer's path is asked for as it is written, with its own
// percent-encoding (RFC 3986 §6.2.2.2 lets %2F be another address than a slash), below the
// issuer (OpenID Connect Discovery 1.0 §4.1) and at RFC 8414's place. The spelling of the document
// is the one that is saved.
func TestOddAddress_escapedPath(t *testing.T) {
	for _, path := range []string{
		"/a%20b", "/a%2Fb/c", "/a%2fb", "/a%7Ebc", "/Gr%c3%b6%C3%9Fe", "/a%25b", "/a+b", "/a;v=1/b", "/a:b@c/(d)", "/a//b", "/a%20b/", "/~t/$1,x=y", "/a|b",
	} {
		for _, only8414 := range []bool{false, true} {
			opts := []oidctest.Option{oidctest.Neutral(), oidctest.Path(path)}
			if only8414 {
				opts = append(opts, oidctest.OnlyRFC8414())
			}
			h := newHomeWith(t, opts...)
			typed := strings.TrimSuffix(h.issuer.URL(), "/")
			for _, args := range [][]string{h.add(typed), {"exchange", "--token-file", h.userToken("alice")}, {"get", "--fresh"}, {"claims"}, {"erase"}} {
				if code := h.run(args...); code != exitOK {
					t.Errorf("%s, RFC 8414 %t: %s ends with %d: %s", path, only8414, args[0], code, h.stderr.String())
				}
			}
			h.works("profile", "show", "gep", "--json")
			var shown struct{ Issuer string }
			if err := json.Unmarshal(h.stdout.Bytes(), &shown); err != nil || shown.Issuer != h.issuer.URL() {
				t.Errorf("%s: saved as %q, %v", path, shown.Issuer, err)
			}
			h.check()
			h.issuer.Close()
		}
	}
}

// TestOddAddress_query: a document whose address has a query is not looked for, and the hint
// says how such a document is named. The query is not shown, as it may hold a secret.
func TestOddAddress_query(t *testing.T) {
	h := newHomeWith(t, oidctest.Neutral())
	h.fails(exitConfig, "without user, query and fragment", "discovery_url in the profile", h.add(h.issuer.URL()+"/.well-known/openid-configuration?p=b2c_1_signin")...)
	if strings.Contains(h.stderr.String(), "b2c_1_signin") {
		t.Errorf("the query is shown: %s", h.stderr.String())
	}
}

// TestOddAddress_namesItselfInClear: the document that lies at an https address calls the
// issuer http://. Nothing is saved, and the hint says what its admin must change.
func TestOddAddress_namesItselfInClear(t *testing.T) {
	for _, neutral := range []bool{true, false} {
		opts := []oidctest.Option{oidctest.TLS()}
		if neutral {
			opts = append(opts, oidctest.Neutral())
		}
		h := newHomeWith(t, opts...)
		inClear := "http" + strings.TrimPrefix(h.issuer.URL(), "https")
		h.issuer.Inject(editDiscovery(func(o map[string]any) { o["issuer"] = inClear }))
		for _, typed := range []string{h.issuer.URL(), h.issuer.URL() + "/"} {
			h.fails(exitConfig, "calls itself "+inClear, "ask the issuer's admin: make it name itself by https", append(h.add(typed), "--ca-file", h.issuer.CAFile())...)
			if _, hint := h.message(); strings.Contains(hint, "Keycloak: the setting hostname") == neutral {
				t.Errorf("another product: %t, and the hint is %s", neutral, hint)
			}
		}
		h.fails(exitConfig, "no profile", "", "status")
	}
}

// TestOddAddress_discoveryURL: the document lies at an address that is not the issuer's,
// with a query. With discovery_url in the profile all commands find it; one that names
// another issuer is refused.
func TestOddAddress_discoveryURL(t *testing.T) {
	h := newHomeWith(t, oidctest.Neutral())
	h.works(h.add(h.issuer.URL())...)
	document := fetchText(t, h.issuer.URL()+"/.well-known/openid-configuration")
	asked := 0
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.Header().Set("Content-Type", "application/json")
		if r.URL.RawQuery != "p=b2c_1_signin" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, document)
	}))
	defer elsewhere.Close()
	h.issuer.Inject(answers(oidctest.Discovery, "", 404, "text/plain", "not here"))
	h.forgetDocuments()
	user := h.userToken("alice")
	h.fails(exitConfig, "no OpenID provider at", "check the issuer's address", "exchange", "--token-file", user)
	h.setInProfile(`discovery_url = "` + elsewhere.URL + `/tenant/document?p=b2c_1_signin"`)
	for _, args := range [][]string{{"exchange", "--token-file", user}, {"get", "--fresh"}, {"claims"}, {"status"}, {"doctor"}, {"erase"}} {
		h.works(args...)
	}
	if asked == 0 {
		t.Error("the document was not asked for there")
	}
	h.works("profile", "show", "gep")
	if out := h.stdout.String(); !strings.Contains(out, elsewhere.URL) {
		t.Errorf("profile show says %s", out)
	}
	h.forgetDocuments()
	document = strings.Replace(document, `"issuer":"`, `"issuer":"https://evil.example/`, 1)
	h.fails(exitConfig, `calls itself "https://evil.example/`, "do not trust it", "exchange", "--token-file", user)
	h.check()
}

func fetchText(t *testing.T, address string) string {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", address, resp.Status, err)
	}
	return string(body)
}
