package oidc

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
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

// TestAuthorize_pushed: the document names an endpoint for pushed authorization requests.
// Where nothing is at its address, as behind a gateway that does not know it, the parameters
// go by the browser, unless the issuer demands that they are pushed. A refusal is one.
func TestAuthorize_pushed(t *testing.T) {
	const refusal = `{"error":"unauthorized_client","error_description":"not for you"}`
	for name, tt := range map[string]struct {
		status   int
		body     string
		required bool
		want     string // in the address; empty for an error
	}{
		"pushed":                  {201, `{"request_uri":"urn:example:a1","expires_in":60}`, true, "request_uri=urn%3Aexample%3Aa1"},
		"pushed, status 200":      {200, `{"request_uri":"urn:example:a1","expires_in":"60"}`, true, "request_uri=urn%3Aexample%3Aa1"},
		"pushed, after a mark":    {201, "\ufeff" + `{"request_uri":"urn:example:a1"}`, true, "request_uri=urn%3Aexample%3Aa1"},
		"refused, status 200":     {200, refusal, false, ""},
		"no request_uri":          {201, `{"Request_URI":"urn:example:a1"}`, false, ""},
		"no such address":         {404, "<html>404</html>", false, "code_challenge="},
		"no such method":          {405, "", false, "code_challenge="},
		"no such address, a must": {404, "<html>404</html>", true, ""},
		"refused":                 {400, refusal, false, ""},
		"refused with 404":        {404, refusal, false, ""},
		"overloaded":              {503, "", false, ""},
	} {
		var front *httptest.Server
		front = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == oidcSuffix {
				fmt.Fprintf(w, `{"issuer":%q,"token_endpoint":"%[1]s/token","authorization_endpoint":"%[1]s/auth",
					"pushed_authorization_request_endpoint":"%[1]s/par","require_pushed_authorization_requests":%t}`, front.URL, tt.required)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(tt.status)
			_, _ = w.Write([]byte(tt.body))
		}))
		a, err := at(front.URL, "").Authorize(t.Context(), frontClient, "http://127.0.0.1:1/callback", []string{"openid"})
		switch {
		case tt.want == "" && err == nil:
			t.Errorf("%s: %s", name, a.URL)
		case tt.want != "" && (err != nil || !strings.Contains(a.URL, tt.want) || strings.Contains(a.URL, "request_uri=") == strings.Contains(a.URL, "state=")):
			t.Errorf("%s: %v", name, err)
		}
		front.Close()
	}
}
