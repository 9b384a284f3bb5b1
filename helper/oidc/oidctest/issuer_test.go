package oidctest

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// ask posts a form as the confidential client and returns status and object.
func ask(t *testing.T, i *Issuer, e Endpoint, form url.Values) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, i.endpoint(e), strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if !form.Has("client_id") {
		req.SetBasicAuth(ClientID, url.QueryEscape(i.ClientSecret()))
	}
	status, body, _ := do(t, req)
	var object map[string]any
	if len(body) > 0 {
		if err := json.Unmarshal(body, &object); err != nil {
			t.Fatalf("%s answers %q: %v", e, body, err)
		}
	}
	return status, object
}

func get(t *testing.T, i *Issuer, e Endpoint) map[string]any {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, i.endpoint(e), nil)
	if err != nil {
		t.Fatal(err)
	}
	status, body, _ := do(t, req)
	var object map[string]any
	if err := json.Unmarshal(body, &object); status != 200 || err != nil {
		t.Fatalf("%s answers %d %q", e, status, body)
	}
	return object
}

func do(t *testing.T, req *http.Request) (int, []byte, http.Header) {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body, resp.Header
}

// start starts an issuer that ends with the test.
func start(t *testing.T, opts ...Option) *Issuer {
	t.Helper()
	i := New(opts...)
	t.Cleanup(i.Close)
	return i
}

const seedScope = "openid email profile offline_access ellip gep"

func exchangeForm(token string, more ...string) url.Values {
	form := url.Values{
		"grant_type": {grantExchange}, "subject_token": {token}, "subject_token_type": {typeAccessToken},
		"audience": {ClientID}, "scope": {seedScope},
	}
	for n := 0; n+1 < len(more); n += 2 {
		form.Set(more[n], more[n+1])
	}
	return form
}

func refreshForm(token any) url.Values {
	text, _ := token.(string)
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {text}}
}

// grantFor exchanges with success.
func grantFor(t *testing.T, i *Issuer, user string) map[string]any {
	t.Helper()
	status, answer := ask(t, i, Token, exchangeForm(i.UserToken(user)))
	if status != 200 {
		t.Fatalf("exchange: %d %v", status, answer)
	}
	return answer
}

// claims reads a JWT's payload, and its header with part 0.
func claims(t *testing.T, token any, part int) map[string]any {
	t.Helper()
	text, _ := token.(string)
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %q", text)
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[part])
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// refused asserts an OAuth error.
func refused(t *testing.T, status int, answer map[string]any, wantStatus int, code, words string) {
	t.Helper()
	if status != wantStatus || answer["error"] != code || answer["error_description"] != words {
		t.Errorf("got %d %v, want %d %s %q", status, answer, wantStatus, code, words)
	}
}

func TestExchange_legacyOffline(t *testing.T) {
	i := start(t)
	a := grantFor(t, i, "alice")
	if c := claims(t, a["refresh_token"], 1); c["typ"] != "Offline" || c["exp"] != nil || c["sub"] != i.Sub("alice") {
		t.Errorf("refresh token: %v", c)
	}
	if c := claims(t, a["access_token"], 1); c["typ"] != "Bearer" || c["azp"] != ClientID || c["iss"] != i.URL() || c["sub"] != i.Sub("alice") {
		t.Errorf("access token: %v", c)
	}
	if c := claims(t, a["id_token"], 1); c["typ"] != "ID" || c["aud"] != ClientID {
		t.Errorf("ID token: %v", c)
	}
	if a["refresh_expires_in"] != 0.0 || a["scope"] != seedScope || a["issued_token_type"] != typeRefreshToken || a["expires_in"] != 300.0 {
		t.Errorf("answer: %v", a)
	}
	i.Logout("alice")
	if status, b := ask(t, i, Token, refreshForm(a["refresh_token"])); status != 200 || b["access_token"] == a["access_token"] {
		t.Errorf("after the user logged out: %d %v", status, b)
	}
}

