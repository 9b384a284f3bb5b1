package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/ledger"
	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/e2e/run"
)

// needCommand skips the test when a command of Debian's is missing, or fails it when
// nothing may be.
func needCommand(t *testing.T, command, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(command)
	if err != nil {
		if parts.Required() {
			t.Fatalf("%s is missing: apt-get install %s", command, debianPackage)
		}
		t.Skipf("NOT CHECKED: %s is missing: apt-get install %s", command, debianPackage)
	}
	return path
}

// A lair is the home of a user without privileges, whose requests for tokens are
// held at the front while they are looked at.
type lair struct {
	*stage
	other *other
	tap   *tap

	mu      sync.Mutex
	holding bool
	held    chan struct{} // told of each request that is held
	release chan struct{}
}

// newLair makes one. lines of shell come before each run.
func newLair(t *testing.T, lines ...string) *lair {
	t.Helper()
	realm := server(t).NewRealm(t, keycloak.Legacy)
	o := newOther(t)
	home := o.program(t, lines...).NewHome(t).Set(o.ring(t))
	l := &lair{stage: &stage{home, t, nil, realm}, other: o, held: make(chan struct{}, 10), release: make(chan struct{})}
	o.own(t, home.Dir)
	l.tap = watch(realm, func(r *http.Request, form url.Values) bool {
		l.mu.Lock()
		holding := l.holding && form.Get("client_id") != keycloak.PortalID
		l.mu.Unlock()
		if holding {
			l.held <- struct{}{}
			select {
			case <-l.release:
			case <-r.Context().Done():
				return false
			}
		}
		return true
	})
	l.WantDo(0, run.Cmd{Args: append(addProfile(t, realm), "--client-secret-file", "-"), Stdin: realm.ClientSecret()})
	return l
}

func (l *lair) hold(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holding = on
}

// secrets are all that there are in the realm so far.
func (l *lair) secrets() map[string]string {
	all := map[string]string{"the client's secret": l.realm.ClientSecret(), "alice's password": l.realm.Password("alice")}
	for n, s := range l.tap.all(l.t) {
		for what, token := range map[string]string{
			"access token": s.AccessToken, "refresh token": s.RefreshToken, "ID token": s.IDToken,
			"subject token": s.Form.Get("subject_token"), "spent token": s.Form.Get("refresh_token"),
		} {
			if token != "" {
				all[fmt.Sprintf("%s %d", what, n)] = token
			}
		}
	}
	return all
}

// reads tells whether a process of the other user can read the beginning of a file.
func (l *lair) reads(path string) bool {
	l.t.Helper()
	cmd := l.other.as(exec.Command("head", "-c", "1", path))
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		l.t.Fatal(err)
	}
	return err == nil && len(out) > 0
}

// TestHygiene_process: what other processes can see of one that is at work with
// secrets.
func TestHygiene_process(t *testing.T) {
	l := newLair(t)
	subject := l.realm.UserToken("alice")
	l.WantDo(0, run.Cmd{Args: []string{"exchange"}, Stdin: subject})
	secrets := l.secrets()

	// That a process like any other can be read, by the same means.
	plain := l.other.as(exec.Command("sleep", "60"))
	plain.Dir = "/"
	if err := plain.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = plain.Process.Kill(), plain.Wait() })
	readable := func(pid int) (files []string) {
		for _, f := range []string{"environ", "maps", "auxv", "stack", "syscall", "io"} {
			if l.reads(fmt.Sprintf("/proc/%d/%s", pid, f)) {
				files = append(files, f)
			}
		}
		return files
	}
	if files := readable(plain.Process.Pid); !slices.Contains(files, "environ") || !slices.Contains(files, "maps") {
		t.Fatalf("of a plain process only %q can be read: this shows nothing", files)
	}

	l.hold(true)
	for _, c := range []run.Cmd{
		{Args: []string{"get", "--fresh", "-v"}},
		{Args: []string{"exchange"}, Stdin: subject},
	} {
		t.Run(c.Args[0], func(t *testing.T) {
			r := l.Start(c)
			wait(t, l.held, "its request")
			pid := r.PID()
			for _, name := range []string{"environ", "cmdline"} {
				b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
				if err != nil && l.other.privileged() {
					t.Fatal(err)
				}
				for what, secret := range secrets {
					if strings.Contains(string(b), secret) {
						t.Errorf("%s is in /proc/PID/%s", what, name)
					}
				}
				shared.ledger.Output("/proc/PID/"+name, string(b), false)
			}
			if files := readable(pid); len(files) > 0 {
				t.Errorf("another process of the user can read /proc/PID/%q", files)
			}
			if memoryOf(t, l.other, pid) {
				t.Error("another process of the user can open /proc/PID/mem")
			}
			if writable(t, l.other, fmt.Sprintf("/proc/%d/coredump_filter", pid)) {
				t.Error("another process of the user can write /proc/PID/coredump_filter")
			}
			limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
			if err != nil || !regexp.MustCompile(`Max core file size +0 `).Match(limits) {
				t.Errorf("core files are allowed: %v, %s", err, limits)
			}
			l.hold(false)
			l.release <- struct{}{}
			if res := r.Wait(); res.Code != 0 {
				t.Errorf("got %s", res)
			}
			l.hold(true)
		})
	}
	if !writable(t, l.other, fmt.Sprintf("/proc/%d/coredump_filter", plain.Process.Pid)) {
		t.Error("the filter of a plain process cannot be written: this shows nothing")
	}
	if !memoryOf(t, l.other, plain.Process.Pid) {
		t.Log("the memory of a plain process cannot be read either: this kernel allows no tracing")
	}
}

