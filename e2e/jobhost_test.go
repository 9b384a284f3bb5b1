package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terradue/t2-cred/e2e/run"
)

// nobody is the user of a job host, and of nothing else.
const nobody = 65534

// jobHost is a place as mean as a job's may be: a user who may do nothing, a root file
// system that is read-only, no bus, no keyring in the kernel, no other processes. A
// home and a work directory can be written to.
type jobHost struct {
	*run.Home
	t      *testing.T
	work   string
	python string // with requests; may be missing, see pythonWithRequests
	bwrap  []string
}

func newJobHost(t *testing.T) *jobHost {
	t.Helper()
	bwrap := needTool(t, "server", "bwrap")
	needTool(t, "server", "curl")
	work, err := os.MkdirTemp("", "t2-work-") // others may not pass through t.TempDir's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(work) })
	h := &jobHost{Home: program(t).NewHome(t), t: t, work: work, python: pythonWithRequests(t)}
	h.Set("PATH=/opt:/usr/bin:/bin").Unset("DBUS_SESSION_BUS_ADDRESS")
	h.bwrap = []string{
		bwrap, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc",
		"--tmpfs", "/tmp", "--tmpfs", "/run", "--tmpfs", "/opt",
		"--ro-bind", program(t).Path, "/opt/t2-cred",
	}
	h.bindPython()
	h.bwrap = append(
		h.bwrap, "--bind", h.Dir, h.Dir, "--bind", h.work, h.work, "--chdir", h.work,
		"--remount-ro", "/tmp", "--remount-ro", "/run", "--remount-ro", "/opt",
		"--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent", "--new-session",
		"--seccomp", "3",
	)
	if os.Getuid() == 0 {
		h.own(h.Dir)
		h.own(h.work)
		user := fmt.Sprint(nobody)
		h.bwrap = append(
			h.bwrap, "--cap-add", "ALL", "--", needTool(t, "server", "setpriv"), "--reuid", user, "--regid", user,
			"--clear-groups", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all",
		)
	}
	return h
}

// bindPython shows Python, should it be where the host shows nothing: in our own home.
func (h *jobHost) bindPython() {
	h.t.Helper()
	if h.python == "" {
		return
	}
	out, err := exec.Command(h.python, "-c", "import sys; print(sys.base_prefix); print(sys.prefix)").Output()
	if err != nil {
		h.t.Fatal(err)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		h.t.Fatal(err)
	}
	h.bwrap = append(h.bwrap, "--tmpfs", home)
	for dir := range strings.Lines(string(out)) {
		dir = strings.TrimSpace(dir)
		for _, up := range []string{home, "/tmp"} {
			rest, below := strings.CutPrefix(dir, up+"/")
			if !below {
				continue
			}
			names := strings.Split(rest, "/")
			for _, name := range names[:len(names)-1] {
				up = filepath.Join(up, name)
				h.bwrap = append(h.bwrap, "--dir", up) // which others may pass
			}
			h.bwrap = append(h.bwrap, "--ro-bind", dir, dir)
		}
	}
}

// own gives a directory and what is in it to the host's user.
func (h *jobHost) own(dir string) {
	h.t.Helper()
	if os.Getuid() != 0 {
		return
	}
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, nobody, nobody)
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// write writes a file of the work directory.
func (h *jobHost) write(name, text string) string {
	h.t.Helper()
	path := filepath.Join(h.work, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		h.t.Fatal(err)
	}
	h.own(h.work)
	return path
}

// said is how a command on the host ended.
type said struct {
	code           int
	stdout, stderr string
}

func (s said) String() string {
	return fmt.Sprintf("exit %d\nstdout: %s\nstderr: %s", s.code, s.stdout, s.stderr)
}

// run runs a command on the host, with more variables than the home has.
func (h *jobHost) run(env []string, stdin, name string, args ...string) said {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	argv := append(append(h.bwrap[:len(h.bwrap):len(h.bwrap)], name), args...)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	filter := h.keyctlForbidden()
	defer func() { _ = filter.Close() }()
	var stdout, stderr bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = append(h.Env(), env...), strings.NewReader(stdin), &stdout, &stderr
	cmd.ExtraFiles = []*os.File{filter} // 3
	err := cmd.Run()
	where := "on the job host, " + name + " " + strings.Join(args, " ")
	shared.ledger.Output(where, stdout.String(), strings.Contains(where, "get"))
	shared.ledger.Output(where, stderr.String(), false)
	if err != nil && cmd.ProcessState == nil {
		h.t.Fatal(err)
	}
	return said{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// sh runs lines as a shell does that stops at the first failure.
func (h *jobHost) sh(script string, env ...string) said {
	h.t.Helper()
	return h.run(env, "", "/bin/sh", "-euc", script)
}

// wantSh wants it to end with a code.
func (h *jobHost) wantSh(code int, script string, env ...string) said {
	h.t.Helper()
	got := h.sh(script, env...)
	if got.code != code {
		h.t.Fatalf("want exit %d of\n%s\n%s", code, script, got)
	}
	return got
}

// wantMean wants the host to be as mean as it should.
func (h *jobHost) wantMean() {
	h.t.Helper()
	if got := h.wantSh(0, "id -u; grep -c '^CapEff:.0*$' /proc/self/status; ls -A /run"); strings.HasPrefix(got.stdout, "0\n") || !strings.HasSuffix(got.stdout, "\n1\n") {
		h.t.Errorf("not a user without rights and without a bus: %s", got)
	}
	for _, dir := range []string{"/", "/usr", "/etc", "/tmp", "/var/tmp", "/opt"} {
		if got := h.sh("touch " + dir + "/x"); got.code == 0 {
			h.t.Errorf("%s can be written to", dir)
		}
	}
	if h.python != "" {
		got := h.run(nil, "", h.python, "-c", fmt.Sprintf("import ctypes; c = ctypes.CDLL(None, use_errno=True); print(c.syscall(%d, 0, -3, 0), ctypes.get_errno())", unix.SYS_KEYCTL))
		if got.stdout != "-1 1\n" {
			h.t.Errorf("keyctl is not denied: %s", got)
		}
	}
}

// keyctlForbidden is a program for seccomp(2) that answers EPERM to the calls of the
// kernel's keyring, as containers' usual profiles do, and lets all others pass.
func (h *jobHost) keyctlForbidden() *os.File {
	h.t.Helper()
	type instruction struct { // struct sock_filter
		Code   uint16
		JT, JF uint8
		K      uint32
	}
	const (
		load, equal, give = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
		allow, fail       = 0x7fff0000, 0x00050000 // SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO
	)
	arch := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	var b bytes.Buffer
	err := binary.Write(&b, binary.NativeEndian, []instruction{
		{load, 0, 0, 4}, // of struct seccomp_data: arch
		{equal, 0, 5, arch},
		{load, 0, 0, 0}, // nr
		{equal, 3, 0, unix.SYS_ADD_KEY},
		{equal, 2, 0, unix.SYS_REQUEST_KEY},
		{equal, 1, 0, unix.SYS_KEYCTL},
		{give, 0, 0, allow},
		{give, 0, 0, fail | uint32(unix.EPERM)},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	path := filepath.Join(h.t.TempDir(), "filter")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		h.t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		h.t.Fatal(err)
	}
	return f
}
