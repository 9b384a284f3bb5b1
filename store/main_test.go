package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	gokeyring "github.com/zalando/go-keyring"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend/backendtest"
	"github.com/terradue/t2-cred/store/openbao/baotest"
)

// TestMain runs the tests, or is one of the processes that they start.
func TestMain(m *testing.M) {
	if mode := os.Getenv("T2_STORE_CHILD"); mode != "" {
		os.Exit(runChild(mode))
	}
	code := m.Run()
	closeSharedBus()
	os.Exit(code)
}

// childOptions are a child's Options, without what is code.
type childOptions struct {
	Backend, Config, StateDir, DataDir, RuntimeDir string
	OpenBao                                        OpenBao
	Attended                                       bool
	Kernel                                         bool // cached there by every backend
	Detached                                       bool // in a session not linked to the user's keyring
	Profile, Account                               string
	Dir                                            string // for the mode's own use
	Millis                                         int
}

func (c childOptions) key() Key { return Key{c.Profile, c.Account} }

func childOf(o Options, k Key) childOptions {
	return childOptions{
		Backend: o.Backend, Config: o.Config, StateDir: o.StateDir, DataDir: o.DataDir,
		RuntimeDir: o.RuntimeDir, OpenBao: o.OpenBao, Attended: o.Attended, Profile: k.Profile, Account: k.Account,
	}
}

// child prepares a process of this test binary that does one thing to a store.
func child(t testing.TB, mode string, c childOptions, env ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	options, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), env...)
	cmd.Env = append(cmd.Env, "T2_STORE_CHILD="+mode, "T2_STORE_OPTIONS="+string(options),
		"GORACE=atexit_sleep_ms=0")
	dieWithParent(cmd)
	return cmd
}

// outcome is what a child says about one call.
type outcome struct {
	Kind    string // "ok", or the sentinel's words
	Error   string
	Hint    string
	Token   string
	Refresh string
	Millis  int
}

// runOutcome runs a child and reads what it says last.
func runOutcome(t testing.TB, cmd *exec.Cmd) outcome {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("child: %v\n%s%s", err, out, stderr.String())
	}
	if stderr.Len() > 0 {
		t.Logf("child: %s", strings.TrimSpace(stderr.String()))
	}
	return lastOutcome(t, out)
}

func lastOutcome(t testing.TB, out []byte) outcome {
	t.Helper()
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	var o outcome
	if err := json.Unmarshal(lines[len(lines)-1], &o); err != nil {
		t.Fatalf("child said %q", out)
	}
	return o
}

func report(w io.Writer, started time.Time, rec Record, err error) {
	o := outcome{
		Kind: kindName(err), Token: rec.Token.AccessToken.Reveal(), Refresh: rec.RefreshToken.Reveal(),
		Millis: int(time.Since(started).Milliseconds()),
	}
	if err != nil {
		o.Error = err.Error()
		if e, ok := errors.AsType[*hint.Error](err); ok {
			o.Hint = e.Hint().String()
		}
	}
	_ = json.NewEncoder(w).Encode(o)
}

func kindName(err error) string {
	if err == nil {
		return "ok"
	}
	for _, kind := range []error{ErrNotFound, ErrLocked, ErrUnavailable, ErrTooLarge, ErrCorrupt, ErrBusy, ErrName} {
		if errors.Is(err, kind) {
			return kind.Error()
		}
	}
	return "other"
}

// childModes are what a child can do.
var childModes = map[string]func(ctx context.Context, s *Store, c childOptions) (Record, error){
	"load":      func(ctx context.Context, s *Store, c childOptions) (Record, error) { return s.Load(ctx, c.key()) },
	"update":    childUpdate,
	"rotate":    childRotate,
	"refresh":   childRefresh,
	"hold":      childHold,
	"churn":     childChurn,
	"spend":     childSpend,
	"rotations": childRotations,
	"replace":   childReplace,
	"token": func(ctx context.Context, s *Store, c childOptions) (Record, error) {
		t, err := s.Token(ctx, c.key())
		return Record{Token: t}, err
	},
	"client secret": func(ctx context.Context, s *Store, c childOptions) (Record, error) {
		return Record{}, s.SetClientSecret(ctx, c.Profile, "s3cret")
	},
	"renew":    childRenew,
	"bare set": childBareSet,
	"bare get": childBareGet,
	"kept":     childUpdate,
	"delete": func(ctx context.Context, s *Store, c childOptions) (Record, error) {
		return Record{}, s.Delete(ctx, c.key())
	},
	"writable": func(ctx context.Context, s *Store, _ childOptions) (Record, error) {
		return Record{}, s.CheckWritable(ctx)
	},
}

