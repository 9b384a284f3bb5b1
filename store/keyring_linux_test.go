package store

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	gokeyring "github.com/zalando/go-keyring"
)

// onBus prepares a child whose keyring is on that bus.
func (b *privateBus) child(t testing.TB, mode string, c childOptions) *exec.Cmd {
	t.Helper()
	cmd := child(t, mode, c)
	cmd.Env = append(b.environ(), cmd.Env[len(cmd.Env)-3:]...)
	return cmd
}

// keyringChild are options of a child with the keyring and directories of its own.
func keyringChild(t testing.TB) childOptions {
	o := testOptions(t, "keyring")
	drop(t, open(t, o), alice)
	return childOf(o, alice)
}

// quickly is far from a deadline, also on a busy machine.
const quickly = 3 * time.Second

// ends fails unless the child ended so, in time, and with a hint.
func ends(t *testing.T, got outcome, kind error, within time.Duration, words string) {
	t.Helper()
	if got.Kind != kind.Error() || !strings.Contains(got.Error, words) {
		t.Errorf("got %s: %s, want %v: …%s…", got.Kind, got.Error, kind, words)
	}
	if got.Hint == "" {
		t.Errorf("no hint for %s", got.Error)
	}
	if d := time.Duration(got.Millis) * time.Millisecond; d > within {
		t.Errorf("it took %s, more than %s", d, within)
	}
}

// noStrays fails when a process that we did not start uses the directory.
func noStrays(t *testing.T, b *privateBus) {
	t.Helper()
	ours := map[int]bool{os.Getpid(): true}
	for _, cmd := range []*exec.Cmd{b.bus, b.keyring} {
		if cmd != nil && cmd.Process != nil {
			ours[cmd.Process.Pid] = true
		}
	}
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		env, err := os.ReadFile(f)
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if err == nil && bytes.Contains(env, []byte(b.dir)) && !ours[pid] {
			name, _ := os.ReadFile(filepath.Join(filepath.Dir(f), "cmdline"))
			t.Errorf("process %d is left: %q", pid, name)
		}
	}
}

// several runs as many children at once: it takes three to hang go-keyring.
func several(t *testing.T, n int, f func() *exec.Cmd) []outcome {
	t.Helper()
	cmds := make([]*exec.Cmd, n)
	for i := range cmds {
		cmds[i] = f()
	}
	return together(t, cmds)
}

