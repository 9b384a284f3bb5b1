package run

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/ledger"
)

// script is a program under test that is a shell script.
func script(t *testing.T, body string) *Program {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body), 0o700); err != nil {
		t.Fatal(err)
	}
	return &Program{Path: path, Ledger: ledger.New()}
}

func TestHome_runsInAHomeOfItsOwn(t *testing.T) {
	h := script(t, `echo "$HOME $XDG_CONFIG_HOME $A $B"; cat; echo "$@" >&2; exit 3`).NewHome(t).Set("A=1", "A=2", "B=3").Unset("B")
	r := h.Input("from stdin", "one", "two")
	if want := fmt.Sprintf("%s %s/.config 2 \nfrom stdin", h.Dir, h.Dir); r.Stdout != want {
		t.Errorf("stdout %q, want %q", r.Stdout, want)
	}
	if r.Stderr != "one two\n" || r.Code != 3 {
		t.Errorf("got %s", r)
	}
}

func TestHome_runsManyAtOnce(t *testing.T) {
	h := script(t, "sleep 0.3; echo $$").NewHome(t)
	began := time.Now()
	seen := map[string]bool{}
	for _, r := range h.Many(20, Cmd{}) {
		seen[r.Stdout] = true
	}
	if len(seen) != 20 || time.Since(began) > 5*time.Second {
		t.Errorf("%d different outputs after %s", len(seen), time.Since(began))
	}
}

func TestRunning_isKilled(t *testing.T) {
	h := script(t, "sleep 60").NewHome(t)
	r := h.Start(Cmd{})
	r.Kill()
	if res := r.Wait(); res.Signal != syscall.SIGKILL || res.Code != -1 || res.Took > 10*time.Second {
		t.Errorf("got %s", res)
	}
}

// failing is a test that may fail.
type failing struct {
	testing.TB
	said string
}

func (f *failing) Fatalf(format string, args ...any) { f.said = fmt.Sprintf(format, args...) }

func TestRunning_hangs(t *testing.T) {
	f := &failing{TB: t}
	h := script(t, "sleep 60 & sleep 60").NewHome(f)
	if r := h.Do(Cmd{Deadline: 100 * time.Millisecond}); !r.Hung || !strings.Contains(f.said, "hung") {
		t.Errorf("got %s, said %q", r, f.said)
	}
}

func TestHome_tellsTheLedger(t *testing.T) {
	const token = "an-access-token-of-length"
	for _, c := range []struct {
		name, body string
		args       []string
		leak       string
	}{
		{"the product", "echo $SECRET", []string{"get"}, ""},
		{"no product", "echo $SECRET", []string{"status"}, "t2-cred status, stdout: access token"},
		{"stderr", "echo token=$SECRET >&2", []string{"get"}, "t2-cred get, stderr: access token"},
		{"argv", "true", []string{"get", token}, "argv of t2-cred: access token"},
		{"at rest", "echo $SECRET >$XDG_STATE_HOME/kept", nil, "home, file /.local/state/kept: access token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := script(t, c.body)
			p.Ledger.Add(ledger.Access, token)
			t.Run("home", func(t *testing.T) { p.NewHome(t).Set("SECRET=" + token).Run(c.args...) })
			if got := strings.Join(p.Ledger.Leaks(), "\n"); got != c.leak && (c.leak == "" || !strings.Contains(got, c.leak)) {
				t.Errorf("got %q, want %q", got, c.leak)
			}
		})
	}
}