func runChild(mode string) int {
	var c childOptions
	if err := json.Unmarshal([]byte(os.Getenv("T2_STORE_OPTIONS")), &c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	s, err := openAny(Options{
		Backend: c.Backend, Config: c.Config, StateDir: c.StateDir, DataDir: c.DataDir, RuntimeDir: c.RuntimeDir,
		OpenBao: c.OpenBao, Attended: c.Attended, Getenv: os.Getenv, Now: time.Now,
		Warn: func(msg string) { fmt.Fprintln(os.Stderr, "warning: "+msg) },
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	if c.Kernel {
		s.kernel.off = false
	}
	if c.Detached {
		detachSession()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if c.Millis > 0 && !strings.HasPrefix(mode, "churn") {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(c.Millis)*time.Millisecond)
		defer cancel()
	}
	started := time.Now()
	f, ok := childModes[mode]
	if !ok {
		fmt.Fprintln(os.Stderr, "no such mode", mode)
		return 2
	}
	rec, err := f(ctx, s, c)
	report(os.Stdout, started, rec, err)
	return 0
}

// childUpdate stores a first record.
func childUpdate(ctx context.Context, s *Store, c childOptions) (Record, error) {
	return s.Update(ctx, c.key(), func(old Record) (Record, error) {
		if old.Grant == "" {
			return sampleRecord("g1"), nil
		}
		old.RevokedBy = fmt.Sprintf("%s.", old.RevokedBy)
		return old, nil
	})
}

// childRotate does what a refresh with rotation does.
func childRotate(ctx context.Context, s *Store, c childOptions) (Record, error) {
	return refresh(ctx, s, c.key(), nil, func(old Record) (Record, error) {
		old.RefreshToken = secret.Secret(fmt.Sprintf("rotated-by-%d-%d", os.Getpid(), time.Now().UnixNano()))
		old.Token = sampleToken("token-of-" + old.RefreshToken.Reveal())
		return old, nil
	})
}

// childSpend spends the refresh token while the test does what it likes.
func childSpend(ctx context.Context, s *Store, c childOptions) (Record, error) {
	return refresh(ctx, s, c.key(), nil, func(old Record) (Record, error) {
		fmt.Println("spending")
		_, _ = io.Copy(io.Discard, os.Stdin)
		old.RefreshToken = "spent"
		return old, nil
	})
}

// childRotations rotates for ever and says where it is.
func childRotations(ctx context.Context, s *Store, c childOptions) (Record, error) {
	fmt.Println("runs")
	for i := 0; ; i++ {
		next := secret.Secret(fmt.Sprintf("r-%d-%d", os.Getpid(), i))
		_, err := refresh(ctx, s, c.key(), nil, func(old Record) (Record, error) {
			old.RefreshToken = next
			old.Token = sampleToken("of-" + next.Reveal())
			fmt.Println("spent", next.Reveal())
			return old, nil
		})
		if err != nil {
			return Record{}, err
		}
		fmt.Println("stored", next.Reveal())
	}
}

// childReplace replaces the record of the first by that of the second moment. It
// stays on one thread, so that the calls are counted and written down in order.
func childReplace(ctx context.Context, s *Store, c childOptions) (Record, error) {
	runtime.LockOSThread()
	rec, err := s.Update(ctx, c.key(), func(Record) (Record, error) { return secondRecord(), nil })
	fmt.Println("kept")
	return rec, err
}

// secondRecord differs from sampleRecord in all that can differ, its length too.
func secondRecord() Record {
	r := sampleRecord("g2")
	r.Username, r.Subject, r.ClientID = "bob", "f:1234:bob", "another"
	r.RefreshToken = r.RefreshToken + "-second-" + r.RefreshToken
	r.Token = sampleToken("second")
	return r
}

// childRefresh is one of many that find the token too old.
func childRefresh(ctx context.Context, s *Store, c childOptions) (Record, error) {
	enough := func(t Token) bool { return t.AccessToken != "first" }
	if t, err := s.Token(ctx, c.key()); err == nil && enough(t) {
		return Record{Token: t}, nil
	}
	return refresh(ctx, s, c.key(), enough, func(old Record) (Record, error) {
		f, err := os.OpenFile(filepath.Join(c.Dir, "spent"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return Record{}, err
		}
		defer f.Close()
		if _, err := fmt.Fprintln(f, old.RefreshToken.Reveal()); err != nil {
			return Record{}, err
		}
		time.Sleep(50 * time.Millisecond) // a quick issuer
		old.RefreshToken += "'"
		old.Token = sampleToken(fmt.Sprintf("fresh-%d", os.Getpid()))
		return old, nil
	})
}

// childRenew is a whole refresh, with the client secret and rotation.
func childRenew(ctx context.Context, s *Store, c childOptions) (Record, error) {
	return refresh(ctx, s, c.key(), func(Token) bool { return false }, func(old Record) (Record, error) {
		if _, err := s.ClientSecret(ctx, c.Profile); err != nil {
			return Record{}, err
		}
		old.RefreshToken += "'"
		old.Token = sampleToken(fmt.Sprintf("fresh-%d", os.Getpid()))
		return old, nil
	})
}

// childBareSet stores a first record by go-keyring alone, as an earlier version
// did: a get comes before the first set.
func childBareSet(ctx context.Context, s *Store, c childOptions) (Record, error) {
	if _, _, err := s.backend.Load(ctx, c.key().item(kindGrant)); !errors.Is(err, ErrNotFound) {
		return Record{}, err
	}
	value := "=" + encodeRecord(c.key(), sampleRecord("g1")).Reveal()
	return Record{}, gokeyring.Set("t2-cred-"+s.ns, c.key().item(kindGrant), value)
}

// childBareGet reads the record by go-keyring alone.
func childBareGet(_ context.Context, s *Store, c childOptions) (Record, error) {
	raw, err := gokeyring.Get("t2-cred-"+s.ns, c.key().item(kindGrant))
	if err != nil {
		return Record{}, err
	}
	return decodeFor(c.key(), secret.Secret(strings.TrimPrefix(raw, "=")))
}

// childHold takes the lock, says so, and never lets go.
func childHold(ctx context.Context, s *Store, c childOptions) (Record, error) {
	return s.Update(ctx, c.key(), func(old Record) (Record, error) {
		fmt.Println("held")
		time.Sleep(time.Hour)
		return old, nil
	})
}

// refreshOrMake is refresh, and makes a first record where there is none.
func refreshOrMake(ctx context.Context, s *Store, k Key, enough func(Token) bool, f func(Record) (Record, error)) (Record, error) {
	rec, err := refresh(ctx, s, k, enough, f)
	if errors.Is(err, ErrNotFound) {
		return s.Obtain(ctx, k, f)
	}
	return rec, err
}

// childChurn stores and reads for a while, its own account and one that all share.
func childChurn(ctx context.Context, s *Store, c childOptions) (Record, error) {
	ctx = context.WithoutCancel(ctx)
	shared := Key{c.Profile, "shared"}
	end := time.Now().Add(time.Duration(c.Millis) * time.Millisecond)
	for i := 0; time.Now().Before(end); i++ {
		for _, k := range []Key{c.key(), shared} {
			want := fmt.Sprintf("%d-%d", os.Getpid(), i)
			never := func(Token) bool { return false }
			_, err := refreshOrMake(ctx, s, k, never, func(old Record) (Record, error) {
				if _, err := s.ClientSecret(ctx, c.Profile); err != nil && !errors.Is(err, ErrNotFound) {
					return Record{}, err
				}
				if old.Grant == "" {
					old = sampleRecord("g1")
				}
				old.Username = want
				return old, nil
			})
			if err != nil {
				return Record{}, fmt.Errorf("update %v: %w", k, err)
			}
			rec, err := s.Load(ctx, k)
			if err != nil {
				return Record{}, fmt.Errorf("load %v: %w", k, err)
			}
			if k == c.key() && rec.Username != want {
				return Record{}, fmt.Errorf("%v: stored %q, read %q", k, want, rec.Username)
			}
		}
	}
	return Record{}, nil
}

func testOptions(t testing.TB, backend string) Options {
	t.Helper()
	dir := tempDir(t)
	return Options{
		Backend: backend, Config: filepath.Join(dir, "config.toml"),
		StateDir: filepath.Join(dir, "state"), DataDir: filepath.Join(dir, "data"), RuntimeDir: filepath.Join(dir, "run"),
		Getenv: func(string) string { return "" },
		Now:    time.Now,
		Warn:   func(msg string) { t.Log("warning: " + msg) },
	}
}

func fileOptions(t testing.TB) Options {
	t.Helper()
	o := testOptions(t, "file")
	if _, err := InitFile(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	return o
}

// optionsFor are the options of a working store of each backend.
var optionsFor = map[string]func(testing.TB) Options{
	"memory":  func(t testing.TB) Options { return testOptions(t, "memory") },
	"file":    fileOptions,
	"keyring": keyringOptions,
	"openbao": func(t testing.TB) Options { return engineOptions(t, baotest.New(t, 1)) },
}

// engineOptions are those of a machine that uses an engine.
func engineOptions(t testing.TB, e *baotest.Engine) Options {
	t.Helper()
	o := testOptions(t, "openbao")
	token := filepath.Join(filepath.Dir(o.Config), "token")
	if err := os.WriteFile(token, []byte(baotest.RootToken), 0o600); err != nil {
		t.Fatal(err)
	}
	o.OpenBao = OpenBao{Address: e.Addresses(), Mount: baotest.Mount, Prefix: "t2-cred/test", Auth: "token_file", TokenFile: token}
	return o
}

// eachBackend runs a test on every backend that there is.
func eachBackend(t *testing.T, f func(t *testing.T, o Options)) {
	for _, name := range append(Backends(), "memory") {
		t.Run(name, func(t *testing.T) { f(t, optionsFor[name](t)) })
	}
}

// eachLocal is eachBackend without the stores that machines share. sharedstore_test.go has
// what differs there.
func eachLocal(t *testing.T, f func(t *testing.T, o Options)) {
	eachBackend(t, func(t *testing.T, o Options) {
		if o.Backend != "openbao" {
			f(t, o)
		}
	})
}

// open opens a store that leaves nothing in the kernel's keyring behind.
func open(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := openAny(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// openAny is Open, also for the backend in memory.
func openAny(o Options) (*Store, error) {
	if o.Backend == "memory" {
		return With(backendtest.NewMemory(), o)
	}
	return Open(o)
}

// drop removes what a test left outside its own directories.
func drop(t testing.TB, s *Store, keys ...Key) {
	t.Cleanup(func() {
		for _, k := range keys {
			s.kernel.remove(s.kernelName(k))
			_ = s.dropOldCopy(k)
			copies, _ := s.findCopies(k, "g1")
			for _, c := range copies {
				c.remove()
			}
		}
	})
}

var alice = Key{"gep", "alice"}

func put(t testing.TB, s *Store, k Key, rec Record) {
	t.Helper()
	drop(t, s, k)
	if _, err := s.Update(context.Background(), k, func(Record) (Record, error) { return rec, nil }); err != nil {
		t.Fatal(err)
	}
}

func sampleRecord(grant string) Record {
	return Record{
		GrantInfo: GrantInfo{
			Grant: grant, Issuer: "https://iam.example.org/auth/realms/master", ClientID: "ades",
			Subject: "f:1234:alice", Username: "Álice 🐙",
			Scopes: []string{"openid", "offline_access"}, Offline: true,
			Created: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC),
		},
		RefreshToken: secret.Secret(strings.Repeat("r", 800)),
		Token:        sampleToken("first"),
	}
}

func sampleToken(value string) Token {
	return Token{
		AccessToken: secret.Secret(value), Type: "Bearer", Obtained: time.Now(), Expiry: time.Now().Add(5 * time.Minute).Round(time.Second),
		Scopes: []string{"openid"}, Subject: "f:1234:alice", Binding: "b1",
	}
}
