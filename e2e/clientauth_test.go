package e2e

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/keyring"
	"github.com/terradue/t2-cred/e2e/ledger"
	"github.com/terradue/t2-cred/e2e/run"
)

// a client's private key, made for one test, in a PEM file.
type clientKey struct {
	crypto.Signer
	file string
}

func newClientKey(t *testing.T, key crypto.Signer, err error) clientKey {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "client-key.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if len(line) > 40 {
			shared.ledger.Add(ledger.Client, strings.TrimSpace(line))
		}
	}
	return clientKey{key, file}
}

func rsaKey(t *testing.T) clientKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	return newClientKey(t, key, err)
}

func ecKey(t *testing.T, curve elliptic.Curve) clientKey {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	return newClientKey(t, key, err)
}

// public is the public half, base64 of its DER as Keycloak's console takes it.
func (k clientKey) public(t *testing.T) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

// jwks is the public half as a JWK set; more are members of the key.
func (k clientKey) jwks(t *testing.T, more object) string {
	t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	key := object{"use": "sig"}
	for name, value := range more {
		key[name] = value
	}
	switch public := k.Public().(type) {
	case *rsa.PublicKey:
		key["kty"], key["n"], key["e"] = "RSA", b64(public.N.Bytes()), b64(big.NewInt(int64(public.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		half := (len(point) - 1) / 2
		key["kty"], key["crv"], key["x"], key["y"] = "EC", public.Params().Name, b64(point[1:1+half]), b64(point[1+half:])
	case ed25519.PublicKey:
		key["kty"], key["crv"], key["x"] = "OKP", "Ed25519", b64(public)
	}
	b, err := json.Marshal(object{"keys": []object{key}})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// registered sets how Keycloak wants our client to prove itself.
func registered(realm *keycloak.Realm, authenticator string, attributes object) {
	all := object{
		"use.jwks.url": "false", "use.jwks.string": "false", "jwks.url": "", "jwks.string": "", "jwt.credential.public.key": "", "token.endpoint.auth.signing.alg": "",
	}
	for name, value := range attributes {
		all[name] = value
	}
	realm.ConfigureClient(keycloak.ClientID, object{"clientAuthenticatorType": authenticator, "attributes": all})
}

// addClient is profile add, with what the client proves itself by.
func addClient(realm *keycloak.Realm, how ...string) []string {
	return append([]string{
		"profile", "add", "gep", "--issuer", realm.Issuer(), "--client-id", keycloak.ClientID,
		"--audience", keycloak.ClientID, "--scope", keycloak.Scopes,
	}, how...)
}

// wholeLife has the client prove itself at the token endpoint, twice, and at the
// revocation endpoint.
func wholeLife(t *testing.T, home *run.Home, realm *keycloak.Realm) {
	t.Helper()
	home.WantDo(0, run.Cmd{Args: []string{"exchange"}, Stdin: realm.UserToken("alice")})
	for range 2 {
		token := home.Want(0, "get", "--fresh").Token()
		shared.ledger.Add(ledger.Access, token)
		if sub := keycloak.Claims(token)["sub"]; sub != realm.UserID("alice") {
			t.Errorf("the token is %v's", sub)
		}
	}
	home.Want(0, "erase")
	home.Want(4, "get")
}

// TestClientAuth_privateKey: keys of each kind, registered in each way that Keycloak
// has, with the algorithm that is left to us and with one that it demands.
func TestClientAuth_privateKey(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Legacy)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	ed := newClientKey(t, edKey, err)
	rsa2, p256, p384, p521 := rsaKey(t), ecKey(t, elliptic.P256()), ecKey(t, elliptic.P384()), ecKey(t, elliptic.P521())
	published := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, rsa2.jwks(t, object{"kid": "2026-11", "alg": "RS256"}))
	}))
	defer published.Close()
	inline := func(k clientKey, more object) object {
		return object{"use.jwks.string": "true", "jwks.string": k.jwks(t, more)}
	}
	for name, c := range map[string]struct {
		key        clientKey
		kid        string
		attributes object
		alg        string // as Keycloak got it
	}{
		"RSA, public key":      {rsa2, "", object{"jwt.credential.public.key": rsa2.public(t)}, "RS256"},
		"RSA, JWKS URL":        {rsa2, "2026-11", object{"use.jwks.url": "true", "jwks.url": published.URL}, "RS256"},
		"RSA, JWKS, no key id": {rsa2, "", inline(rsa2, object{"kid": "2026-11"}), "RS256"},
		"P-256, JWKS":          {p256, "one", inline(p256, object{"kid": "one"}), "ES256"},
		"P-384, JWKS":          {p384, "one", inline(p384, object{"kid": "one"}), "ES384"},
		"P-521, JWKS":          {p521, "one", inline(p521, object{"kid": "one"}), "ES512"},
		"Ed25519, JWKS":        {ed, "one", inline(ed, object{"kid": "one", "alg": "EdDSA"}), "EdDSA"},
	} {
		t.Run(name, func(t *testing.T) {
			registered(realm, "client-jwt", c.attributes)
			home := program(t).NewHome(t).Set(keyring.Start(t).Bus())
			home.Want(0, addClient(realm, "--client-key-file", c.key.file)...)
			if c.kid != "" {
				appendProfile(t, home, `client_key_id = "`+c.kid+`"`)
			}
			seen := watchAssertions(t, realm)
			wholeLife(t, home, realm)
			heads, claims := seen()
			if len(heads) != 5 { // exchange, introspection, two refreshes, revocation
				t.Fatalf("%d assertions", len(heads))
			}
			jtis := map[any]bool{}
			for n := range heads {
				jtis[claims[n]["jti"]] = true
				if heads[n]["alg"] != c.alg || claims[n]["aud"] != realm.Issuer() || heads[n]["kid"] != any(nilIfEmpty(c.kid)) {
					t.Errorf("assertion %d: %v %v", n, heads[n], claims[n])
				}
			}
			if len(jtis) != 5 {
				t.Errorf("an assertion served twice: %v", jtis)
			}
		})
	}
}

