package keyring

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tool runs secret-tool in the session, for at most so long.
func tool(t *testing.T, s *Session, limit time.Duration, stdin string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "secret-tool", args...)
	cmd.Env = append(os.Environ(), s.Env()...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return string(out), err
}

func store(t *testing.T, s *Session) {
	t.Helper()
	if out, err := tool(t, s, 10*time.Second, "s3cret", "store", "--label=a label", "service", "x"); err != nil {
		t.Fatalf("secret-tool store: %v: %s", err, out)
	}
}

func TestSession_keepsSecrets(t *testing.T) {
	s := Start(t)
	store(t, s)
	if out, err := tool(t, s, 10*time.Second, "", "lookup", "service", "x"); err != nil || out != "s3cret" {
		t.Errorf("lookup: %q, %v", out, err)
	}
	items := s.Items()
	if len(items) != 1 || items[0].Label != "a label" || items[0].Value != "s3cret" || items[0].Attributes["service"] != "x" {
		t.Errorf("items: %q", items)
	}
}

func TestSession_locks(t *testing.T) {
	s := Start(t)
	store(t, s)
	s.Lock()
	if out, err := tool(t, s, 10*time.Second, "", "lookup", "service", "x"); err == nil {
		t.Errorf("lookup in a locked collection: %q", out)
	}
	s.Unlock()
	if out, err := tool(t, s, 10*time.Second, "", "lookup", "service", "x"); err != nil || out != "s3cret" {
		t.Errorf("lookup after unlocking: %q, %v", out, err)
	}
}

func TestSession_pauses(t *testing.T) {
	s := Start(t)
	store(t, s)
	s.Pause()
	if out, err := tool(t, s, time.Second, "", "lookup", "service", "x"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a paused daemon answered: %q, %v", out, err)
	}
	s.Resume()
	if out, err := tool(t, s, 10*time.Second, "", "lookup", "service", "x"); err != nil || out != "s3cret" {
		t.Errorf("lookup after Resume: %q, %v", out, err)
	}
}

func TestSession_diesAndComesBackLocked(t *testing.T) {
	s := Start(t)
	store(t, s)
	if !s.Alive() {
		t.Fatal("not alive")
	}
	s.Kill()
	if s.Alive() {
		t.Fatal("still alive")
	}
	if out, err := tool(t, s, 10*time.Second, "", "lookup", "service", "x"); err == nil || !strings.Contains(out, service) {
		t.Errorf("lookup without a daemon: %q, %v", out, err)
	}
	s.Restart()
	if !s.Locked() {
		t.Error("unlocked after Restart")
	}
	s.Unlock()
	if out, err := tool(t, s, 10*time.Second, "", "lookup", "service", "x"); err != nil || out != "s3cret" {
		t.Errorf("lookup after Restart and Unlock: %q, %v", out, err)
	}
}

func TestSession_busDies(t *testing.T) {
	s := Start(t)
	s.StopBus()
	select {
	case <-s.daemon.Done():
	case <-time.After(10 * time.Second):
		t.Error("the daemon outlived its bus")
	}
}

func TestNoProvider(t *testing.T) {
	s := NoProvider(t)
	out, err := tool(t, s, 10*time.Second, "", "lookup", "service", "x")
	if err == nil || !strings.Contains(out, "was not provided") {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestNoDefaultCollection(t *testing.T) {
	s := NoDefaultCollection(t)
	var path string
	if err := s.call(s.object(root), "org.freedesktop.Secret.Service.ReadAlias", []any{"default"}, &path); err != nil || path != "/" {
		t.Errorf("alias default: %q, %v", path, err)
	}
}

func TestDeadSocket(t *testing.T) {
	s := DeadSocket(t)
	c, err := net.Dial("unix", strings.TrimPrefix(s.Address(), "unix:path="))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(c, "\x00AUTH\r\n"); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if _, err := c.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("an answer, or an end: %v", err)
	}
}

// TestSession_diesWithItsParent runs this test again in a process that is then killed.
func TestSession_diesWithItsParent(t *testing.T) {
	if os.Getenv("T2_CRED_E2E_CHILD") == "1" {
		s := Start(t)
		fmt.Printf("pids %d %d\n", s.bus.PID(), s.daemon.PID())
		time.Sleep(time.Minute)
		return
	}
	Start(t).Close() // skips, or fails, here
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	// What it leaves behind is removed with our own temporary directory.
	child.Env = append(os.Environ(), "T2_CRED_E2E_CHILD=1", "TMPDIR="+t.TempDir())
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var bus, daemon int
	if _, err := fmt.Fscanf(out, "pids %d %d\n", &bus, &daemon); err != nil {
		t.Fatal(err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	for _, pid := range []int{bus, daemon} {
		gone := false
		for range 100 {
			if gone = errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || zombie(pid); gone {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if !gone {
			t.Errorf("process %d lives on", pid)
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// zombie tells whether a process has ended and nobody has taken note yet.
func zombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return strings.HasPrefix(rest, "Z")
}
