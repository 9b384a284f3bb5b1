package oidc

import (
	"errors"
	"net/url"
	"strings"
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

// TestAuthorize_params: a profile may add parameters, and may not change those that bind
// the answer.
func TestAuthorize_params(t *testing.T) {
	issuer := oidctest.New()
	defer issuer.Close()
	ask := func(params map[string]string) (string, error) {
		i := at(issuer.URL(), "")
		i.opt.AuthorizeParams = params
		a, err := i.Authorize(t.Context(), Client{ID: oidctest.ClientID}, "http://127.0.0.1:1/callback", []string{"openid", "offline_access"})
		if err != nil {
			return "", err
		}
		return a.URL, nil
	}
	got, err := ask(map[string]string{"access_type": "offline", "prompt": "select_account consent"})
	if err != nil || !strings.Contains(got, "access_type=offline") || !strings.Contains(got, "prompt=select_account+consent") || strings.Count(got, "prompt=") != 1 {
		t.Errorf("%s, %v", got, err)
	}
	for _, name := range OwnParams() {
		var refused *ConfigError
		if got, err := ask(map[string]string{name: "x"}); !errors.As(err, &refused) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}
