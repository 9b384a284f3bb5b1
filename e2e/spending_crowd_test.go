package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/keyring"
	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// TestSpendingCrowd: a thousand processes find the token expired. One asks the issuer,
// and all print what it got.
func TestSpendingCrowd(t *testing.T) {
	for _, store := range []string{"file", "keyring"} {
		t.Run(store, func(t *testing.T) { crowd(t, store) })
	}
}

// crowdSize is a thousand, or what the memory that is free has room for.
func crowdSize(t *testing.T) int {
	t.Helper()
	const most, least, each = 1000, 200, 14 << 10 // KiB
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "MemAvailable:")
	free := 0
	if _, err := fmt.Sscan(rest, &free); err != nil {
		t.Fatal(err)
	}
	n := min(most, free/each)
	if n < least {
		t.Fatalf("%d MiB of memory are free, which is too little", free>>10)
	}
	if n < most {
		t.Logf("%d processes instead of %d: %d MiB of memory are free", n, most, free>>10)
	}
	return n
}

// digits are what messages of two processes differ in.
var digits = regexp.MustCompile(`[\d.]+`)

// A gate holds processes back until all are there: a process that waits for a lock is
// at work, and those that are started later would come when the refresh is over.
type gate struct {
	t    *testing.T
	home *run.Home
	file *os.File
}

// newGate makes a gate for processes of a home.
func newGate(t *testing.T, h *run.Home) *gate {
	t.Helper()
	dir := t.TempDir()
	lock, script := filepath.Join(dir, "gate"), filepath.Join(dir, "t2-cred")
	text := fmt.Sprintf("#!/bin/sh\nflock --shared %s true\nexec %s \"$@\"\n", lock, program(t).Path)
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(lock)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	g := &gate{t, (&run.Program{Path: script, Ledger: shared.ledger}).NewHome(t).Set(h.Env()...), f}
	t.Cleanup(func() { _ = f.Close() })
	return g
}

func (g *gate) open() {
	g.t.Helper()
	if err := unix.Flock(int(g.file.Fd()), unix.LOCK_UN); err != nil {
		g.t.Fatal(err)
	}
}

func crowd(t *testing.T, store string) {
	t.Helper()
	issuer := oidctest.New(oidctest.Refresh(oidctest.Revoke))
	t.Cleanup(func() {
		tellLedger(issuer)
		issuer.Close()
	})
	h := program(t).NewHome(t)
	if store == "file" {
		h.Set("T2_CRED_STORE=file")
		h.Want(0, "store", "init")
	} else {
		h.Set(keyring.Start(t).Bus())
	}
	h.WantDo(0, run.Cmd{
		Args: []string{
			"profile", "add", "gep", "--issuer", issuer.URL(), "--client-id", oidctest.ClientID, "--audience", oidctest.ClientID,
			"--scope", keycloak.Scopes, "--client-secret-file", "-",
		},
		Stdin: issuer.ClientSecret(),
	})
	user := issuer.UserToken("alice")
	issuer.Set(oidctest.Lifespan(shortLife))
	h.WantDo(0, run.Cmd{Args: []string{"exchange"}, Stdin: user})
	time.Sleep(shortLife + 200*time.Millisecond) // the access token expires
	issuer.Set(oidctest.Lifespan(5 * time.Minute))
	spent, _ := issuer.Watch()

	// A real issuer takes its time now and then: so all that come meanwhile wait.
	issuer.Inject(oidctest.Slow(5 * time.Second))
	n := crowdSize(t)
	gate := newGate(t, h)
	began := time.Now()
	running := make([]*run.Running, n)
	for i := range running {
		running[i] = gate.home.Start(run.Cmd{Args: []string{"get", "--timeout", "120s"}, Deadline: 4 * time.Minute})
	}
	started := time.Since(began)
	gate.open()
	began = time.Now()
	tokens, failed := map[string]int{}, map[string]int{}
	for _, r := range running {
		res := r.Wait()
		if res.Code != 0 {
			line, _, _ := strings.Cut(res.Stderr, "\n")
			failed[fmt.Sprintf("exit %d: %s", res.Code, digits.ReplaceAllString(line, "N"))]++
			continue
		}
		tokens[res.Token()]++
	}
	t.Logf("%d processes, gathered in %s, ended %s after they were let go", n, started.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	for how, times := range failed {
		t.Errorf("%d of %d processes: %s", times, n, how)
	}
	if len(tokens) != 1 {
		t.Errorf("%d different tokens were printed", len(tokens))
	}
	for token := range tokens {
		if keycloak.Claims(token)["sub"] != issuer.Sub("alice") {
			t.Error("the token is not alice's")
		}
	}
	if all := spent.All(); len(all) != 1 {
		t.Errorf("%d refreshes: %s", len(all), tell(all))
	}
	h.Want(0, "get", "--fresh")
}
