package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/e2e/proc"
	"github.com/terradue/t2-cred/e2e/run"
)

// TestRace_oneRefresh: a hundred processes find the token expired, where a refresh
// token spent twice would end the grant.
func TestRace_oneRefresh(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Rotation)
	raceForOneRefresh(t, newStage(t, realm))
}

// TestRace_oneRefreshWithoutTheKernel is the same where the kernel takes no more
// keys of this user, so that the access token is cached in the OS keyring.
func TestRace_oneRefreshWithoutTheKernel(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Rotation)
	o := newOther(t)
	s := &stage{o.program(t).NewHome(t).Set(o.ring(t)), t, nil, realm}
	o.own(t, s.Dir)
	o.fillKernel(t)
	// The secret comes by standard input: its file is not the other user's.
	s.WantDo(0, run.Cmd{Args: append(addProfile(t, realm), "--client-secret-file", "-"), Stdin: realm.ClientSecret()})
	raceForOneRefresh(t, s)
	if place := noteOf(t, s.Home)[2]; place != "item" {
		t.Errorf("the access token is cached in %q, so the kernel was not full", place)
	}
}

func raceForOneRefresh(t *testing.T, s *stage) {
	t.Helper()
	const processes = 100
	s.realm.SetAccessTokenLifespan(2 * time.Second)
	s.exchange("alice")
	expire(t, s.get("alice", "--min-valid", "0s"))
	s.realm.SetAccessTokenLifespan(5 * time.Minute)

	// The refresh is held until all are there and wait.
	everybody := make(chan struct{})
	p := watch(s.realm, func(_ *http.Request, form url.Values) bool {
		if form.Get("grant_type") == "refresh_token" {
			select {
			case <-everybody:
			case <-time.After(30 * time.Second):
			}
		}
		return true
	})
	before := s.realm.RefreshCount()
	running := make([]*run.Running, processes)
	for i := range running {
		running[i] = s.Start(run.Cmd{Args: []string{"get"}})
	}
	time.Sleep(500 * time.Millisecond)
	close(everybody)

	tokens := map[string]int{}
	for _, r := range running {
		res := r.Wait()
		if res.Code != 0 || res.Stderr != "" {
			t.Errorf("got %s", res)
		}
		tokens[res.Token()]++
	}
	if len(tokens) != 1 {
		t.Errorf("%d processes printed %d different tokens", processes, len(tokens))
	}
	if n, refused := s.realm.RefreshCount()-before, s.realm.RefreshErrors(); n != 1 || refused != 0 {
		t.Errorf("the server counted %d refreshes and refused %d, want one and none", n, refused)
	}
	if n := len(p.granted(t)); n != 1 {
		t.Errorf("the front saw %d refreshes, want 1", n)
	}
	if _, ok := tokens[s.get("alice")]; !ok {
		t.Error("the token that was printed is not the cached one")
	}
	// And all of them in earnest: each spends what the one before it got.
	for _, r := range s.Many(10, run.Cmd{Args: []string{"get", "--fresh"}}) {
		if r.Code != 0 {
			t.Errorf("got %s", r)
		}
	}
	s.get("alice", "--fresh")
	if refused := s.realm.RefreshErrors(); refused != 0 {
		t.Errorf("the server refused %d refreshes", refused)
	}
}

// TestRace_twoAccountsOfOneLogin: two grants in one session of the server, where each
// refresh token serves once. Neither spends the other's.
func TestRace_twoAccountsOfOneLogin(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Rotation)
	s := newStage(t, realm)
	login := realm.UserToken("alice")
	accounts := []string{"job-1", "job-2"}
	for _, job := range accounts {
		s.WantDo(0, run.Cmd{Args: []string{"exchange", "--account", job}, Stdin: login})
	}
	for range 5 {
		var both []*run.Running
		for _, job := range accounts {
			both = append(both, s.Start(run.Cmd{Args: []string{"get", "--fresh", "--account", job}}))
		}
		for _, r := range both {
			if res := r.Wait(); res.Code != 0 {
				t.Fatalf("got %s", res)
			}
		}
	}
	if refused := realm.RefreshErrors(); refused != 0 {
		t.Errorf("the server refused %d refreshes", refused)
	}
}

