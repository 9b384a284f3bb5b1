package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terradue/t2-cred/helper/secret"
)

// needKernel skips where the kernel's keyring is refused, as in most containers.
func needKernel(t *testing.T) {
	t.Helper()
	r := kernelRing{}
	if err := r.put("t2-cred-test", "x", time.Minute); err != nil {
		if os.Getenv("T2_CRED_E2E") == "1" {
			t.Fatalf("no kernel keyring: %v", err)
		}
		t.Skipf("no kernel keyring: %v", err)
	}
	r.remove("t2-cred-test")
}

func TestKernelRing(t *testing.T) {
	needKernel(t)
	r := kernelRing{}
	name := fmt.Sprintf("t2-cred-test:%d", os.Getpid())
	t.Cleanup(func() { r.remove(name) })
	if v, err := r.get(name); !errors.Is(err, ErrNotFound) {
		t.Fatalf("%q, %v", v, err)
	}
	for _, want := range []string{"one", strings.Repeat("x", 4096), strings.Repeat("y", 4097), strings.Repeat("z", 12000), "short"} {
		err := r.put(name, want, time.Minute)
		if errors.Is(err, unix.EDQUOT) {
			t.Logf("%d bytes: this user has no room for them", len(want))
			continue
		}
		if err != nil {
			t.Fatalf("%d bytes: %v", len(want), err)
		}
		if got, err := r.get(name); err != nil || got != want {
			t.Errorf("%d bytes: got %d, %v", len(want), len(got), err)
		}
	}
	if err := r.put(name, strings.Repeat("x", maxKey+1), 0); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	if v, err := r.get(name); !errors.Is(err, ErrNotFound) {
		t.Errorf("a refused put left %q, %v", v, err)
	}
	// The kernel forgets by itself, and an expired key can be written again.
	if err := r.put(name, "soon gone", time.Second); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond)
	if v, err := r.get(name); !errors.Is(err, ErrNotFound) {
		t.Errorf("after its end: %q, %v", v, err)
	}
	if err := r.put(name, "again", 0); err != nil {
		t.Fatal(err)
	}
	if v, err := r.get(name); err != nil || v != "again" {
		t.Errorf("written again: %q, %v", v, err)
	}
	r.remove(name)
	if v, err := r.get(name); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed: %q, %v", v, err)
	}
}

// TestKernelRing_betweenSessions reads and replaces a token from processes whose
// session keyring is not linked to the user's, as systemd starts services.
func TestKernelRing_betweenSessions(t *testing.T) {
	needKernel(t)
	o := fileOptions(t)
	s := open(t, o)
	s.kernel.off = false
	put(t, s, alice, sampleRecord("g1"))
	if n, err := s.notes.get(alice); err != nil || n.place != placeKernel {
		t.Fatalf("the token is in %q, %v", n.place, err)
	}
	c := childOf(o, alice)
	c.Kernel, c.Detached = true, true
	if got := runOutcome(t, child(t, "token", c)); got.Kind != "ok" || got.Token != "first" {
		t.Errorf("a detached session reads: %+v", got)
	}
	rotated := runOutcome(t, child(t, "rotate", c))
	if rotated.Kind != "ok" {
		t.Fatalf("a detached session writes: %+v", rotated)
	}
	if got := runOutcome(t, child(t, "token", c)); got.Token != rotated.Token {
		t.Errorf("a detached session reads its own: %+v", got)
	}
	if tok, err := s.Token(context.Background(), alice); err != nil || tok.AccessToken.Reveal() != rotated.Token {
		t.Errorf("we read what a detached session wrote: %+v, %v", tok, err)
	}
	// And one that is new there.
	c.Account = "new"
	drop(t, s, c.key())
	if got := runOutcome(t, child(t, "update", c)); got.Kind != "ok" {
		t.Fatalf("%+v", got)
	}
	if n, err := s.notes.get(c.key()); err != nil || n.place != placeKernel {
		t.Errorf("a detached session puts its token in %q, %v", n.place, err)
	}
	if tok, err := s.Token(context.Background(), c.key()); err != nil || tok.AccessToken != "first" {
		t.Errorf("we read what a detached session made: %+v, %v", tok, err)
	}
	id, err := findKey(s.kernelName(c.key()))
	if err != nil {
		t.Fatal(err)
	}
	about, err := unix.KeyctlString(unix.KEYCTL_DESCRIBE, id)
	if err != nil || !strings.HasPrefix(about, fmt.Sprintf("user;%d;%d;3f3f0000;", os.Getuid(), os.Getgid())) {
		t.Errorf("the key is %q, %v", about, err)
	}
}

