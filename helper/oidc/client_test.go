package oidc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
	"github.com/terradue/t2-cred/helper/secret"
)

func at(id string, caFile string) *Issuer {
	return New(id, Options{CAFile: caFile, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
}

// proves sends a refresh token that is none: an issuer that says so has taken the
// client.
func proves(t *testing.T, i *Issuer, c Client) error {
	t.Helper()
	_, err := i.Refresh(t.Context(), c, "garbage-refresh-token")
	var e *Error
	if errors.As(err, &e) && e.Code == "invalid_grant" {
		return nil
	}
	if err == nil {
		t.Fatal("garbage was refreshed")
	}
	return err
}

// TestClientKeys: each kind of key in each form, with each algorithm it can, is taken
// by a strict issuer, each assertion once.
func TestClientKeys(t *testing.T) {
	issuer := oidctest.New(oidctest.RequireAuth("private_key_jwt"))
	defer issuer.Close()
	for kind, algs := range map[string][]string{
		"rsa": {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, "rsa-pkcs1": {"RS256"}, "rsa-jwk": {"RS256", "PS256"},
		"p256": {"ES256"}, "p256-sec1": {"ES256"}, "p256-jwk": {"ES256"}, "p384": {"ES384"}, "p384-jwk": {"ES384"},
		"p521": {"ES512"}, "p521-sec1": {"ES512"}, "ed25519": {"EdDSA"}, "ed25519-jwk": {"EdDSA"},
	} {
		for _, alg := range algs {
			text, public := oidctest.NewClientKey(kind, nil)
			issuer.RegisterKey(public, "")
			issuer.Set(oidctest.AuthAlgorithms(alg))
			i := at(issuer.URL(), "")
			c := Client{ID: oidctest.ClientID, Auth: AuthKeyJWT, Key: secret.Secret(text)}
			for range 2 { // the same assertion would be refused
				if err := proves(t, i, c); err != nil {
					t.Errorf("%s with %s: %v", kind, alg, err)
				}
			}
			if known, err := i.Revoke(t.Context(), c, "garbage-refresh-token"); err != nil || known {
				t.Errorf("%s with %s, revocation: %v", kind, alg, err)
			}
		}
	}
}

func TestClientKey_namesItselfAndItsAlgorithm(t *testing.T) {
	text, _ := oidctest.NewClientKey("rsa-jwk", map[string]any{"kid": "from-jwk", "alg": "PS384"})
	i, meta := at("https://issuer.example", ""), &Metadata{}
	for _, c := range []struct{ configured, want string }{{"", "from-jwk"}, {"from-profile", "from-profile"}} {
		client := Client{ID: "me", Auth: AuthKeyJWT, Key: secret.Secret(text), KeyID: c.configured}
		head, claims := read(t, i, meta, client)
		if head["kid"] != c.want || head["alg"] != "PS384" || head["typ"] != "client-authentication+jwt" {
			t.Errorf("head: %v", head)
		}
		if claims["iss"] != "me" || claims["sub"] != "me" || claims["aud"] != "https://issuer.example" || claims["exp"].(float64)-claims["iat"].(float64) != 60 {
			t.Errorf("claims: %v", claims)
		}
		if _, again := read(t, i, meta, client); again["jti"] == claims["jti"] {
			t.Error("two assertions have one jti")
		}
	}
}

// read takes apart an assertion made now.
func read(t *testing.T, i *Issuer, meta *Metadata, c Client) (head, claims map[string]any) {
	t.Helper()
	text, err := i.assertion(meta, c)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(text.Reveal(), ".")
	for n, into := range []*map[string]any{&head, &claims} {
		b, err := base64.RawURLEncoding.DecodeString(parts[n])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, into); err != nil {
			t.Fatal(err)
		}
	}
	return head, claims
}

func TestAlgorithm_isOneThatTheIssuerLists(t *testing.T) {
	rsaKey, _ := oidctest.NewClientKey("rsa", nil)
	p256, _ := oidctest.NewClientKey("p256", nil)
	ed, _ := oidctest.NewClientKey("ed25519", nil)
	for _, c := range []struct {
		key    string
		auth   string
		listed []string
		want   string // empty: refused
	}{
		{rsaKey, AuthKeyJWT, nil, "RS256"},
		{rsaKey, AuthKeyJWT, []string{"PS256", "RS256"}, "RS256"},
		{rsaKey, AuthKeyJWT, []string{"ES256", "PS256"}, "PS256"},
		{rsaKey, AuthKeyJWT, []string{"PS512", "PS384"}, "PS384"},
		{rsaKey, AuthKeyJWT, []string{"ES256", "none", "HS256"}, ""},
		{p256, AuthKeyJWT, []string{"RS256", "ES384"}, ""},
		{ed, AuthKeyJWT, []string{"Ed25519"}, "Ed25519"},
		{"", AuthSecretJWT, nil, "HS256"},
		{"", AuthSecretJWT, []string{"RS256", "HS512"}, "HS512"},
		{"", AuthSecretJWT, []string{"RS256"}, ""},
	} {
		k, err := Client{Auth: c.auth, Key: secret.Secret(c.key), Secret: "secret"}.signingKey(&Metadata{AuthAlgorithms: c.listed})
		if k.alg != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%v: %q, %v", c.listed, k.alg, err)
		}
	}
}

// TestClientKey_refuses what is no good private key, in words that do not quote it.
func TestClientKey_refuses(t *testing.T) {
	pemOf := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	good, public := oidctest.NewClientKey("p256-jwk", nil)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal([]byte(good), &object); err != nil {
		t.Fatal(err)
	}
	with := func(name string, value any) string {
		changed := map[string]any{}
		for k, v := range object {
			changed[k] = v
		}
		if changed[name] = value; value == nil {
			delete(changed, name)
		}
		return string(must(json.Marshal(changed)))
	}
	for name, c := range map[string]struct{ text, words string }{
		"nothing":          {"", "no private key"},
		"words":            {"hunter2-hunter2", "no private key"},
		"a public PEM":     {pemOf("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(public))), "no private key"},
		"a certificate":    {pemOf("CERTIFICATE", []byte("x")), "no private key"},
		"a public JWK":     {with("d", nil), "no private key"},
		"a symmetric JWK":  {`{"kty":"oct","k":"aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg"}`, "no private key"},
		"a JWK set":        {`{"keys":[` + good + `]}`, "no private key"},
		"half a JWK":       {good[:len(good)/2], "no private key"},
		"not its alg":      {with("alg", "RS256"), "it is for RS256"},
		"alg none":         {with("alg", "none"), "it is for none"},
		"an encrypted one": {pemOf("ENCRYPTED PRIVATE KEY", []byte("x")), "it is encrypted"},
		"the old way":      {"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n", "it is encrypted"},
		"damaged":          {pemOf("PRIVATE KEY", []byte("hunter2")), "no private key"},
		"weak":             {pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(weak)), "1024 bits"},
		"P-224":            {pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(p224))), "its curve"},
		"for encryption":   {`{"kty":"OKP","crv":"X25519","x":"` + strings.Repeat("A", 43) + `","d":"` + strings.Repeat("A", 43) + `"}`, "no private key"},
	} {
		err := Client{Auth: AuthKeyJWT, Key: secret.Secret(c.text)}.Check()
		var refused *ConfigError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if strings.Contains(err.Error()+refused.Hint().String(), "hunter2") {
			t.Errorf("%s: the key is quoted: %v", name, err)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestSecret_basicOrPost: the way that is listed is tried first, the other one once
// when the client is refused, and what worked is remembered.
func TestSecret_basicOrPost(t *testing.T) {
	for name, c := range map[string]struct {
		opts []oidctest.Option
		want []string // the ways of two refreshes, one after the other
	}{
		"basic is taken":           {nil, []string{"basic", "basic"}},
		"post alone is listed":     {[]oidctest.Option{oidctest.RequireAuth("client_secret_post"), oidctest.ListAuth("client_secret_post")}, []string{"post", "post"}},
		"post alone is taken":      {[]oidctest.Option{oidctest.RequireAuth("client_secret_post")}, []string{"basic", "post", "post"}},
		"the list is wrong":        {[]oidctest.Option{oidctest.RequireAuth("client_secret_basic"), oidctest.ListAuth("client_secret_post")}, []string{"post", "basic", "basic"}},
		"the secret is wrong":      {[]oidctest.Option{oidctest.ClientSecret("another-secret")}, []string{"basic", "post", "basic", "post"}},
		"neither is what it takes": {[]oidctest.Option{oidctest.RequireAuth("private_key_jwt")}, []string{"basic", "post", "basic", "post"}},
	} {
		issuer := oidctest.New(append([]oidctest.Option{oidctest.ClientSecret("the-client-secret")}, c.opts...)...)
		cache := t.TempDir()
		for range 2 { // each in a process of its own, as far as memory goes
			i := New(issuer.URL(), Options{CacheDir: cache, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
			err := proves(t, i, Client{ID: oidctest.ClientID, Secret: "the-client-secret"})
			if refused := len(c.want) == 4; refused != (err != nil) {
				t.Errorf("%s: %v", name, err)
			}
		}
		var got []string
		for _, r := range issuer.Requests() {
			if r.Endpoint == oidctest.Token {
				got = append(got, r.ClientAuth)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: asked by %q, want %q", name, got, c.want)
		}
		issuer.Close()
	}
}

// TestSecret_remembersOnlyAWayThatWasBelieved: an issuer that refuses the other way in
// words of its own has not taken the client by it.
func TestSecret_remembersOnlyAWayThatWasBelieved(t *testing.T) {
	for name, c := range map[string]struct {
		status       int
		code, words  string
		believed     bool
		keepsItsCode bool // it is not told as the first way's refusal
	}{
		"post is no way":       {400, "invalid_request", "client_secret must not be in the body", false, false},
		"nor is it known":      {403, "", "", false, true},
		"overloaded":           {503, "", "", false, true},
		"not its scope":        {400, "invalid_scope", "Invalid scopes: gep", true, true},
		"not its target":       {400, "invalid_target", "", true, true},
		"no offline exchanges": {400, "invalid_request", "Scope offline_access not allowed for token exchange", true, true},
	} {
		issuer := oidctest.New()
		issuer.Inject(oidctest.Refuse(401, "invalid_client", "no"), oidctest.Nth(1))
		issuer.Inject(oidctest.Refuse(c.status, c.code, c.words), oidctest.Nth(2))
		i := New(issuer.URL(), Options{CacheDir: t.TempDir(), Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		client := Client{ID: oidctest.ClientID, Secret: secret.Secret(issuer.ClientSecret())}
		_, err := i.Exchange(t.Context(), client, ExchangeRequest{SubjectToken: secret.Secret(issuer.UserToken("alice"))})
		var e *Error
		if !errors.As(err, &e) || (e.Status == 401) == c.keepsItsCode {
			t.Errorf("%s: %v", name, err)
		}
		if way := i.cachedAuth(client); (way == AuthPost) != c.believed {
			t.Errorf("%s: %q is remembered", name, way)
		}
		issuer.Close()
	}
}

// TestSecret_isTriedOnceAsTold: a way that the profile says is the only one.
func TestSecret_isTriedOnceAsTold(t *testing.T) {
	issuer := oidctest.New(oidctest.RequireAuth("client_secret_post"))
	defer issuer.Close()
	err := proves(t, at(issuer.URL(), ""), Client{ID: oidctest.ClientID, Auth: AuthBasic, Secret: secret.Secret(issuer.ClientSecret())})
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(e.Hint().String(), "--client-auth") || issuer.Count("token") != 1 {
		t.Errorf("%d requests, %v", issuer.Count("token"), err)
	}
}

// TestSecret_isNotSentTwiceForNothing: silence and a refusal of the grant are no
// reason to try the client's other way: a refresh token is spent once.
func TestSecret_isNotSentTwiceForNothing(t *testing.T) {
	for _, fault := range []string{"status-500", "status-503", "status-500-after", "cut-after", "reset-after", "refuse-reuse", "redirect-307-other-host"} {
		issuer := oidctest.New()
		issuer.Inject(oidctest.FaultNamed(fault))
		_, err := at(issuer.URL(), "").Refresh(t.Context(), Client{ID: oidctest.ClientID, Secret: secret.Secret(issuer.ClientSecret())}, "some-refresh-token")
		if err == nil || issuer.Count("token") != 1 {
			t.Errorf("%s: %d requests, %v", fault, issuer.Count("token"), err)
		}
		issuer.Close()
	}
}

// TestAssertion_isNewForEachTry: a request that is sent again, after 429, carries
// another assertion.
func TestAssertion_isNewForEachTry(t *testing.T) {
	issuer := oidctest.New(oidctest.RequireAuth("private_key_jwt"))
	defer issuer.Close()
	text, public := oidctest.NewClientKey("p256", nil)
	issuer.RegisterKey(public, "")
	seen := map[string]bool{}
	issuer.Inject(oidctest.Fault{Endpoint: oidctest.Token, After: func(c *oidctest.Call, a *oidctest.Answer) {
		seen[c.Form.Get("client_assertion")] = true
		if len(seen) < 3 {
			a.Status = http.StatusTooManyRequests
		}
	}})
	client := Client{ID: oidctest.ClientID, Auth: AuthKeyJWT, Key: secret.Secret(text)}
	if _, err := at(issuer.URL(), "").Exchange(t.Context(), client, ExchangeRequest{SubjectToken: secret.Secret(issuer.UserToken("alice"))}); err != nil {
		t.Error(err)
	}
	if len(seen) != 3 || issuer.Count("token") != 3 {
		t.Errorf("%d assertions in %d requests", len(seen), issuer.Count("token"))
	}
}

func TestAssertion_clockIsToBlame(t *testing.T) {
	issuer := oidctest.New(oidctest.RequireAuth("client_secret_jwt"))
	defer issuer.Close()
	issuer.Clock.Advance(5 * time.Minute)
	err := proves(t, at(issuer.URL(), ""), Client{ID: oidctest.ClientID, Auth: AuthSecretJWT, Secret: secret.Secret(issuer.ClientSecret())})
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(e.Hint().String(), "set this machine's clock: the issuer's is ") {
		t.Error(err)
	}
}

// TestTLS_needsTLS: a certificate is not left out in silence where it cannot be shown.
func TestTLS_needsTLS(t *testing.T) {
	issuer := oidctest.New()
	defer issuer.Close()
	err := proves(t, at(issuer.URL(), ""), Client{ID: oidctest.ClientID, Auth: AuthTLS})
	var refused *ConfigError
	if !errors.As(err, &refused) || issuer.Count("token") != 0 {
		t.Errorf("%d requests, %v", issuer.Count("token"), err)
	}
}