func nilIfEmpty(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// appendProfile adds a line to the file of the profile gep.
func appendProfile(t *testing.T, home *run.Home, line string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(home.Dir, ".config", "t2-cred", "profiles.d", "gep.toml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.WriteString(f, line+"\n"); err != nil {
		t.Fatal(err)
	}
}

// watchAssertions reads the client assertions that pass on the way to Keycloak.
func watchAssertions(t *testing.T, realm *keycloak.Realm) func() (heads, claims []map[string]any) {
	t.Helper()
	var mu sync.Mutex
	var heads, claims []map[string]any
	realm.Intercept(func(keycloakItself http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(strings.NewReader(string(body)))
			form, _ := url.ParseQuery(string(body))
			if a := form.Get("client_assertion"); a != "" {
				shared.ledger.Add(ledger.Client, a)
				if form.Has("client_secret") || r.Header.Get("Authorization") != "" {
					t.Error("an assertion and something else")
				}
				mu.Lock()
				heads, claims = append(heads, keycloak.Header(a)), append(claims, keycloak.Claims(a))
				mu.Unlock()
			}
			keycloakItself.ServeHTTP(w, r)
		})
	})
	return func() ([]map[string]any, []map[string]any) {
		mu.Lock()
		defer mu.Unlock()
		return heads, claims
	}
}

// TestClientAuth_anotherKey: Keycloak does not know the key, or demands an algorithm
// that a JWK can name; the grant stays, and a key in the store is rotated.
func TestClientAuth_anotherKey(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Legacy)
	old, next := rsaKey(t), rsaKey(t)
	registered(realm, "client-jwt", object{"jwt.credential.public.key": old.public(t)})
	home := program(t).NewHome(t).Set(keyring.Start(t).Bus())
	home.Want(0, addClient(realm, "--client-auth", "private_key_jwt", "--client-secret-file", old.file)...)
	home.WantDo(0, run.Cmd{Args: []string{"exchange"}, Stdin: realm.UserToken("alice")})

	registered(realm, "client-jwt", object{"jwt.credential.public.key": next.public(t)})
	r := home.Run("get", "--fresh")
	wantFailure(t, r, 8, "invalid_client", "register the public half of this client's key")
	home.Want(0, "profile", "set-secret", "gep", "--client-secret-file", next.file)
	home.Want(0, "get", "--fresh")

	registered(realm, "client-jwt", object{"jwt.credential.public.key": next.public(t), "token.endpoint.auth.signing.alg": "PS256"})
	r = home.Run("get", "--fresh")
	wantFailure(t, r, 8, "Invalid signature algorithm", "a JWK that names it as alg")
	registered(realm, "client-jwt", object{"token.endpoint.auth.signing.alg": "PS256", "use.jwks.string": "true", "jwks.string": next.jwks(t, object{"kid": "x", "alg": "PS256"})})
	home.WantDo(0, run.Cmd{Args: []string{"profile", "set-secret", "gep", "--client-secret-file", "-"}, Stdin: jwkOf(t, next, "PS256")})
	home.Want(0, "get", "--fresh")
}

// jwkOf is an RSA key as a private JWK with key id x.
func jwkOf(t *testing.T, k clientKey, alg string) string {
	t.Helper()
	private := k.Signer.(*rsa.PrivateKey)
	b64 := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
	text, err := json.Marshal(object{
		"kty": "RSA", "kid": "x", "alg": alg, "n": b64(private.N), "e": b64(big.NewInt(int64(private.E))), "d": b64(private.D),
		"p": b64(private.Primes[0]), "q": b64(private.Primes[1]),
		"dp": b64(private.Precomputed.Dp), "dq": b64(private.Precomputed.Dq), "qi": b64(private.Precomputed.Qinv),
	})
	if err != nil {
		t.Fatal(err)
	}
	shared.ledger.Add(ledger.Client, b64(private.D))
	return string(text) + "\n"
}

