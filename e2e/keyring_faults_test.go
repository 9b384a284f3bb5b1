package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/keyring"
	"github.com/terradue/t2-cred/e2e/ledger"
	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// Of the faults below: what --timeout says, and what a busy machine may add.
const (
	faultTimeout = 5 * time.Second
	faultSlack   = 1500 * time.Millisecond
)

// fault is a keyring that does not work.
type fault struct {
	name string
	// begin breaks the keyring of a stage, or puts another in its place.
	begin func(t *testing.T, s *stage)
	// during, if there is one, breaks it once the command is under way.
	during  func(s *stage)
	message string
	hint    string
	callers int  // at once; 0 is one
	slow    bool // found out by the deadline alone
}

func faults() []fault {
	instead := func(broken func(*testing.T) *keyring.Session) func(*testing.T, *stage) {
		return func(t *testing.T, s *stage) { s.Set(broken(t).Bus()) }
	}
	pause := func(_ *testing.T, s *stage) { s.ring.Pause() }
	return []fault{
		{
			name: "locked", begin: func(_ *testing.T, s *stage) { s.ring.Lock() },
			message: "store is locked: the keyring needs its password", hint: "unlock the keyring",
		},
		{
			name: "locked, six callers", begin: func(_ *testing.T, s *stage) { s.ring.Lock() }, callers: 6,
			message: "store is locked: the keyring needs its password", hint: "unlock the keyring",
		},
		{
			name: "no bus", begin: func(t *testing.T, s *stage) { noBus(t, s) },
			message: "no session bus", hint: "t2-cred store init",
		},
		{
			name: "the bus has gone", begin: func(_ *testing.T, s *stage) { s.ring.StopBus() },
			message: "cannot connect to the session bus", hint: "t2-cred store init",
		},
		{
			name:    "no provider",
			begin:   instead(func(t *testing.T) *keyring.Session { return keyring.NoProvider(t) }),
			message: "no keyring service on the session bus", hint: "install and start one",
		},
		{
			name:    "no default collection",
			begin:   instead(func(t *testing.T) *keyring.Session { return keyring.NoDefaultCollection(t) }),
			message: "no default keyring", hint: "create one",
		},
		{
			name:    "a socket that never answers",
			begin:   instead(func(t *testing.T) *keyring.Session { return keyring.DeadSocket(t) }),
			message: "the keyring does not answer", hint: "restart the keyring service", slow: true,
		},
		{
			name: "the daemon is stopped", begin: pause,
			message: "the keyring does not answer", hint: "restart the keyring service", slow: true,
		},
		{
			name: "the daemon is stopped, six callers", begin: pause, callers: 6,
			message: "the keyring does not answer", hint: "restart the keyring service", slow: true,
		},
		{
			name: "the daemon has died", begin: func(_ *testing.T, s *stage) { s.ring.Kill() },
			message: "no keyring service on the session bus", hint: "install and start one",
		},
		{
			name: "the daemon dies in mid-call", begin: pause, during: func(s *stage) { s.ring.Kill() },
			message: "store is not available", hint: "t2-cred store init",
		},
		{
			name: "the bus dies in mid-call", begin: pause, during: func(s *stage) { s.ring.StopBus() },
			message: "store is not available", hint: "t2-cred store init",
		},
	}
}

// TestFaults: whatever is wrong with the keyring, each command that needs it says
// so in time with exit 5, nothing is spent, nothing is left running, and a token
// that is cached is served.
func TestFaults(t *testing.T) {
	shared := server(t).Realm(t, keycloak.Legacy)
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			realm := shared
			if f.slow {
				t.Parallel() // it is waiting, mostly
				realm = server(t).NewRealm(t, keycloak.Legacy)
			}
			s := f.stage(t, realm)
			cached := s.get("alice")
			subject := realm.UserToken("bob")
			commands := []run.Cmd{
				{Args: []string{"get", "--account", "nobody"}},
				{Args: []string{"get", "--fresh"}},
				{Args: []string{"exchange", "--account", "bob"}, Stdin: subject},
				{Args: []string{"status"}},
				{Args: []string{"status", "--account", "nobody"}},
				{Args: []string{"exchange"}, Stdin: subject},
			}
			if f.slow && f.callers > 1 {
				commands = commands[1:3]
			}
			size := 1
			if f.slow && f.callers == 0 {
				size = len(commands) - 1 // at once, those that do not wait for each other
			}
			for n := 0; n < len(commands); n += size {
				if f.during != nil && n > 0 {
					s = f.stage(t, realm) // it dies only once
					cached = s.get("alice")
				}
				batch := commands[n:min(n+size, len(commands))]
				s.free(fmt.Sprint(batch[0].Args), func() { f.run(t, s, batch) })
			}
			// What is cached needs no keyring.
			if r := s.Want(0, "get"); r.Token() != cached || r.Stderr != "" || r.Took > time.Second {
				t.Errorf("a cached get: %s", r)
			}
		})
	}
}