func TestKeyring_noBus(t *testing.T) {
	if _, err := os.Stat(fmt.Sprintf("/run/user/%d/bus", os.Getuid())); err == nil {
		t.Skip("there is a bus where every process of this user finds it")
	}
	needKeyring(t)
	// A dbus-launch that tells whether it was called.
	dir := t.TempDir()
	launched := filepath.Join(dir, "launched")
	script := "#!/bin/sh\ntouch " + launched + "\nexit 1\n"
	if err := os.WriteFile(filepath.Join(dir, "dbus-launch"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, address := range map[string]string{"unset": "", "autolaunch": "DBUS_SESSION_BUS_ADDRESS=autolaunch:"} {
		c := keyringChild(t)
		for _, mode := range []string{"load", "update", "writable"} {
			cmd := child(t, mode, c)
			cmd.Env = append([]string{"PATH=" + dir + ":/usr/bin:/bin", "HOME=" + dir, "XDG_RUNTIME_DIR=" + dir, address}, cmd.Env[len(cmd.Env)-3:]...)
			ends(t, runOutcome(t, cmd), ErrUnavailable, quickly, "no session bus")
		}
		if _, err := os.Stat(launched); err == nil {
			t.Errorf("%s: dbus-launch was called", name)
		}
	}
}

func TestKeyring_deadAddress(t *testing.T) {
	needKeyring(t)
	cmd := child(t, "load", keyringChild(t), "DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent/bus")
	ends(t, runOutcome(t, cmd), ErrUnavailable, quickly, "cannot connect to the session bus")
}

// TestKeyring_socketNamedByRuntimeDir finds the bus where no variable names it.
func TestKeyring_socketNamedByRuntimeDir(t *testing.T) {
	b := newKeyringBus(t)
	path, _, _ := strings.Cut(strings.TrimPrefix(b.address, "unix:path="), ",")
	if err := os.Symlink(path, filepath.Join(b.dir, "run", "bus")); err != nil {
		t.Fatal(err)
	}
	c := keyringChild(t)
	for _, mode := range []string{"update", "load"} {
		cmd := b.child(t, mode, c)
		cmd.Env = append(cmd.Env, "DBUS_SESSION_BUS_ADDRESS=")
		if got := runOutcome(t, cmd); got.Kind != "ok" {
			t.Errorf("%s: %+v", mode, got)
		}
	}
	noStrays(t, b)
}

func TestKeyring_noProvider(t *testing.T) {
	b := newPrivateBus(t)
	for _, got := range several(t, 4, func() *exec.Cmd { return b.child(t, "load", keyringChild(t)) }) {
		ends(t, got, ErrUnavailable, quickly, "no keyring service")
	}
	noStrays(t, b)
}

func TestKeyring_noDefaultCollection(t *testing.T) {
	b := newPrivateBus(t)
	b.startKeyring(t, "")
	for _, got := range several(t, 4, func() *exec.Cmd { return b.child(t, "load", keyringChild(t)) }) {
		ends(t, got, ErrUnavailable, quickly, "no default keyring")
	}
	noStrays(t, b)
}

func TestKeyring_locked(t *testing.T) {
	t.Parallel()
	b := newKeyringBus(t)
	c := keyringChild(t)
	drop(t, open(t, testOptionsOf(t, c)), alice)
	if got := runOutcome(t, b.child(t, "update", c)); got.Kind != "ok" {
		t.Fatalf("%+v", got)
	}
	b.lock(t)
	t.Run("unattended", func(t *testing.T) {
		for _, mode := range []string{"load", "update", "writable"} {
			for _, got := range several(t, 4, func() *exec.Cmd { return b.child(t, mode, c) }) {
				ends(t, got, ErrLocked, quickly, "")
			}
		}
	})
	t.Run("attended, but no display", func(t *testing.T) {
		c := c
		c.Attended, c.Millis = true, 3000
		for _, got := range several(t, 4, func() *exec.Cmd { return b.child(t, "load", c) }) {
			ends(t, got, ErrLocked, 4*time.Second, "")
		}
	})
	t.Run("the cached token is served", func(t *testing.T) {
		needKernel(t)
		if got := runOutcome(t, b.child(t, "token", c)); got.Token != "first" {
			t.Errorf("%+v", got)
		}
	})
	t.Run("unlocked again", func(t *testing.T) {
		b.unlock(t, "test")
		if got := runOutcome(t, b.child(t, "load", c)); got.Kind != "ok" || got.Token != "first" {
			t.Errorf("%+v", got)
		}
	})
	if !b.alive(t) {
		t.Error("gnome-keyring is dead")
	}
	noStrays(t, b)
}

func testOptionsOf(t *testing.T, c childOptions) Options {
	o := testOptions(t, c.Backend)
	o.Config, o.StateDir, o.DataDir, o.RuntimeDir = c.Config, c.StateDir, c.DataDir, c.RuntimeDir
	return o
}

func TestKeyring_stopped(t *testing.T) {
	t.Parallel()
	b := newKeyringBus(t)
	if err := b.keyring.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	c := keyringChild(t)
	c.Millis = 1000
	if os.Getenv("T2_CRED_E2E") == "1" {
		c.Millis = 0 // our own limit
	}
	for _, got := range several(t, 4, func() *exec.Cmd { return b.child(t, "load", c) }) {
		ends(t, got, ErrUnavailable, callTime+time.Second, "does not answer")
	}
	// Going on, the daemon has everything as it was.
	if err := b.keyring.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	drop(t, open(t, testOptionsOf(t, c)), alice)
	if got := runOutcome(t, b.child(t, "update", c)); got.Kind != "ok" {
		t.Errorf("after SIGCONT: %+v", got)
	}
	noStrays(t, b)
}

func TestKeyring_killedInMidCall(t *testing.T) {
	t.Parallel()
	b := newKeyringBus(t)
	c := keyringChild(t)
	c.Millis = 5000
	cmds := make([]*exec.Cmd, 4)
	outs := make([]bytes.Buffer, 4)
	for i := range cmds {
		c.Account = fmt.Sprint("job-", i)
		drop(t, open(t, testOptionsOf(t, c)), c.key(), Key{"gep", "shared"})
		cmds[i] = b.child(t, "churn", c)
		cmds[i].Stdout = &outs[i]
		if err := cmds[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(400 * time.Millisecond)
	killed := time.Now()
	if err := b.keyring.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for i, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		got := lastOutcome(t, outs[i].Bytes())
		got.Millis = int(time.Since(killed).Milliseconds())
		ends(t, got, ErrUnavailable, 4*time.Second, "")
	}
	noStrays(t, b)
}

func TestKeyring_busKilledInMidCall(t *testing.T) {
	t.Parallel()
	b := newKeyringBus(t)
	c := keyringChild(t)
	c.Millis = 5000
	drop(t, open(t, testOptionsOf(t, c)), alice, Key{"gep", "shared"})
	cmd := b.child(t, "churn", c)
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(400 * time.Millisecond)
	killed := time.Now()
	if err := b.bus.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	got := lastOutcome(t, out.Bytes())
	got.Millis = int(time.Since(killed).Milliseconds())
	ends(t, got, ErrUnavailable, 4*time.Second, "")
}

func TestKeyring_socketThatNeverAnswers(t *testing.T) {
	t.Parallel()
	needKeyring(t)
	dir, err := os.MkdirTemp("", "t2mute")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	l, err := net.Listen("unix", filepath.Join(dir, "bus"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := keyringChild(t)
	c.Millis = 700
	for _, mode := range []string{"load", "update", "writable"} {
		cmd := child(t, mode, c, "DBUS_SESSION_BUS_ADDRESS=unix:path="+filepath.Join(dir, "bus"))
		ends(t, runOutcome(t, cmd), ErrUnavailable, 2*time.Second, "does not answer")
	}
}

func TestKeyring_listsMany(t *testing.T) {
	s := open(t, keyringOptions(t))
	ctx := t.Context()
	const n = 140 // more than a bus takes calls at once
	if _, _, err := s.backend.Load(ctx, "grant,p,0"); !errors.Is(err, ErrNotFound) {
		t.Fatal(err) // a get comes before the first set, in tests as well
	}
	for i := range n {
		if err := gokeyring.Set("t2-cred-"+s.ns, fmt.Sprintf("grant,p,%d", i), "="); err != nil {
			t.Fatal(err)
		}
	}
	names, err := s.listAll(ctx)
	if err != nil || len(names) != n {
		t.Errorf("%d names, %v", len(names), err)
	}
	for _, name := range names {
		if err := gokeyring.Delete("t2-cred-"+s.ns, name); err != nil {
			t.Fatal(err)
		}
	}
}
