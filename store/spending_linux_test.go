package store

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"
)

// whileSpending does something to the keyring between the load and the save of a
// refresh, and returns what came of it.
func whileSpending(t *testing.T, b *privateBus, c childOptions, f func()) (got outcome, stderr string) {
	t.Helper()
	drop(t, open(t, testOptionsOf(t, c)), alice)
	if got := runOutcome(t, b.child(t, "update", c)); got.Kind != "ok" {
		t.Fatalf("%+v", got)
	}
	cmd := b.child(t, "spend", c)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stdout)
	if line, err := lines.ReadString('\n'); err != nil || line != "spending\n" { // it has the record
		t.Fatalf("%q, %v", line, err)
	}
	f()
	_ = stdin.Close()
	out, err := io.ReadAll(lines)
	if err = errors.Join(err, cmd.Wait()); err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	return lastOutcome(t, out), said.String()
}

// TestKeyring_stoppedWhileSpending stops the daemon: the rotated token must survive.
func TestKeyring_stoppedWhileSpending(t *testing.T) {
	t.Parallel()
	needKernel(t)
	b, c := newKeyringBus(t), keyringChild(t)
	got, stderr := whileSpending(t, b, c, func() {
		if err := b.keyring.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	})
	if got.Kind != "ok" || got.Refresh != "spent" || !strings.Contains(stderr, "could not be stored") {
		t.Errorf("%+v\n%s", got, stderr)
	}
	if d := time.Duration(got.Millis) * time.Millisecond; d > saveLimit {
		t.Errorf("it took %s", d)
	}
	if err := b.keyring.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if got := runOutcome(t, b.child(t, "load", c)); got.Kind != "ok" || got.Refresh != "spent" {
		t.Errorf("the next run: %+v", got)
	}
	noStrays(t, b)
}

// TestKeyring_restartedWhileSpending puts another daemon in the place of the one
// that the record came from: it is asked as a stranger is, the collections first.
func TestKeyring_restartedWhileSpending(t *testing.T) {
	b, c := newKeyringBus(t), keyringChild(t)
	var got outcome
	calls := b.calls(t, func() {
		got, _ = whileSpending(t, b, c, func() {
			b.stop(b.keyring)
			b.startKeyring(t, "test")
		})
	})
	if got.Kind != "ok" || got.Refresh != "spent" {
		t.Errorf("%+v", got)
	}
	if got := runOutcome(t, b.child(t, "load", c)); got.Kind != "ok" || got.Refresh != "spent" {
		t.Errorf("the next run: %+v", got)
	}
	// What nobody answered, and then as from the beginning.
	want := "Get OpenSession Get SearchItems GetSecret SetSecret GetSecret"
	if all := strings.Join(calls, " "); !strings.HasSuffix(all, want) {
		t.Errorf("calls: %s, want … %s", all, want)
	}
}

// TestKeyring_lockedWhileSpending: what is found out by the write alone is told as
// what it is.
func TestKeyring_lockedWhileSpending(t *testing.T) {
	t.Parallel()
	b, c := newKeyringBus(t), keyringChild(t)
	got, stderr := whileSpending(t, b, c, func() { b.lock(t) })
	if got.Kind != "ok" || !strings.Contains(stderr, "needs its password") || !strings.Contains(stderr, "encrypted in") {
		t.Errorf("%+v\n%s", got, stderr)
	}
	ends(t, runOutcome(t, b.child(t, "load", c)), ErrLocked, saveLimit, "needs its password")
	b.unlock(t, "test")
	if got := runOutcome(t, b.child(t, "load", c)); got.Kind != "ok" || got.Refresh != "spent" {
		t.Errorf("after unlocking: %+v", got)
	}
}