// stage is a home with a token of alice's and a keyring that no longer works.
func (f fault) stage(t *testing.T, realm *keycloak.Realm) *stage {
	t.Helper()
	s := newStage(t, realm)
	s.exchange("alice")
	launched := fakeDBusLaunch(t, s.Home)
	t.Cleanup(func() {
		if b, err := os.ReadFile(launched); err == nil {
			t.Errorf("dbus-launch was started: %s", b)
		}
		if left := processesOf(t, s.Home); len(left) > 0 {
			t.Errorf("left running: %q", left)
		}
	})
	f.begin(t, s)
	return s
}

// run runs each command, all at once and as often as there are callers, and wants
// all to fail.
func (f fault) run(t *testing.T, s *stage, commands []run.Cmd) {
	t.Helper()
	var running []*run.Running
	for _, c := range commands {
		c.Args = append(slices.Clone(c.Args), "--timeout", faultTimeout.String())
		for range max(1, f.callers) {
			running = append(running, s.Start(c))
		}
	}
	if f.during != nil {
		time.Sleep(500 * time.Millisecond)
		for _, r := range running {
			if !r.Alive() {
				t.Errorf("it ended too soon: %s", r.Wait())
			}
		}
		f.during(s)
	}
	broken := time.Now()
	said := 0
	for _, r := range running {
		res := r.Wait()
		if f.slow && f.callers > 1 && res.Code == 9 {
			// The one whose turn it was waits for the keyring, and the others for it.
			wantFailure(t, res, 9, "another t2-cred holds the lock", "--timeout")
		} else {
			wantFailure(t, res, 5, f.message, f.hint)
			said++
		}
		if n := strings.Count(res.Stderr, "\n"); n != 2 {
			t.Errorf("%d lines on stderr, want the message and the hint: %s", n, res)
		}
		limit := faultTimeout + faultSlack
		if !f.slow {
			limit = 2 * time.Second
		}
		took := res.Took
		if f.during != nil {
			took = r.Ended().Sub(broken)
		}
		if took > limit {
			t.Errorf("it took %s, more than %s: %s", took, limit, res)
		}
	}
	if said == 0 {
		t.Errorf("none of %d callers of %v said what is wrong with the keyring", len(running), commands[0].Args)
	}
}

// noBus leaves a home without a session bus.
func noBus(t *testing.T, s *stage) {
	t.Helper()
	if _, err := os.Stat(fmt.Sprintf("/run/user/%d/bus", os.Getuid())); err == nil {
		t.Skip("NOT CHECKED: this user has a desktop's bus, which is found without being named")
	}
	s.Unset("DBUS_SESSION_BUS_ADDRESS")
}

// fakeDBusLaunch puts a dbus-launch before the real one, and gives the file that
// tells whether it was started.
func fakeDBusLaunch(t *testing.T, h *run.Home) string {
	t.Helper()
	dir := t.TempDir()
	launched := filepath.Join(dir, "launched")
	script := fmt.Sprintf("#!/bin/sh\necho \"$@\" >>%s\nexit 1\n", launched)
	if err := os.WriteFile(filepath.Join(dir, "dbus-launch"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	h.Set("PATH=" + dir + ":" + os.Getenv("PATH"))
	return launched
}

// processesOf are the processes that have this home in their environment.
func processesOf(t *testing.T, h *run.Home) (found []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil || len(all) == 0 {
		t.Fatalf("no processes, %v", err)
	}
	for _, path := range all {
		b, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(b, []byte("HOME="+h.Dir+"\x00")) {
			continue // of somebody else, or gone
		}
		name, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "comm"))
		found = append(found, strings.TrimSpace(string(name)))
	}
	return found
}

// TestFaults_pass: when the trouble is over, all goes on as before.
func TestFaults_pass(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Rotation)
	s := newStage(t, realm)
	s.exchange("alice")
	created := readJSON(t, s.Want(0, "status", "--json").Stdout)["created_at"]
	for range 3 {
		s.ring.Lock()
		wantFailure(t, s.Run("get", "--fresh"), 5, "locked", "unlock")
		s.ring.Unlock()
		s.get("alice", "--fresh")
		s.ring.Pause()
		wantFailure(t, s.Run("get", "--fresh", "--timeout", "1s"), 5, "does not answer", "")
		s.ring.Resume()
		s.get("alice", "--fresh")
		s.ring.Kill()
		wantFailure(t, s.Run("get", "--fresh"), 5, "no keyring service", "")
		s.ring.Restart()
		wantFailure(t, s.Run("get", "--fresh"), 5, "locked", "unlock")
		s.ring.Unlock()
		s.get("alice", "--fresh")
	}
	readJSON(t, s.Want(0, "status", "--json").Stdout).want(t, object{"state": "ok", "created_at": created})
	if n := realm.RefreshErrors(); n != 0 {
		t.Errorf("the server refused %d refreshes", n)
	}
}

