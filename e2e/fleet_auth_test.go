package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/openbao"
	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// serviceAccountToken is a token of Kubernetes for the service account jobs/ades, whose
// signature only the cluster judges.
func serviceAccountToken(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	part := func(v any) string {
		b, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	signed := part(map[string]string{"alg": "ES256", "typ": "JWT"}) + "." + part(map[string]any{
		"iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:jobs:ades", "aud": []string{"openbao"},
		"iat": time.Now().Unix(), "nbf": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(), "jti": rand.Text(),
		"kubernetes.io": map[string]any{"namespace": "jobs", "serviceaccount": map[string]string{"name": "ades", "uid": "uid-of-ades"}},
	})
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

// reviewer is the one call of Kubernetes' API that the engine makes: whose token is it?
func reviewer(t *testing.T, token string) (url, ca string) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		review := map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": map[string]any{"authenticated": false}}
		if strings.HasSuffix(r.URL.Path, "/tokenreviews") && strings.Contains(string(body), token) {
			review["status"] = map[string]any{
				"authenticated": true, "audiences": []string{"openbao"},
				"user": map[string]any{
					"username": "system:serviceaccount:jobs:ades", "uid": "uid-of-ades",
					"groups": []string{"system:serviceaccounts", "system:serviceaccounts:jobs", "system:authenticated"},
				},
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(server.Close)
	return server.URL, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}

// TestFleetAuth: each way in which a machine proves itself to the engine. Kubernetes is
// played by the one call that the engine makes there.
func TestFleetAuth(t *testing.T) {
	c := openbao.Start(t, openbao.Options{Quick: true, Ledger: shared.ledger})
	c.Store()
	c.SetPolicy("auth", openbao.Policy("auth"))
	dir := t.TempDir()
	write := func(name, text string) string {
		writeIn(t, dir, name, text)
		return filepath.Join(dir, name)
	}
	issuer := oidctest.New()
	t.Cleanup(issuer.Close)

	c.AppRole("node", "auth", "10m", dir)
	c.Cert("host", "auth", "one", dir)
	c.JWT("job", "auth", issuer.URL(), issuer.URL()+"/protocol/openid-connect/certs", issuer.Sub("alice"), oidctest.ClientID)
	token := serviceAccountToken(t)
	host, ca := reviewer(t, token)
	c.Kubernetes("pod", "auth", host, ca, "ades", "jobs")
	credentials := t.TempDir() // what systemd would give
	for _, name := range []string{"role-id", "secret-id"} {
		writeIn(t, credentials, "t2-cred-"+name, readFile(t, filepath.Join(dir, name)))
	}

	for name, lines := range map[string]string{
		"approle":             fmt.Sprintf("auth = \"approle\"\nrole_id_file = %q\nsecret_id_file = %q", filepath.Join(dir, "role-id"), filepath.Join(dir, "secret-id")),
		"approle, by systemd": "auth = \"approle\"\nrole_id_file = \"t2-cred-role-id\"\nsecret_id_file = \"t2-cred-secret-id\"",
		"cert":                fmt.Sprintf("auth = \"cert\"\nrole = \"host\"\ncert_file = %q\nkey_file = %q", filepath.Join(dir, "one.pem"), filepath.Join(dir, "one-key.pem")),
		"jwt":                 fmt.Sprintf("auth = \"jwt\"\nrole = \"job\"\njwt_file = %q", write("jwt", issuer.UserToken("alice"))),
		"kubernetes":          fmt.Sprintf("auth = \"kubernetes\"\nrole = \"pod\"\njwt_file = %q", write("sa", token)),
		"token_file":          fmt.Sprintf("auth = \"token_file\"\ntoken_file = %q", write("token", c.Token("auth", "10m"))),
	} {
		t.Run(name, func(t *testing.T) {
			h := program(t).NewHome(t).Set("CREDENTIALS_DIRECTORY=" + credentials)
			config := filepath.Join(h.Dir, ".config/t2-cred")
			if err := os.MkdirAll(config, 0o700); err != nil {
				t.Fatal(err)
			}
			writeIn(t, config, "config.toml", fmt.Sprintf(
				"store = \"openbao\"\n[stores.openbao]\naddress = [\"%s\"]\nca_file = %q\nmount = %q\nprefix = \"auth\"\n%s\n[profiles.gep]\nissuer = %q\nclient_id = %q\n",
				strings.Join(c.Addresses(), `", "`), c.CAFile(), openbao.Mount, lines, issuer.URL(), oidctest.ClientID))
			h.WantDo(0, run.Cmd{Args: []string{"profile", "set-secret", "gep", "--client-secret-file", "-"}, Stdin: issuer.ClientSecret()})
			if r := h.Want(0, "store", "status"); !strings.Contains(r.Stdout, "openbao") {
				t.Errorf("%s", r)
			}
		})
	}
}
