package syscalls

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// launch builds the launcher.
func launch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "t2-trace-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "trace")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./trace")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// shell runs a script under a tracer, as an ordinary user where that can be.
func shell(t *testing.T, tracer Tracer, script string) (calls []Call, out string, state *os.ProcessState, took time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", script)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Dir = &said, &said, "/"
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	began := time.Now()
	tr, err := tracer.Start(cmd, (*exec.Cmd).Start)
	if err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	took = time.Since(began)
	if calls, err = tr.End(); err != nil {
		t.Fatal(err)
	}
	return calls, said.String(), cmd.ProcessState, took
}

// TestTracer: calls are counted over processes, and the n-th is failed, killed or
// stopped.
func TestTracer(t *testing.T) {
	launcher := launch(t)
	const script = "cat /etc/hostname >/dev/null; echo one; cat /etc/hostname >/dev/null && echo two"
	decide := func(v Verdict) func(Call) Verdict {
		return func(c Call) Verdict {
			if c.Name == "openat" && c.Object == "/etc/hostname" && c.N == 2 {
				return v
			}
			return Pass()
		}
	}
	for _, test := range []struct {
		name   string
		v      Verdict
		out    string
		signal syscall.Signal
		least  time.Duration
	}{
		{"pass", Pass(), "one\ntwo\n", 0, 0},
		{"fail", Fail(unix.ENOSPC), "one\ncat: /etc/hostname: No space left on device\n", 0, 0},
		{"kill", Kill(), "one\n", syscall.SIGKILL, 0},
		{"stop", Stop(400 * time.Millisecond), "one\ntwo\n", 0, 400 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			calls, out, state, took := shell(t, Tracer{Launcher: launcher, Names: []string{"openat", "write"}, Decide: decide(test.v)}, script)
			status, _ := state.Sys().(syscall.WaitStatus)
			if test.signal == 0 && out != test.out || !strings.HasPrefix(out, test.out) {
				t.Errorf("it said %q, want %q", out, test.out)
			}
			if status.Signaled() != (test.signal != 0) || test.signal != 0 && status.Signal() != test.signal {
				t.Errorf("it ended with %v", state)
			}
			if took < test.least {
				t.Errorf("it took %s, want at least %s", took, test.least)
			}
			opened := 0
			for _, c := range calls {
				if c.Name == "openat" && c.Object == "/etc/hostname" {
					opened++
				}
				if c.Name != "openat" && c.Name != "write" {
					t.Errorf("nobody asked for %s", c)
				}
			}
			if opened != 2 {
				t.Errorf("opened %d times: %v", opened, calls)
			}
		})
	}
}

// TestTracer_objects: what is worked on is told by its path or its address.
func TestTracer_objects(t *testing.T) {
	dir, err := os.MkdirTemp("", "t2-objects-")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	names := []string{"openat", "write", "renameat", "renameat2", "unlinkat", "connect"}
	tracer := Tracer{Launcher: launch(t), Names: names, Rename: func(o string) string { return strings.ReplaceAll(o, dir, "DIR") }}
	calls, out, _, _ := shell(t, tracer, "cd "+dir+`; echo x >a; mv a b; rm -rf b; bash -c 'echo >/dev/tcp/127.0.0.1/9' 2>/dev/null; true`)
	var all []string
	for _, c := range calls {
		all = append(all, c.String())
	}
	for _, want := range []string{"openat DIR/a #1", "write DIR/a #1", " to DIR/b #1", "unlinkat DIR/b #1", "connect tcp 127.0.0.1:9 #1"} {
		if !strings.Contains(strings.Join(all, "\n"), want) {
			t.Errorf("no %q in %q (said %q)", want, all, out)
		}
	}
}

// TestTracer_refuses: a call that cannot be supervised is an error, and nothing runs.
func TestTracer_refuses(t *testing.T) {
	tracer := Tracer{Launcher: launch(t), Names: []string{"reboot"}}
	cmd := exec.CommandContext(t.Context(), "/bin/true")
	if _, err := tracer.Start(cmd, (*exec.Cmd).Start); err == nil {
		t.Error("no error")
	}
	_ = cmd.Wait()
}
