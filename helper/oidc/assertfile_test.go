package oidc

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
)

// An assertionServer is an issuer that keeps what clients prove themselves by, and may
// take an assertion once, in Keycloak's words.
type assertionServer struct {
	*httptest.Server
	once bool
	seen []string
	kind string
	// keycloak has the endpoints at Keycloak's addresses.
	keycloak bool
}

func newAssertionServer(t *testing.T) *assertionServer {
	s := &assertionServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasPrefix(r.URL.Path, "/.well-known/") {
			document := map[string]any{"issuer": s.URL, "token_endpoint": s.URL + "/token"}
			if s.keycloak {
				document["token_endpoint"], document["jwks_uri"] = s.URL+"/protocol/openid-connect/token", s.URL+"/protocol/openid-connect/certs"
			}
			_ = json.NewEncoder(w).Encode(document)
			return
		}
		assertion := r.FormValue("client_assertion")
		again := strings.Contains(strings.Join(s.seen, " "), assertion)
		s.seen, s.kind = append(s.seen, assertion), r.FormValue("client_assertion_type")
		if s.once && again {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]any{"error": "invalid_client", "error_description": "Token reuse detected"})
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "an-opaque-access-token-9f2c71", "refresh_token": "a-refresh-token-5d0e83", "token_type": "Bearer"})
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *assertionServer) assertion(claims map[string]any) secret.Secret {
	all := map[string]any{"iss": "https://signer.example.org", "sub": "workload", "aud": s.URL, "exp": time.Now().Add(time.Minute).Unix(), "jti": "b2f1d7"}
	for name, value := range claims {
		all[name] = value
	}
	return secret.Secret(encodeJSON(map[string]any{"alg": "RS256"}) + "." + encodeJSON(all) + ".c2lnbmF0dXJl")
}

func (s *assertionServer) refresh(t *testing.T, dir string, c Client) error {
	c.ID, c.Auth = "job", AuthJWTFile
	i := New(s.URL, Options{Now: time.Now, Log: slog.New(slog.DiscardHandler), CacheDir: dir})
	_, err := i.Refresh(t.Context(), c, "the-old-refresh-token-77ab12")
	return err
}

func reads(token secret.Secret) func() (secret.Secret, error) {
	return func() (secret.Secret, error) { return token, nil }
}

// TestAssertionFile_goesToItsAudienceOnly.
func TestAssertionFile_goesToItsAudienceOnly(t *testing.T) {
	s := newAssertionServer(t)
	for name, c := range map[string]struct {
		claims  map[string]any
		allowed string
		words   string // of the refusal; empty when it is sent
	}{
		"the issuer":         {nil, "", ""},
		"the token endpoint": {map[string]any{"aud": s.URL + "/token"}, "", ""},
		"one of a list":      {map[string]any{"aud": []string{"https://x.example.org", s.URL}}, "", ""},
		"allowed":            {map[string]any{"aud": "https://kubernetes.default.svc"}, "https://kubernetes.default.svc", ""},
		"another":            {map[string]any{"aud": "https://kubernetes.default.svc"}, "", "its aud is [https://kubernetes.default.svc]"},
		"near":               {map[string]any{"aud": s.URL + "/"}, "", "its aud is ["},
		"none":               {map[string]any{"aud": []string{}}, "", "its aud is []"},
		"expired":            {map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}, "", "it expired at"},
	} {
		before := len(s.seen)
		err := s.refresh(t, t.TempDir(), Client{Assertion: reads(s.assertion(c.claims)), AssertionAudience: c.allowed})
		_, wrong := errors.AsType[*ConfigError](err)
		sent := len(s.seen) - before
		if c.words == "" && (err != nil || sent != 1) || c.words != "" && (!wrong || sent != 0 || !strings.Contains(err.Error(), c.words)) {
			t.Errorf("%s: %d sent, %v", name, sent, err)
		}
	}
	if err := s.refresh(t, t.TempDir(), Client{Assertion: reads("not-a-jwt-but-a-long-secret-51c9")}); err == nil || strings.Contains(err.Error(), "51c9") {
		t.Errorf("no JWT: %v", err)
	}
}

// TestAssertionFile_type is as the profile says.
func TestAssertionFile_type(t *testing.T) {
	s := newAssertionServer(t)
	for kind, want := range map[string]string{"": "jwt-bearer", AssertionJWT: "jwt-bearer", AssertionSPIFFE: "jwt-spiffe"} {
		if err := s.refresh(t, t.TempDir(), Client{Assertion: reads(s.assertion(nil)), AssertionType: kind}); err != nil || s.kind != "urn:ietf:params:oauth:client-assertion-type:"+want {
			t.Errorf("%q: %s, %v", kind, s.kind, err)
		}
	}
}

// TestAssertionFile_once: the issuer's refusal of a second use is explained. From then on
// no assertion is sent twice, in whatever process, and a renewed one is. Keycloak's settings
// are named on Keycloak alone.
func TestAssertionFile_once(t *testing.T) {
	t.Run("Keycloak", func(t *testing.T) { takesOnce(t, true) })
	t.Run("another", func(t *testing.T) { takesOnce(t, false) })
}

func takesOnce(t *testing.T, keycloak bool) {
	s, dir := newAssertionServer(t), t.TempDir()
	s.once, s.keycloak = true, keycloak
	helps := func(said string) bool {
		return strings.Contains(said, "let assertions be used again") && strings.Contains(said, "supportsClientAssertionReuse") == keycloak && strings.Contains(said, "Keycloak") == keycloak
	}
	first, renewed := s.assertion(nil), s.assertion(map[string]any{"jti": "c3a2e8"})
	if err := s.refresh(t, dir, Client{Assertion: reads(first)}); err != nil {
		t.Fatal(err)
	}
	err := s.refresh(t, dir, Client{Assertion: reads(first)})
	refused, ok := errors.AsType[*Error](err)
	if !ok || !helps(refused.Hint().String()) {
		t.Fatalf("the second use: %v", err)
	}
	err = s.refresh(t, dir, Client{Assertion: reads(first)})
	if wrong, ok := errors.AsType[*ConfigError](err); !ok || !helps(wrong.Remedy.String()) || len(s.seen) != 2 {
		t.Errorf("the third use: %d sent, %v", len(s.seen), err)
	}
	for _, sent := range []int{3, 3} {
		err = s.refresh(t, dir, Client{Assertion: reads(renewed)})
		if len(s.seen) != sent {
			t.Errorf("a renewed one: %d sent, %v", len(s.seen), err)
		}
	}
	other := newAssertionServer(t)
	for range 2 { // another issuer takes one as often as it comes
		if err := other.refresh(t, dir, Client{Assertion: reads(other.assertion(nil))}); err != nil {
			t.Error(err)
		}
	}
}