// TestRace_holderIsKilled: who dies with the lock blocks nobody. Its request is
// held at the front, and never reaches the server.
func TestRace_holderIsKilled(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Rotation)
	s := newStage(t, realm)
	s.exchange("alice")

	first := make(chan struct{})
	second := make(chan time.Time, 1)
	var mu sync.Mutex
	var asked int
	p := watch(realm, func(r *http.Request, _ url.Values) bool {
		mu.Lock()
		asked++
		n := asked
		mu.Unlock()
		switch n {
		case 1:
			close(first)
			<-r.Context().Done() // until its sender dies
			return false
		case 2:
			second <- time.Now()
		}
		return true
	})
	holder := s.Start(run.Cmd{Args: []string{"get", "--fresh"}})
	wait(t, first, "the holder's request")
	others := make([]*run.Running, 10)
	for i := range others {
		others[i] = s.Start(run.Cmd{Args: []string{"get", "--fresh"}})
	}
	time.Sleep(300 * time.Millisecond)
	for _, r := range others {
		if !r.Alive() {
			t.Fatalf("one of those who wait has ended: %s", r.Wait())
		}
	}
	killed := time.Now()
	holder.Kill()
	if r := holder.Wait(); r.Signal != syscall.SIGKILL {
		t.Errorf("the holder: %s", r)
	}
	if blocked := wait(t, second, "the request of the next").Sub(killed); blocked > 2*time.Second {
		t.Errorf("the others were blocked for %s after the holder's death", blocked)
	} else {
		t.Logf("the next asked %s after the holder's death", blocked.Round(time.Millisecond))
	}
	// All of them asked after the holder began, so a refresh that began after all
	// of them would do for all; it is at most one each.
	for _, r := range others {
		if res := r.Wait(); res.Code != 0 || keycloak.Claims(res.Token())["sub"] != realm.UserID("alice") {
			t.Errorf("got %s", res)
		}
	}
	if n := len(p.granted(t)); n < 1 || n > len(others) {
		t.Errorf("%d refreshes for %d processes", n, len(others))
	}
	if refused := realm.RefreshErrors(); refused != 0 {
		t.Errorf("the server refused %d refreshes", refused)
	}
	s.get("alice", "--fresh")
}

// TestRace_holderIsStopped: who neither works nor dies costs the others their
// deadline, and no more.
func TestRace_holderIsStopped(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Rotation)
	s := newStage(t, realm)
	s.exchange("alice")
	first, held := make(chan struct{}), make(chan struct{})
	var once sync.Once
	watch(realm, func(r *http.Request, _ url.Values) bool {
		once.Do(func() { close(first); wait(t, held, "the end of the hold") })
		return true
	})
	holder := s.Start(run.Cmd{Args: []string{"get", "--fresh"}})
	wait(t, first, "the holder's request")
	if err := holder.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	r := s.Run("get", "--fresh", "--timeout", "2s")
	wantFailure(t, r, 9, "another t2-cred holds the lock: waited ", "--timeout")
	wantFailure(t, r, 9, fmt.Sprintf("(process %d)", holder.PID()), "")
	if r.Took > 3*time.Second {
		t.Errorf("it took %s with --timeout 2s", r.Took)
	}
	if got := s.get("alice"); got == "" {
		t.Error("the cached token is not served any more")
	}
	close(held)
	if err := holder.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if res := holder.Wait(); res.Code != 0 {
		t.Errorf("the holder: %s", res)
	}
	s.get("alice", "--fresh")
}

// wait receives from c, or fails the test after half a minute.
func wait[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(30 * time.Second):
		t.Fatalf("waited 30 s for %s", what)
	}
	return v
}

// noteOf is the head of the note of the one account of a home, as it lies on disk:
// its version, the grant, where the token is, the profile, the account.
func noteOf(t *testing.T, h *run.Home) []string {
	t.Helper()
	notes, err := filepath.Glob(filepath.Join(h.Dir, ".local/state/t2-cred/*/notes-keyring/*.note"))
	if err != nil || len(notes) != 1 {
		t.Fatalf("the notes are %q, %v", notes, err)
	}
	b, err := os.ReadFile(notes[0])
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(b), "\n")
	words := strings.Split(head, " ")
	if len(words) != 5 {
		t.Fatalf("the note begins with %q", head)
	}
	return words
}

// An other is another user of this machine, one without privileges: "nobody", since
// a bus wants to know its users by name. Where the tests themselves have none, it is
// their own user.
type other struct {
	uid int
	dir string // that everybody can read
}

func newOther(t *testing.T) *other {
	t.Helper()
	parts.Need(t, parts.Keyring)
	o := &other{uid: os.Getuid()}
	if o.uid == 0 {
		nobody, err := user.Lookup("nobody")
		if err != nil {
			t.Fatal(err)
		}
		if o.uid, err = strconv.Atoi(nobody.Uid); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if o.dir, err = os.MkdirTemp("", "t2-other-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(o.dir) })
	if err := os.Chmod(o.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *other) privileged() bool { return o.uid != os.Getuid() }

// as is cmd, to be run by the other user.
func (o *other) as(cmd *exec.Cmd) *exec.Cmd {
	if o.privileged() {
		id := uint32(o.uid)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id}}
	}
	return cmd
}

// own gives all that lies in a directory to the other user.
func (o *other) own(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, o.uid, o.uid))
	})
	if err != nil && o.privileged() {
		t.Fatal(err)
	}
}