// TestCache_quotaFull fills the kernel's quota of a user (of its own, when root
// runs the test) and looks where the token goes.
func TestCache_quotaFull(t *testing.T) {
	needKernel(t)
	o := fileOptions(t)
	c := childOf(o, alice)
	c.Kernel = true
	cmd := child(t, "quota", c)
	if os.Getuid() == 0 {
		asNobody(t, cmd, o)
	}
	if got := runOutcome(t, cmd); got.Kind != "ok" {
		t.Errorf("%+v", got)
	}
}

// asNobody makes cmd a process of a user that nobody is, who has the store's
// directories.
func asNobody(t *testing.T, cmd *exec.Cmd, o Options) {
	t.Helper()
	uid := uint32(60000 + os.Getpid()%5000)
	dir, err := os.MkdirTemp("", "t2nobody")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	exe, err := os.ReadFile(cmd.Path)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Path = filepath.Join(dir, "store.test")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(cmd.Path, exe, 0o755)); err != nil {
		t.Fatal(err)
	}
	root := filepath.Dir(o.StateDir)
	for d := root; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	err = filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Chown(path, int(uid), int(uid)))
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: uid}
}

func init() { childModes["quota"] = childQuota }

// childQuota is the body of TestCache_quotaFull.
func childQuota(ctx context.Context, s *Store, c childOptions) (Record, error) {
	k := c.key()
	defer s.kernel.remove(s.kernelName(k))
	step := func(token string, place string) error {
		_, err := s.Update(ctx, k, func(old Record) (Record, error) {
			if old.Grant == "" {
				old = sampleRecord("g1")
			}
			// Longer each time, or the kernel would find room in the old one.
			old.Token = sampleToken(token + strings.Repeat(".", 100*len(token)))
			return old, nil
		})
		if err != nil {
			return err
		}
		n, err := s.notes.get(k)
		if err != nil || n.place != place {
			return fmt.Errorf("%s: the token is in %q, %w, want %q", token, n.place, err, place)
		}
		t, err := s.Token(ctx, k)
		if err != nil || !strings.HasPrefix(t.AccessToken.Reveal(), token+".") {
			return fmt.Errorf("%s: Token = %.10q, %w", token, t.AccessToken.Reveal(), err)
		}
		return nil
	}
	if err := step("a", placeKernel); err != nil {
		return Record{}, err
	}
	var fill []string
	defer func() {
		for _, name := range fill {
			s.kernel.remove(name)
		}
	}()
	for size := 8000; size > 0; {
		name := fmt.Sprintf("t2-cred-fill:%d", len(fill))
		if _, err := unix.AddKey("user", name, []byte(strings.Repeat("x", size)), unix.KEY_SPEC_USER_KEYRING); err != nil {
			if !errors.Is(err, unix.EDQUOT) {
				return Record{}, err
			}
			size /= 2
			continue
		}
		fill = append(fill, name)
		if len(fill) > 1000 {
			return Record{}, errors.New("there is no quota")
		}
	}
	if err := step("bb", placeItem); err != nil {
		return Record{}, err
	}
	if v, err := s.kernel.get(s.kernelName(k)); !errors.Is(err, ErrNotFound) {
		return Record{}, fmt.Errorf("the old token is still in the kernel: %.20q, %w", v, err)
	}
	for _, name := range fill {
		s.kernel.remove(name)
	}
	fill = nil
	// The kernel frees the quota when it collects its garbage, soon.
	for range 100 {
		if s.kernel.put("t2-cred-fill:probe", strings.Repeat("x", 8000), time.Minute) == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.kernel.remove("t2-cred-fill:probe")
	time.Sleep(200 * time.Millisecond)
	if err := step("ccc", placeKernel); err != nil {
		return Record{}, err
	}
	if v, _, err := s.backend.Load(ctx, k.item(kindToken)); !errors.Is(err, ErrNotFound) {
		return Record{}, fmt.Errorf("the old token is still in its item: %.20q, %w", v.Reveal(), err)
	}
	return Record{}, nil
}

// TestCache_aStaleCopyIsNotServed has an older token left in the other place.
func TestCache_aStaleCopyIsNotServed(t *testing.T) {
	needKernel(t)
	o, ctx := fileOptions(t), context.Background()
	s := open(t, o)
	s.kernel.off = false
	put(t, s, alice, sampleRecord("g1"))
	without := open(t, o) // as in a container: the kernel is refused
	tokenIs := func(want secret.Secret) {
		t.Helper()
		if tok, err := s.Token(ctx, alice); err != nil || tok.AccessToken != want {
			t.Errorf("Token = %q, %v, want %q", tok.AccessToken.Reveal(), err, want.Reveal())
		}
	}
	tokenIs("first")
	set := func(s *Store, token string) {
		t.Helper()
		if _, err := s.Update(ctx, alice, func(old Record) (Record, error) { old.Token = sampleToken(token); return old, nil }); err != nil {
			t.Fatal(err)
		}
	}
	set(without, "second")
	tokenIs("second")
	set(s, "third")
	tokenIs("third")
	set(without, "fourth")
	tokenIs("fourth")
	// The caller takes the token back.
	if _, err := s.Update(ctx, alice, func(old Record) (Record, error) { old.Token = Token{}; return old, nil }); err != nil {
		t.Fatal(err)
	}
	if tok, err := s.Token(ctx, alice); !errors.Is(err, ErrNotFound) {
		t.Errorf("Token = %q, %v", tok.AccessToken.Reveal(), err)
	}
}

func TestKeyring_cachesInTheKernel(t *testing.T) {
	needKernel(t)
	s := open(t, keyringOptions(t))
	put(t, s, alice, sampleRecord("g1"))
	w := watch(s)
	if tok, err := s.Token(context.Background(), alice); err != nil || tok.AccessToken != "first" {
		t.Errorf("Token = %+v, %v", tok, err)
	}
	if len(w.loads) > 0 {
		t.Errorf("the keyring was asked for %q", w.loads)
	}
	id, err := findKey(s.kernelName(alice))
	if err != nil {
		t.Fatal(err)
	}
	timeouts, err := os.ReadFile("/proc/keys") // "00c8b8e2 I--Q---  1 4m 3f3f0000 0 0 user …"
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(timeouts)) {
		if f := strings.Fields(line); strings.HasPrefix(line, fmt.Sprintf("%08x ", id)) && (f[3] == "perm" || f[4] != "3f3f0000") {
			t.Errorf("the key has no end, or is open to others: %s", line)
		}
	}
}

func TestKeyring_tokenInAnItem(t *testing.T) {
	s := open(t, keyringOptions(t))
	s.kernel.off = true
	put(t, s, alice, sampleRecord("g1"))
	ctx := context.Background()
	if tok, err := s.Token(ctx, alice); err != nil || tok.AccessToken != "first" {
		t.Errorf("Token = %+v, %v", tok, err)
	}
	if n, err := s.notes.get(alice); err != nil || n.place != placeItem {
		t.Errorf("the token is in %q, %v", n.place, err)
	}
	if err := s.Delete(ctx, alice); err != nil {
		t.Fatal(err)
	}
	if names, err := s.listAll(ctx); err != nil || len(names) > 0 {
		t.Errorf("left behind: %q, %v", names, err)
	}
}
