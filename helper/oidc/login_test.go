package oidc

import (
	"net/url"
	"testing"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// TestAuthorize_consent: consent is asked for with offline_access, which an issuer
// ignores without it, and not else.
func TestAuthorize_consent(t *testing.T) {
	issuer := oidctest.New()
	defer issuer.Close()
	for want, scopes := range map[string][]string{"consent": {"openid", "offline_access"}, "": {"openid", "email"}} {
		a, err := at(issuer.URL(), "").Authorize(t.Context(), Client{ID: oidctest.ClientID}, "http://127.0.0.1:1/callback", scopes)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(a.URL)
		if err != nil {
			t.Fatal(err)
		}
		if got := u.Query()["prompt"]; len(got) > 1 || u.Query().Get("prompt") != want {
			t.Errorf("%v: prompt is %q, want %q in %s", scopes, got, want, u)
		}
	}
}