func TestRefresh_rotation(t *testing.T) {
	for name, r := range map[string]Rotation{"renew": Renew, "omit": Omit, "same": Same, "revoke": Revoke} {
		t.Run(name, func(t *testing.T) {
			i := start(t, Refresh(r))
			first := grantFor(t, i, "alice")["refresh_token"]
			status, a := ask(t, i, Token, refreshForm(first))
			if status != 200 {
				t.Fatalf("refresh: %d %v", status, a)
			}
			second := a["refresh_token"]
			if r == Omit && second != nil || r == Same && second != first || (r == Renew || r == Revoke) && (second == nil || second == first) {
				t.Errorf("refresh token in the answer: %v", second)
			}
			if r != Revoke {
				if status, a = ask(t, i, Token, refreshForm(first)); status != 200 {
					t.Errorf("old one: %d %v", status, a)
				}
				return
			}
			status, a = ask(t, i, Token, refreshForm(first))
			refused(t, status, a, 400, "invalid_grant", "Maximum allowed refresh token reuse exceeded")
			status, a = ask(t, i, Token, refreshForm(second))
			refused(t, status, a, 400, "invalid_grant", "Session doesn't have required client")
			if i.Grants("alice") != 0 || i.Refreshes() != 1 || i.Count("refresh_token") != 3 {
				t.Errorf("%d grants, %d refreshes of %d", i.Grants("alice"), i.Refreshes(), i.Count("refresh_token"))
			}
		})
	}
}

func TestRefresh_stale(t *testing.T) {
	i := start(t, Refresh(Revoke))
	tokens := []any{grantFor(t, i, "alice")["refresh_token"]}
	for range 2 {
		_, a := ask(t, i, Token, refreshForm(tokens[len(tokens)-1]))
		tokens = append(tokens, a["refresh_token"])
	}
	status, a := ask(t, i, Token, refreshForm(tokens[0]))
	refused(t, status, a, 400, "invalid_grant", "Stale token")
	status, a = ask(t, i, Token, refreshForm(tokens[2]))
	refused(t, status, a, 400, "invalid_grant", "Session doesn't have required client")
}

func TestRevocation(t *testing.T) {
	i := start(t)
	one, two := grantFor(t, i, "alice"), grantFor(t, i, "alice")
	status, a := ask(t, i, Revocation, url.Values{"token": {one["refresh_token"].(string)}, "token_type_hint": {"refresh_token"}})
	if status != 200 || len(a) != 0 {
		t.Errorf("revoke: %d %v", status, a)
	}
	status, a = ask(t, i, Token, refreshForm(one["refresh_token"]))
	refused(t, status, a, 400, "invalid_grant", "Offline user session not found")
	if status, a = ask(t, i, Token, refreshForm(two["refresh_token"])); status != 200 {
		t.Errorf("the other grant: %d %v", status, a)
	}
	status, a = ask(t, i, Revocation, url.Values{"token": {one["refresh_token"].(string)}})
	refused(t, status, a, 200, "invalid_token", "Invalid token")
	status, a = ask(t, i, Revocation, url.Values{"token": {two["refresh_token"].(string)}, "client_id": {PortalID}})
	refused(t, status, a, 400, "invalid_request", "Unmatching clients")
}

func TestSecrets(t *testing.T) {
	i := start(t)
	a := grantFor(t, i, "alice")
	all := strings.Join(i.Secrets(), "\n")
	for _, s := range []any{a["access_token"], a["refresh_token"], a["id_token"], i.ClientSecret()} {
		if !strings.Contains(all, s.(string)) {
			t.Errorf("missing: %v", s)
		}
	}
	if subject := i.UserToken("bob"); !slices.Contains(i.Secrets(), subject) {
		t.Error("no subject token")
	}
}

func TestClock(t *testing.T) {
	i := start(t, Exchange(LegacyOnline))
	subject := i.UserToken("alice")
	_, a := ask(t, i, Token, exchangeForm(subject))
	if c := claims(t, a["refresh_token"], 1); c["typ"] != "Refresh" || a["refresh_expires_in"] != 1800.0 || a["scope"] != "openid email profile" {
		t.Errorf("online: %v %v", c, a)
	}
	i.Clock.Advance(5 * time.Minute)
	status, b := ask(t, i, Token, exchangeForm(subject))
	refused(t, status, b, 400, "invalid_request", "Invalid token")
	i.Clock.Advance(25 * time.Minute)
	status, b = ask(t, i, Token, refreshForm(a["refresh_token"]))
	refused(t, status, b, 400, "invalid_grant", "Token is not active")
}