// TestClientAuth_login: the proof is asked for at the pushed authorization request, at
// the device endpoint and at each poll too.
func TestClientAuth_login(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Legacy)
	key := ecKey(t, elliptic.P256())
	registered(realm, "client-jwt", object{"use.jwks.string": "true", "jwks.string": key.jwks(t, object{"kid": "one"})})
	home := program(t).NewHome(t).Set(keyring.Start(t).Bus())
	home.Want(0, addClient(realm, "--client-key-file", key.file)...)
	seen := watchAssertions(t, realm)
	l := startLogin(t, home, "--browser")
	address := l.until(`^\s+(http\S+)$`)
	b := newBrowser(t)
	b.logIn(b.open(address), "alice", realm.Password("alice"))
	l.end(0)
	if heads, _ := seen(); len(heads) != 3 { // with the pushed request, with the code, and with the introspection
		t.Errorf("%d assertions in a login by browser", len(heads))
	}
	l = startLogin(t, home, "--device", "--replace")
	address = l.until(`^\s+(http\S+)$`)
	code := l.until(`^\s+([A-Z]{4}-[A-Z]{4})$`)
	b = newBrowser(t)
	b.submit(b.logIn(b.open(address+"?user_code="+code), "bob", realm.Password("bob")), url.Values{"accept": {"Yes"}})
	l.end(0)
	if sub := keycloak.Claims(home.Want(0, "get", "--fresh").Token())["sub"]; sub != realm.UserID("bob") {
		t.Errorf("the token is %v's", sub)
	}
}

// TestClientAuth_secret: the secret as a key of a HMAC, in the form, in the header; and
// a secret that a command tells.
func TestClientAuth_secret(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Legacy)
	file := secretFile(t, realm.ClientSecret())
	t.Run("client_secret_jwt", func(t *testing.T) {
		registered(realm, "client-secret-jwt", nil)
		home := program(t).NewHome(t).Set(keyring.Start(t).Bus())
		home.Want(0, addClient(realm, "--client-auth", "client_secret_jwt", "--client-secret-file", file)...)
		seen := watchAssertions(t, realm)
		wholeLife(t, home, realm)
		if heads, _ := seen(); len(heads) != 5 || heads[0]["alg"] != "HS256" {
			t.Errorf("%d assertions, %v", len(heads), heads)
		}
	})
	for _, auth := range []string{"basic", "post"} {
		t.Run(auth, func(t *testing.T) {
			registered(realm, "client-secret", nil)
			home := program(t).NewHome(t).Set(keyring.Start(t).Bus())
			home.Want(0, addClient(realm, "--client-auth", auth, "--client-secret-file", file)...)
			wholeLife(t, home, realm)
		})
	}
	t.Run("command", func(t *testing.T) {
		registered(realm, "client-secret", nil)
		home := program(t).NewHome(t).Set(keyring.Start(t).Bus())
		home.Want(0, addClient(realm)...)
		appendProfile(t, home, `client_secret_command = ["/bin/cat", "`+file+`"]`)
		wholeLife(t, home, realm)
	})
}

// TestClientAuth_certificate: mutual TLS at Keycloak's own https listener.
func TestClientAuth_certificate(t *testing.T) {
	srv := server(t)
	realm := srv.NewSecureRealm(t, keycloak.Legacy, keycloak.Loopback)
	cert, key := realm.ClientCertificate(t.TempDir(), "ellip")
	registered(realm, "client-x509", object{"x509.subjectdn": "CN=ellip,O=Example", "x509.allow.regex.pattern.comparison": "false"})
	home := program(t).NewHome(t).Set(keyring.Start(t).Bus())
	add := addClient(realm, "--client-cert-file", cert, "--client-key-file", key)

	wantFailure(t, home.Run(add...), 6, "certificate signed by unknown authority", "ca_file in the profile")
	home.Want(0, append(add, "--ca-file", srv.CAFile())...)
	wholeLife(t, home, realm)

	// Another subject: the CA is the right one, the client is not.
	other, otherKey := realm.ClientCertificate(t.TempDir(), "somebody-else")
	home.Want(0, "profile", "edit", "gep", "--unproven", "--client-cert-file", other, "--client-key-file", otherKey)
	r := home.Do(run.Cmd{Args: []string{"exchange"}, Stdin: realm.UserToken("alice")})
	wantFailure(t, r, 8, "", "register this client's certificate")
	// None at all.
	home.Want(0, "profile", "edit", "gep", "--unproven", "--client-auth", "none", "--client-cert-file", "", "--client-key-file", "")
	r = home.Do(run.Cmd{Args: []string{"exchange"}, Stdin: realm.UserToken("alice")})
	wantFailure(t, r, 8, "invalid_client", "not a public one at the issuer")
}

// TestClientAuth_documentedConfiguration: what docs/client-auth.md has one write is
// read without complaint.
func TestClientAuth_documentedConfiguration(t *testing.T) {
	blocks := snippets(t, "client-auth.md", "toml")
	for _, text := range blocks {
		path := filepath.Join(t.TempDir(), "config.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		program(t).NewHome(t).Want(0, "profile", "show", "--config", path)
	}
	if len(blocks) < 5 {
		t.Errorf("the page shows %d configurations", len(blocks))
	}
}