// program is t2-cred, run by the other user, after the lines of a shell script.
func (o *other) program(t *testing.T, lines ...string) *run.Program {
	t.Helper()
	p := program(t)
	binary := filepath.Join(o.dir, "t2-cred")
	o.copy(t, p.Path, binary)
	switching := ""
	if o.privileged() {
		switching = fmt.Sprintf("setpriv --reuid=%d --regid=%d --clear-groups --pdeathsig=KILL ", o.uid, o.uid)
	}
	script := filepath.Join(o.dir, fmt.Sprintf("run-%d", rand.Uint32()))
	text := fmt.Sprintf("#!/bin/bash\n%s\nexec %s%s \"$@\"\n", strings.Join(lines, "\n"), switching, binary)
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return &run.Program{Path: script, Ledger: p.Ledger}
}

func (o *other) copy(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		_ = os.Remove(to)
		err = os.WriteFile(to, b, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// ring starts a bus and a gnome-keyring of the other user, and gives the variable
// that names the bus.
func (o *other) ring(t *testing.T) string {
	t.Helper()
	top, err := parts.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(o.dir, "with-keyring.sh")
	o.copy(t, filepath.Join(top, "e2e", "with-keyring.sh"), script)
	cmd := o.as(exec.Command(script, "sh", "-c", `echo "$DBUS_SESSION_BUS_ADDRESS"; exec cat`))
	cmd.Dir = o.dir
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, w := io.Pipe()
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = w, &said
	p, err := proc.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // it ends, and cleans up
		select {
		case <-p.Done():
		case <-time.After(10 * time.Second):
			p.Kill()
		}
	})
	go func() { <-p.Done(); _ = w.Close() }()
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("no keyring of user %d: %v: %s", o.uid, err, said.String())
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return "DBUS_SESSION_BUS_ADDRESS=" + strings.TrimSpace(address)
}

// do runs f on a thread that is the other user.
func (o *other) do(f func() error) error {
	done := make(chan error, 1)
	go func() {
		if o.privileged() {
			runtime.LockOSThread() // and never unlocked, so that the thread ends with f
			id := uintptr(o.uid)
			for _, call := range []uintptr{syscall.SYS_SETRESGID, syscall.SYS_SETRESUID} {
				if _, _, e := syscall.RawSyscall(call, id, id, id); e != 0 {
					done <- fmt.Errorf("become user %d: %w", o.uid, e)
					return
				}
			}
		}
		done <- f()
	}()
	return <-done
}

// fillKernel fills the other user's quota in the kernel, until the test ends.
func (o *other) fillKernel(t *testing.T) {
	t.Helper()
	var ids []int
	err := o.do(func() error {
		for n := 0; ; n++ {
			id, err := addKey(fmt.Sprintf("t2-cred-e2e:%d:%d", os.Getpid(), n), "x")
			switch {
			case errors.Is(err, syscall.EDQUOT):
				return nil
			case err != nil:
				return err
			case n > 2_000_000:
				return errors.New("this user has no quota")
			}
			ids = append(ids, id)
		}
	})
	t.Cleanup(func() {
		_ = o.do(func() error {
			for _, id := range ids {
				_, _ = keyctl(keyctlUnlink, uintptr(id), userKeyring, 0, 0)
			}
			return nil
		})
	})
	if err != nil || len(ids) == 0 {
		t.Fatalf("fill the kernel's keyring of user %d: %d keys, %v", o.uid, len(ids), err)
	}
}

// The kernel's keyring of the user, by add_key(2) and keyctl(2).
const (
	userKeyring    = ^uintptr(3) // KEY_SPEC_USER_KEYRING, -4
	keyctlDescribe = 6
	keyctlUnlink   = 9
	keyctlRead     = 11
)

func addKey(name, payload string) (int, error) {
	kind, err := syscall.BytePtrFromString("user")
	if err != nil {
		return 0, err
	}
	desc, err := syscall.BytePtrFromString(name)
	if err != nil {
		return 0, err
	}
	b := []byte(payload)
	id, _, e := syscall.Syscall6(syscall.SYS_ADD_KEY, uintptr(unsafe.Pointer(kind)), uintptr(unsafe.Pointer(desc)),
		uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), userKeyring, 0)
	if e != 0 {
		return 0, e
	}
	return int(id), nil
}

func keyctl(operation, a, b, c, d uintptr) (int, error) {
	n, _, e := syscall.Syscall6(syscall.SYS_KEYCTL, operation, a, b, c, d, 0)
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}
