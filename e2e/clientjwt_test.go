package e2e

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/keyring"
	"github.com/terradue/t2-cred/e2e/ledger"
	"github.com/terradue/t2-cred/e2e/run"
)

// A workloadSigner signs for a client, as a Kubernetes API server, a SPIRE server or a
// CI system does. Keycloak reads its keys on loopback.
type workloadSigner struct {
	*httptest.Server
	key  clientKey
	file string // where the client finds what was signed last
}

func newWorkloadSigner(t *testing.T, use string) *workloadSigner {
	t.Helper()
	s := &workloadSigner{key: rsaKey(t), file: filepath.Join(t.TempDir(), "assertion.jwt")}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration") {
			_ = json.NewEncoder(w).Encode(object{"issuer": s.URL, "jwks_uri": s.URL + "/jwks"})
			return
		}
		_, _ = io.WriteString(w, s.key.jwks(t, object{"kid": "workload", "use": use}))
	}))
	t.Cleanup(s.Close)
	return s
}

// renew writes a new assertion, as a kubelet does.
func (s *workloadSigner) renew(t *testing.T, audience, subject string) {
	t.Helper()
	s.write(t, object{"aud": audience, "sub": subject})
}

// write writes an assertion that has these claims, or is new without them.
func (s *workloadSigner) write(t *testing.T, claims object) {
	t.Helper()
	encode := func(o object) string {
		b, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	now := time.Now().Unix()
	all := object{"iss": s.URL, "iat": now, "exp": now + 240, "jti": rand.Text()}
	maps.Copy(all, claims)
	input := encode(object{"alg": "RS256", "kid": "workload", "typ": "JWT"}) + "." + encode(all)
	sum := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key.Signer.(*rsa.PrivateKey), crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	token := input + "." + base64.RawURLEncoding.EncodeToString(signature)
	shared.ledger.Add(ledger.Client, token)
	if err := os.WriteFile(s.file, []byte(token+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestClientAuth_jwtFile: a client without a secret of its own, by each of Keycloak's
// three providers of federated client authentication.
func TestClientAuth_jwtFile(t *testing.T) {
	for name, c := range map[string]struct {
		use, subject, kind string
		provider           func(url string) object
		once               bool
	}{
		"kubernetes": {"sig", "system:serviceaccount:ades:worker", "", func(url string) object {
			return object{"providerId": "kubernetes", "config": object{"issuer": url}}
		}, false},
		"spiffe": {"jwt-svid", "spiffe://example.org/job", "jwt-spiffe", func(url string) object {
			return object{"providerId": "spiffe", "config": object{"trustDomain": "spiffe://example.org", "bundleEndpoint": url + "/bundle"}}
		}, false},
		"oidc": {"sig", "workload-1", "", func(url string) object {
			return object{"providerId": "oidc", "config": object{
				"issuer": url, "useJwksUrl": "true", "jwksUrl": url + "/jwks", "validateSignature": "true", "supportsClientAssertions": "true",
			}}
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			realm := server(t).NewRealm(t, keycloak.Legacy)
			signer := newWorkloadSigner(t, c.use)
			provider := c.provider(signer.URL)
			provider["alias"], provider["enabled"], provider["hideOnLogin"] = "workloads", true, true
			realm.AddIdentityProvider(provider)
			registered(realm, "federated-jwt", object{"jwt.credential.issuer": "workloads", "jwt.credential.sub": c.subject})
			signer.renew(t, realm.Issuer(), c.subject)
			home := program(t).NewHome(t).Set(keyring.Start(t).Bus())
			home.Want(0, addClient(realm, "--client-assertion-file", signer.file)...)
			if c.kind != "" {
				appendProfile(t, home, `client_assertion_type = "`+c.kind+`"`)
			}
			if !c.once {
				wholeLife(t, home, realm)
				home.WantDo(0, run.Cmd{Args: []string{"exchange"}, Stdin: realm.UserToken("alice")})
				signer.renew(t, "https://another.example.org", c.subject)
				if r := home.Want(3, "get", "--fresh"); !strings.Contains(r.Stderr, "its aud is [https://another.example.org]") {
					t.Errorf("an assertion for another issuer: %s", r.Stderr)
				}
				return
			}
			usedOnce(t, home, realm, signer, c.subject)
		})
	}
}

// usedOnce has a client whose assertions Keycloak takes once.
func usedOnce(t *testing.T, home *run.Home, realm *keycloak.Realm, signer *workloadSigner, subject string) {
	t.Helper()
	home.WantDo(0, run.Cmd{Args: []string{"exchange"}, Stdin: realm.UserToken("alice")})
	seen := watchAssertions(t, realm)
	if r := home.Want(3, "get", "--fresh"); !strings.Contains(r.Stderr, "takes an assertion once") || !strings.Contains(r.Stderr, "supportsClientAssertionReuse") {
		t.Errorf("the same assertion again: %s", r.Stderr)
	}
	if heads, _ := seen(); len(heads) != 0 {
		t.Errorf("it was sent %d times more", len(heads))
	}
	// The server takes one audience, and no assertion that was made long ago.
	signer.write(t, object{"sub": subject, "aud": []string{realm.Issuer(), "https://another.example.org"}})
	wantFailure(t, home.Run("get", "--fresh"), 8, "", "have the assertion made for one audience")
	signer.write(t, object{"sub": subject, "aud": realm.Issuer(), "iat": time.Now().Add(-10 * time.Minute).Unix()})
	wantFailure(t, home.Run("get", "--fresh"), 8, "too far in the past", "have the file renewed more often (Keycloak takes an assertion for 5 minutes")
	signer.renew(t, realm.Issuer(), subject)
	token := home.Want(0, "get", "--fresh").Token()
	shared.ledger.Add(ledger.Access, token)
	if sub := keycloak.Claims(token)["sub"]; sub != realm.UserID("alice") {
		t.Errorf("the token is %v's", sub)
	}
}
