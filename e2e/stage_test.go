package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/keyring"
	"github.com/terradue/t2-cred/e2e/run"
)

// stage is what a user of t2-cred has: a home, a keyring on a bus of its own, and
// the profile gep for the application of a realm.
type stage struct {
	*run.Home
	t     *testing.T
	ring  *keyring.Session
	realm *keycloak.Realm
}

func newStage(t *testing.T, realm *keycloak.Realm) *stage {
	t.Helper()
	ring := keyring.Start(t)
	s := &stage{program(t).NewHome(t).Set(ring.Bus()), t, ring, realm}
	s.Want(0, addProfile(t, realm)...)
	return s
}

// addProfile is the command that makes gep known, as the README has it.
func addProfile(t *testing.T, realm *keycloak.Realm) []string {
	t.Helper()
	// Unproven: Keycloak writes a proof down as a refresh that was refused, and tests
	// count those.
	return []string{
		"profile", "add", "gep", "--issuer", realm.Issuer(), "--client-id", keycloak.ClientID,
		"--audience", keycloak.ClientID, "--scope", keycloak.Scopes,
		"--client-secret-file", secretFile(t, realm.ClientSecret()), "--unproven",
	}
}

// secretFile is a file with a secret and a line end, outside of every home.
func secretFile(t *testing.T, secret string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// exchange exchanges a new token of a user, and wants it kept.
func (s *stage) exchange(user string, args ...string) run.Result {
	s.t.Helper()
	return s.WantDo(0, run.Cmd{Args: append([]string{"exchange"}, args...), Stdin: s.realm.UserToken(user)})
}

// get wants a token of a user's.
func (s *stage) get(user string, args ...string) string {
	s.t.Helper()
	r := s.Want(0, append([]string{"get"}, args...)...)
	if sub := keycloak.Claims(r.Token())["sub"]; sub != s.realm.UserID(user) {
		s.t.Fatalf("the token is not %s's, its sub is %v", user, sub)
	}
	return r.Token()
}

// free wants f to ask the issuer nothing.
func (s *stage) free(what string, f func()) {
	s.t.Helper()
	before := len(s.realm.Calls())
	f()
	if calls := s.realm.Calls(); len(calls) != before {
		s.t.Errorf("%s asked the issuer: %+v", what, calls[before:])
	}
}

// wantFailure wants an exit code, nothing on stdout, and as the last two lines of
// stderr what failed and what to do, with these words in them.
func wantFailure(t *testing.T, r run.Result, code int, message, hint string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(r.Stderr, "\n"), "\n")
	n := len(lines)
	switch {
	case r.Code != code:
		t.Errorf("want exit %d: %s", code, r)
	case r.Stdout != "":
		t.Errorf("a failure printed on stdout: %s", r)
	case hint == "" && strings.HasPrefix(lines[n-1], "t2-cred: ") && strings.Contains(lines[n-1], message):
		// It knows no remedy.
	case n < 2 || !strings.HasPrefix(lines[n-2], "t2-cred: ") || !strings.HasPrefix(lines[n-1], "hint: "):
		t.Errorf("stderr does not end with one line of what failed and one hint: %s", r)
	case !strings.Contains(lines[n-2], message):
		t.Errorf("the message does not say %q: %s", message, r)
	case !strings.Contains(lines[n-1], hint):
		t.Errorf("the hint does not say %q: %s", hint, r)
	}
}

// object is a JSON object that was printed.
type object map[string]any

func readJSON(t *testing.T, text string) (o object) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return o
}

// want compares some of the members.
func (o object) want(t *testing.T, members object) {
	t.Helper()
	for name, value := range members {
		if o[name] != value {
			t.Errorf("%s is %v, want %v", name, o[name], value)
		}
	}
}

// expire waits until a token has expired, also for who counts its life from the moment when
// it came: exp is cut to whole seconds.
func expire(t *testing.T, token string) {
	t.Helper()
	exp, ok := keycloak.Claims(token)["exp"].(float64)
	if !ok {
		t.Fatal("the token has no exp")
	}
	left := time.Until(time.Unix(int64(exp), 0))
	if left > 20*time.Second {
		t.Fatalf("the token lives for %s, too long to wait", left)
	}
	time.Sleep(left + 1100*time.Millisecond)
}