// TestFaults_twelveAtOnce: gnome-keyring 42 aborts under clients that open a session
// before they ask for anything else, and then the keyring is locked for the whole
// desktop. Twelve processes at once store and read, and it lives.
func TestFaults_twelveAtOnce(t *testing.T) {
	parts.Need(t, parts.Keyring)
	const workers = 12
	duration := 5 * time.Second
	if parts.Required() {
		duration = time.Minute
	}
	issuer := oidctest.New(oidctest.Refresh(oidctest.Revoke))
	t.Cleanup(func() {
		tellLedger(issuer)
		issuer.Close()
	})
	ring := keyring.Start(t)
	home := program(t).NewHome(t).Set(ring.Bus())
	home.Want(0, "profile", "add", "gep", "--issuer", issuer.URL(), "--client-id", oidctest.ClientID,
		"--audience", oidctest.ClientID, "--scope", keycloak.Scopes, "--client-secret-file", secretFile(t, issuer.ClientSecret()))

	var runs atomic.Int64
	var all sync.WaitGroup
	deadline := time.Now().Add(duration)
	for n := range workers {
		account := "account-" + strconv.Itoa(n)
		all.Go(func() {
			do := func(c run.Cmd, sub string) bool {
				runs.Add(1)
				c.Args = append(c.Args, "--account", account)
				r := home.Start(c).Wait()
				switch {
				case r.Code != 0:
					t.Errorf("%s: %s", account, r)
				case sub != "" && keycloak.Claims(r.Token())["sub"] != sub:
					t.Errorf("%s: the token's sub is %v, want %s", account, keycloak.Claims(r.Token())["sub"], sub)
				default:
					return true
				}
				return false
			}
			// Each account is two users' in turn.
			for round := 0; round == 0 || time.Now().Before(deadline); round++ {
				user := fmt.Sprintf("user-%d-%d", n, round%2)
				sub := issuer.Sub(user)
				ok := do(run.Cmd{Args: []string{"exchange", "--replace"}, Stdin: issuer.UserToken(user)}, "") &&
					do(run.Cmd{Args: []string{"get"}}, sub) &&
					do(run.Cmd{Args: []string{"get", "--fresh"}}, sub) &&
					do(run.Cmd{Args: []string{"status"}}, "") &&
					do(run.Cmd{Args: []string{"get", "--fresh"}}, sub)
				if ok && round%5 == 4 {
					ok = do(run.Cmd{Args: []string{"erase"}}, "") &&
						do(run.Cmd{Args: []string{"exchange", "--replace"}, Stdin: issuer.UserToken(user)}, "")
				}
				if !ok || !ring.Alive() {
					return
				}
			}
			// At the end all is in order.
			user := fmt.Sprintf("last-%d", n)
			_ = do(run.Cmd{Args: []string{"exchange", "--replace"}, Stdin: issuer.UserToken(user)}, "") &&
				do(run.Cmd{Args: []string{"get", "--fresh"}}, issuer.Sub(user))
		})
	}
	all.Wait()
	if !ring.Alive() {
		said, _ := os.ReadFile(filepath.Join(filepath.Dir(strings.TrimPrefix(ring.Address(), "unix:path=")), "daemon.log"))
		t.Fatalf("gnome-keyring has died after %d runs, and said:\n%s", runs.Load(), said)
	}
	if ring.Locked() {
		t.Error("the keyring is locked")
	}
	for n := range workers {
		r := home.Want(0, "get", "--account", "account-"+strconv.Itoa(n))
		if sub := keycloak.Claims(r.Token())["sub"]; sub != issuer.Sub(fmt.Sprintf("last-%d", n)) {
			t.Errorf("account %d has the token of %v", n, sub)
		}
	}
	if items := ring.Items(); len(items) != workers+2 {
		t.Errorf("the keyring has %d items, want %d grants, the client's secret and the identity for copies", len(items), workers)
	}
	t.Logf("%d runs in %s", runs.Load(), duration)
}

// tellLedger tells the ledger what an issuer of ours made.
func tellLedger(issuer *oidctest.Issuer) {
	for _, secret := range issuer.Secrets() {
		claims := keycloak.Claims(secret)
		kind := ledger.Client
		switch claims["typ"] {
		case "Bearer":
			kind = ledger.Access
			if claims["azp"] == oidctest.PortalID {
				kind = ledger.Subject
			}
		case "Offline", "Refresh":
			kind = ledger.Refresh
		case "ID":
			kind = ledger.ID
		}
		shared.ledger.Add(kind, secret)
	}
}