// memoryOf tells whether a thread of the other user may open a process's memory.
func memoryOf(t *testing.T, o *other, pid int) bool {
	t.Helper()
	return opens(t, o, fmt.Sprintf("/proc/%d/mem", pid), os.O_RDONLY)
}

func writable(t *testing.T, o *other, path string) bool {
	t.Helper()
	return opens(t, o, path, os.O_WRONLY)
}

// opens tells whether a thread of the other user can open a file.
func opens(t *testing.T, o *other, path string, flags int) bool {
	t.Helper()
	opened := false
	err := o.do(func() error {
		f, err := os.OpenFile(path, flags, 0)
		if err == nil {
			opened = true
			return f.Close()
		}
		if errors.Is(err, fs.ErrPermission) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// TestHygiene_noCore: a crash, or a signal that asks for a core, leaves none behind.
func TestHygiene_noCore(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &limit); err != nil {
		t.Fatal(err)
	}
	raise := "ulimit -c unlimited"
	if limit.Max == 0 {
		t.Log("the hard limit of core files is 0 here, so that no process leaves one")
		raise = "true"
	}
	l := newLair(t, raise)
	l.WantDo(0, run.Cmd{Args: []string{"exchange"}, Stdin: l.realm.UserToken("alice")})
	l.hold(true)

	// dumps tells whether the kernel says that it dumped a core. Where it goes is
	// the system's affair, and mostly no file here.
	dumps := func(cmd *exec.Cmd, sig syscall.Signal, ready func()) (bool, string) {
		var said strings.Builder
		cmd.Dir, cmd.Stderr, cmd.Stdout = l.Dir, &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ready()
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if !status.Signaled() && status.ExitStatus() != 2 { // 2 is how Go ends after its dump
			t.Errorf("%s has not ended it: %s, %q", sig, cmd.ProcessState, said.String())
		}
		return status.CoreDump(), said.String()
	}
	if raise != "true" {
		plain := l.other.as(exec.Command("bash", "-c", raise+"; exec sleep 60"))
		if dumped, _ := dumps(plain, syscall.SIGABRT, func() { time.Sleep(300 * time.Millisecond) }); !dumped {
			t.Log("a plain process leaves no core either, so the system allows none")
		}
		removeCores(l.Dir)
	}
	for _, sig := range []syscall.Signal{syscall.SIGSEGV, syscall.SIGILL} {
		cmd := exec.Command(l.programPath(t), "get", "--fresh")
		cmd.Env = append(l.Env(), "GOTRACEBACK=crash")
		dumped, said := dumps(cmd, sig, func() { wait(t, l.held, "its request") })
		if dumped {
			t.Errorf("%s: the kernel dumped a core", sig)
		}
		if cores := removeCores(l.Dir); len(cores) > 0 {
			t.Errorf("%s has left %q", sig, cores)
		}
		shared.ledger.Output("the stack after "+sig.String(), said, false)
	}
}

// programPath is the script that runs t2-cred as the other user.
func (l *lair) programPath(t *testing.T) string {
	t.Helper()
	scripts, err := filepath.Glob(filepath.Join(l.other.dir, "run-*"))
	if err != nil || len(scripts) != 1 {
		t.Fatalf("the scripts are %q, %v", scripts, err)
	}
	return scripts[0]
}

// removeCores removes what core files there are in a directory, and names them.
func removeCores(dir string) []string {
	cores, _ := filepath.Glob(filepath.Join(dir, "core*"))
	for _, core := range cores {
		_ = os.Remove(core)
	}
	return cores
}

// TestHygiene_modes: files are their owner's alone, whatever the umask.
func TestHygiene_modes(t *testing.T) {
	for _, umask := range []string{"000", "022", "777"} {
		t.Run("umask "+umask, func(t *testing.T) {
			l := newLair(t, "umask "+umask)
			l.exchange("alice")
			l.exchange("bob", "--account", "bob")
			l.get("alice", "--fresh")
			l.Want(0, "status")
			l.Want(0, "profile", "set-secret", "gep", "--client-secret-file", l.readableSecret(t))
			l.Want(0, "store", "init")
			l.WantDo(0, run.Cmd{Args: []string{"--store", "file", "profile", "set-secret", "gep", "--client-secret-file", "-"}, Stdin: l.realm.ClientSecret()})
			l.exchange("alice", "--store", "file")
			l.get("alice", "--store", "file", "--fresh")
			l.Want(0, "erase", "--account", "bob")

			files := 0
			err := filepath.WalkDir(l.Dir, func(path string, e fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				info, err := e.Info()
				if err != nil {
					return err
				}
				want := fs.FileMode(0o600)
				if e.IsDir() {
					want = 0o700
				} else {
					files++
				}
				if got := info.Mode().Perm(); got != want {
					t.Errorf("%s has mode %o, want %o", strings.TrimPrefix(path, l.Dir), got, want)
				}
				return nil
			})
			if err != nil || files < 8 {
				t.Errorf("%d files, %v: this shows nothing", files, err)
			}
		})
	}
}

// readableSecret is a file with the client's secret that the other user can read.
func (l *lair) readableSecret(t *testing.T) string {
	t.Helper()
	path := filepath.Join(l.other.dir, "client-secret")
	if err := os.WriteFile(path, []byte(l.realm.ClientSecret()), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// trace runs t2-cred under strace and gives what it did, one call a line.
func trace(t *testing.T, s *stage, calls string, c run.Cmd) []string {
	t.Helper()
	strace := needCommand(t, "strace", "strace")
	p := program(t)
	out := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command(strace, append([]string{"-f", "-qq", "-y", "-s", "1000000", "-e", "trace=" + calls, "-o", out, p.Path}, c.Args...)...)
	cmd.Env, cmd.Dir, cmd.Stdin = s.Env(), s.Dir, strings.NewReader(c.Stdin)
	printed, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("strace: %v: %s", err, printed)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(b), "\n")
}

// TestHygiene_cachedGetOpensNoSocket: neither network nor D-Bus.
func TestHygiene_cachedGetOpensNoSocket(t *testing.T) {
	s := newStage(t, server(t).Realm(t, keycloak.Legacy))
	s.exchange("alice")
	sockets := func(args ...string) (found []string) {
		for _, line := range trace(t, s, "%network", run.Cmd{Args: args}) {
			if strings.Contains(line, "socket(") || strings.Contains(line, "connect(") {
				found = append(found, line)
			}
		}
		return found
	}
	if found := sockets("get"); len(found) > 0 {
		t.Errorf("a cached get opened sockets: %q", found)
	}
	if found := sockets("get", "--format", "json"); len(found) > 0 {
		t.Errorf("a cached get opened sockets: %q", found)
	}
	if found := sockets("get", "--fresh"); len(found) < 2 {
		t.Errorf("get --fresh opened %q: this shows nothing", found)
	}
}

// TestHygiene_noSecretIsWrittenToAFile: not even for a moment.
func TestHygiene_noSecretIsWrittenToAFile(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Rotation)
	s := newStage(t, realm)
	p := watch(realm, nil)
	subject := realm.UserToken("alice")
	var lines []string
	for _, c := range []run.Cmd{
		{Args: []string{"profile", "set-secret", "gep", "--client-secret-file", "-"}, Stdin: realm.ClientSecret()},
		{Args: []string{"exchange"}, Stdin: subject},
		{Args: []string{"get", "--fresh"}},
		{Args: []string{"get"}},
		{Args: []string{"claims"}},
		{Args: []string{"status"}},
		{Args: []string{"erase"}},
	} {
		lines = append(lines, trace(t, s, "write,pwrite64,writev,pwritev,sendto,sendmsg,rename,renameat,renameat2", c)...)
	}
	secrets := map[string]bool{realm.ClientSecret(): true, subject: true}
	for _, g := range p.all(t) {
		secrets[g.AccessToken], secrets[g.RefreshToken], secrets[g.IDToken] = true, true, true
	}
	delete(secrets, "")

	file := regexp.MustCompile(`^\d+ +p?write(64|v)?\(\d+<(/[^>]*)>`)
	toFiles, elsewhere := 0, 0
	for _, line := range lines {
		to := file.FindStringSubmatch(line)
		toFile := to != nil && !strings.HasPrefix(to[2], "/dev/")
		if toFile {
			toFiles++
			shared.ledger.Output("written to "+to[2], line, false)
		}
		for secret := range secrets {
			if !strings.Contains(line, secret) {
				continue
			}
			if toFile {
				t.Errorf("a secret was written to %s", to[2])
			} else {
				elsewhere++
			}
		}
	}
	if toFiles < 2 || elsewhere < 3 { // the notes of the exchange and of the refresh
		t.Errorf("%d writes to files and %d of secrets to sockets were seen: this shows nothing", toFiles, elsewhere)
	}
	if kind, _ := shared.ledger.Kind(subject); kind != ledger.Subject {
		t.Errorf("the ledger knows the user's token as %q", kind)
	}
}
