package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/keyring"
	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// moveAccounts is of how many accounts a move is ended in the middle.
const moveAccounts = 40

// TestStoreMove_interrupted ends a move between the stores several times in the middle,
// by SIGTERM and by SIGKILL. Meanwhile each account is found, in its store or by a hint;
// the next run goes on. In the end each grant is in the new store alone, and lives: each
// refresh token serves once here.
func TestStoreMove_interrupted(t *testing.T) {
	for _, way := range [][2]string{{"file", "keyring"}, {"keyring", "file"}} {
		t.Run(way[0]+" to "+way[1], func(t *testing.T) {
			m := newMover(t, way[0], way[1])
			m.interrupt(syscall.SIGTERM, 4)
			m.interrupt(syscall.SIGKILL, 12)
			m.interrupt(syscall.SIGKILL, 20)
			m.interrupt(syscall.SIGTERM, 28)
			m.finish()
		})
	}
}

// A mover is a home with many accounts, whose store is to be another.
type mover struct {
	t        *testing.T
	home     *run.Home
	from, to string
	spent    *oidctest.Spendings
}

func newMover(t *testing.T, from, to string) *mover {
	t.Helper()
	issuer := oidctest.New(oidctest.Refresh(oidctest.Revoke))
	t.Cleanup(func() {
		tellLedger(issuer)
		issuer.Close()
	})
	m := &mover{t: t, from: from, to: to, home: program(t).NewHome(t).Set(keyring.Start(t).Bus())}
	m.home.Want(0, "store", "init")
	if from == "file" {
		m.home.Want(0, "store", "init", "--use")
	}
	m.home.WantDo(0, run.Cmd{
		Args: []string{
			"profile", "add", "gep", "--issuer", issuer.URL(), "--client-id", oidctest.ClientID, "--audience", oidctest.ClientID,
			"--scope", keycloak.Scopes, "--client-secret-file", "-",
		},
		Stdin: issuer.ClientSecret(),
	})
	for n := range moveAccounts {
		m.home.WantDo(0, run.Cmd{Args: []string{"exchange", "--account", account(n)}, Stdin: issuer.UserToken("alice")})
	}
	m.spent, _ = issuer.Watch()
	return m
}

func account(n int) string { return fmt.Sprintf("job-%03d", n) }

// moved counts the accounts of which the new store has a note.
func (m *mover) moved() int {
	m.t.Helper()
	notes, err := filepath.Glob(filepath.Join(m.home.Dir, ".local/state/t2-cred/*/notes-"+m.to+"/*"))
	if err != nil {
		m.t.Fatal(err)
	}
	return len(notes)
}

// interrupt ends a move once the new store has n accounts.
func (m *mover) interrupt(sig syscall.Signal, n int) {
	m.t.Helper()
	r := m.home.Start(run.Cmd{Args: []string{"store", "move", "--to", m.to}})
	for began := time.Now(); m.moved() < n; time.Sleep(time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			m.t.Fatalf("%d accounts were moved in 30 s", m.moved())
		}
	}
	if err := r.Signal(sig); err != nil {
		m.t.Fatal(err)
	}
	res := r.Wait()
	there := m.moved()
	if there < n || there >= moveAccounts {
		m.t.Fatalf("%s: %d of %d accounts were moved: %s", sig, there, moveAccounts, res)
	}
	switch {
	case sig == syscall.SIGKILL && res.Signal != sig:
		m.t.Errorf("it was not killed: %s", res)
	case sig == syscall.SIGTERM:
		want := fmt.Sprintf("hint: to go on with the others: t2-cred store move --to %s\n", m.to)
		if res.Code != 130 || !strings.Contains(res.Stderr, "store move: interrupted after ") || !strings.HasSuffix(res.Stderr, want) {
			m.t.Errorf("%s: %s", sig, res)
		}
	}
	m.eachIsFound(there)
}

// eachIsFound asks for an account of each half, and for those between.
func (m *mover) eachIsFound(there int) {
	m.t.Helper()
	for _, n := range []int{0, there - 1, there, moveAccounts - 1} {
		r := m.home.Run("get", "--fresh", "--account", account(n))
		elsewhere := r.Code == 5 && strings.Contains(r.Stderr, "is in the "+m.to+" store, and the "+m.from+" store is in use") &&
			strings.Contains(r.Stderr, "hint: t2-cred store move --to "+m.to)
		if r.Code != 0 && !elsewhere || n < there-1 && !elsewhere || n > there && r.Code != 0 {
			m.t.Errorf("with %d moved, account %d: %s", there, n, r)
		}
	}
	// The one that the interruption met may be in both. The new store works for those it has.
	if r := m.home.Run("get", "--fresh", "--account", account(0), "--store", m.to); r.Code != 0 {
		m.t.Errorf("a moved account in its store: %s", r)
	}
	r := m.home.Want(0, "list", "--json")
	if !strings.Contains(r.Stderr, "accounts are in the "+m.to+" store, which is not in use") {
		m.t.Errorf("list says nothing of the moved accounts: %s", r)
	}
}

// finish has the last run move the rest.
func (m *mover) finish() {
	m.t.Helper()
	m.home.Want(0, "store", "move", "--to", m.to)
	if m.moved() != moveAccounts {
		m.t.Errorf("%d of %d accounts are in the %s store", m.moved(), moveAccounts, m.to)
	}
	r := m.home.Want(0, "list", "--json")
	var listed []struct{ State, Store string }
	if err := json.Unmarshal([]byte(r.Stdout), &listed); err != nil || len(listed) != moveAccounts || r.Stderr != "" {
		m.t.Errorf("%d accounts are listed, %v: %s", len(listed), err, r.Stderr)
	}
	for _, a := range listed {
		if a.State != "ok" || a.Store != m.to {
			m.t.Errorf("listed: %+v", a)
		}
	}
	for n := range moveAccounts {
		m.home.Want(0, "get", "--fresh", "--account", account(n))
	}
	if twice := m.spent.Twice(); len(twice) > 0 {
		m.t.Errorf("%d refresh tokens were sent twice: %s", len(twice), tell(m.spent.All()))
	}
	// Nothing is left in the old store.
	if code := m.home.Run("get", "--account", account(1), "--store", m.from).Code; code != 5 {
		m.t.Errorf("get from the old store ends with %d", code)
	}
	left, err := filepath.Glob(filepath.Join(m.home.Dir, ".local/state/t2-cred/*/notes-"+m.from+"/*"))
	if err != nil || len(left) > 0 {
		m.t.Errorf("notes of the old store: %q, %v", left, err)
	}
	if m.from == "file" {
		entries, err := filepath.Glob(filepath.Join(m.home.Dir, ".local/share/t2-cred/*/*grant*"))
		if err != nil || len(entries) > 0 {
			m.t.Errorf("records in the old store: %q, %v", entries, err)
		}
		if _, err := os.Stat(filepath.Join(m.home.Dir, ".local/share/t2-cred/identity")); err != nil {
			m.t.Error(err)
		}
	}
}
