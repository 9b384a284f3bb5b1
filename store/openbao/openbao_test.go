package openbao_test

import (
	"context"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
	"github.com/terradue/t2-cred/store/backend/backendtest"
	"github.com/terradue/t2-cred/store/openbao"
	"github.com/terradue/t2-cred/store/openbao/baotest"
)

const (
	prefix = "t2-cred/gep"
	name   = "grant,p,a"
)

func file(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func config(t testing.TB, e *baotest.Engine) openbao.Config {
	return openbao.Config{Address: e.Addresses(), Mount: baotest.Mount, Prefix: prefix, Auth: "token_file", TokenFile: file(t, baotest.RootToken+"\n")}
}

func appRole(t testing.TB, e *baotest.Engine) openbao.Config {
	c := config(t, e)
	c.Auth, c.TokenFile = "approle", ""
	c.RoleIDFile, c.SecretIDFile = file(t, "role-id-Bv4"), file(t, baotest.SecretID)
	return c
}

func open(t testing.TB, c openbao.Config, keep backend.Keep) backend.Backend {
	t.Helper()
	b, err := openbao.Open(c, backend.Options{Getenv: func(string) string { return "" }, Now: time.Now, Memory: keep})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// behind is a configuration in which the standbys come first.
func behind(c openbao.Config) openbao.Config {
	c.Address = append(c.Address[1:len(c.Address):len(c.Address)], c.Address[0])
	return c
}

func TestConformance(t *testing.T) {
	for what, make := range map[string]func(t *testing.T) backend.Backend{
		"one node":          func(t *testing.T) backend.Backend { return open(t, config(t, baotest.New(t, 1)), nil) },
		"through a standby": func(t *testing.T) backend.Backend { return open(t, behind(config(t, baotest.New(t, 3))), nil) },
		"approle":           func(t *testing.T) backend.Backend { return open(t, appRole(t, baotest.New(t, 1)), nil) },
		"an engine without pages": func(t *testing.T) backend.Backend {
			e := baotest.New(t, 1)
			e.Set(func(f *baotest.Faults) { f.NoPages = true })
			return open(t, config(t, e), nil)
		},
		"standbys that are behind": func(t *testing.T) backend.Backend {
			e := baotest.New(t, 3)
			e.Set(func(f *baotest.Faults) { f.Stale = true })
			return open(t, behind(config(t, e)), nil)
		},
		"standbys that redirect": func(t *testing.T) backend.Backend {
			e := baotest.New(t, 3)
			e.Set(func(f *baotest.Faults) { f.Redirect = true })
			return open(t, behind(config(t, e)), nil)
		},
	} {
		t.Run(what, func(t *testing.T) { backendtest.Run(t, make) })
	}
}

func save(t testing.TB, b backend.Backend, value secret.Secret, rev backend.Revision) backend.Revision {
	t.Helper()
	rev, err := b.Save(t.Context(), name, value, rev)
	if err != nil {
		t.Fatalf("Save: %v", err)
	}
	return rev
}

// TestSave_refusedByAStandby: a process that has written nothing has no index, so the
// standby judges by its old state. The refusal is not believed.
func TestSave_refusedByAStandby(t *testing.T) {
	e := baotest.New(t, 2)
	e.Set(func(f *baotest.Faults) { f.Stale = true })
	writer := open(t, config(t, e), nil)
	rev := save(t, writer, "first", "")
	if rev != "1" {
		t.Fatalf("revision %q", rev)
	}
	other := open(t, behind(config(t, e)), nil)
	if got, seen, err := other.Load(t.Context(), name); err != nil || got != "first" || seen != rev {
		t.Fatalf("an item that the standby does not know: %v, %q, %v", got.Reveal(), seen, err)
	}
	if next := save(t, open(t, behind(config(t, e)), nil), "second", rev); next != "2" || e.Calls("refused") == 0 {
		t.Errorf("revision %q, %d refused", next, e.Calls("refused"))
	}
	// What somebody else wrote is a conflict through any node.
	third := open(t, behind(config(t, e)), nil)
	if _, err := third.Save(t.Context(), name, "third", rev); !errors.Is(err, backend.ErrConflict) {
		t.Errorf("over a newer version: %v", err)
	}
	if v := e.Value(prefix + "/" + name); v != "second" {
		t.Errorf("the item has %q", v)
	}
}

// TestSave_lostAnswer: the second try is refused, and the value that is there is ours.
func TestSave_lostAnswer(t *testing.T) {
	for nodes := range 3 {
		e := baotest.New(t, nodes+1)
		b := open(t, config(t, e), nil)
		e.Set(func(f *baotest.Faults) { f.Lose = 1 })
		rev := save(t, b, "first", "")
		e.Set(func(f *baotest.Faults) { f.Lose = 1 })
		if next := save(t, b, "second", rev); next != "2" {
			t.Errorf("%d nodes: revision %q after %q", nodes+1, next, rev)
		}
		if _, err := b.Save(t.Context(), name, "second", rev); err != nil {
			t.Errorf("the same once more: %v", err)
		}
	}
}

// TestSave_itemIsGone: an item that was erased is a conflict for whoever saves over it,
// and what an administrator deleted is replaced over its version.
func TestSave_itemIsGone(t *testing.T) {
	e := baotest.New(t, 2)
	b := open(t, config(t, e), nil)
	rev := save(t, b, "first", "")
	e.Undo(prefix + "/" + name)
	_, seen, err := b.Load(t.Context(), name)
	if !errors.Is(err, backend.ErrNotFound) || seen != rev {
		t.Fatalf("a deleted version: %q, %v", seen, err)
	}
	rev = save(t, b, "second", seen)
	e.Drop(prefix + "/" + name)
	if _, err := b.Save(t.Context(), name, "third", rev); !errors.Is(err, backend.ErrConflict) {
		t.Errorf("over an item that is gone: %v", err)
	}
}

func TestRedirect_toAnAddressThatIsNotListed(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was asked") }))
	defer other.Close()
	front := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer front.Close()
	c := config(t, baotest.New(t, 1))
	c.Address = []string{front.URL}
	_, _, err := open(t, c, nil).Load(t.Context(), name)
	if !errors.Is(err, backend.ErrUnavailable) || !strings.Contains(err.Error(), "which address does not list") {
		t.Errorf("a redirect elsewhere: %v", err)
	}
}

// TestTrouble: each failure has its kind and its words, and no secret is in them.
func TestTrouble(t *testing.T) {
	for what, tt := range map[string]struct {
		set   func(*baotest.Faults)
		kind  error
		words string
	}{
		"sealed":    {func(f *baotest.Faults) { f.Sealed = true }, backend.ErrLocked, "is sealed"},
		"forbidden": {func(f *baotest.Faults) { f.Deny = true }, backend.ErrUnavailable, "does not permit to read"},
		"quota":     {func(f *baotest.Faults) { f.Busy = 1000 }, backend.ErrUnavailable, "asks to slow down (429)"},
	} {
		e := baotest.New(t, 2)
		e.Set(tt.set)
		_, _, err := open(t, config(t, e), nil).Load(t.Context(), name)
		if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.words) || len(hint.Of(err)) == 0 {
			t.Errorf("%s: %v", what, err)
		}
		if strings.Contains(err.Error(), baotest.RootToken) {
			t.Errorf("%s: the token is in %v", what, err)
		}
	}
	e := baotest.New(t, 1)
	c := config(t, e)
	c.Mount = "nowhere"
	if _, _, err := open(t, c, nil).Load(t.Context(), name); err == nil || !strings.Contains(err.Error(), "nothing mounted at nowhere") {
		t.Errorf("a wrong mount: %v", err)
	}
	c = config(t, e)
	c.Address = []string{"http://127.0.0.1:1"}
	started := time.Now()
	_, _, err := open(t, c, nil).Load(t.Context(), name)
	if !errors.Is(err, backend.ErrUnavailable) || !strings.Contains(err.Error(), "does not answer") || time.Since(started) > 10*time.Second {
		t.Errorf("nobody listens: %v after %s", err, time.Since(started))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := open(t, c, nil).Load(ctx, name); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// TestPatience: a change of the leader, a short quota and a new engine are waited for.
func TestPatience(t *testing.T) {
	e := baotest.New(t, 2)
	b := open(t, config(t, e), nil)
	e.Set(func(f *baotest.Faults) { f.NoLeader = true })
	timer := time.AfterFunc(700*time.Millisecond, func() { e.Set(func(f *baotest.Faults) { f.NoLeader = false }) })
	defer timer.Stop()
	rev := save(t, b, "first", "")
	e.Set(func(f *baotest.Faults) { f.Busy = 2 })
	rev = save(t, b, "second", rev)
	e.Set(func(f *baotest.Faults) { f.Hang = 1 })
	rev = save(t, b, "third", rev)
	e.Set(func(f *baotest.Faults) { f.Young = 2 })
	save(t, b, "fourth", rev)
}

// TestPatience_forADeadLeader: a standby refers to the leader until there is another one,
// which takes longer than an engine that has gone is waited for.
func TestPatience_forADeadLeader(t *testing.T) {
	var next atomic.Bool
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	standby := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !next.Load() {
			http.Redirect(w, r, dead.URL+r.URL.Path, http.StatusTemporaryRedirect)
			return
		}
		_, _ = w.Write([]byte(`{"data":{"data":{"value":"found"},"metadata":{"version":1}}}`))
	}))
	defer standby.Close()
	c := config(t, baotest.New(t, 1))
	c.Address, c.CAFile = []string{dead.URL, standby.URL}, ""
	timer := time.AfterFunc(4*time.Second, func() { next.Store(true) })
	defer timer.Stop()
	if v, _, err := open(t, c, nil).Load(t.Context(), name); err != nil || v != "found" {
		t.Errorf("got %q, %v", v.Reveal(), err)
	}
}

// keep is a machine's memory.
type keep struct {
	mu  sync.Mutex
	all map[string]secret.Secret
}

func (k *keep) Get(name string) (secret.Secret, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if v, ok := k.all[name]; ok {
		return v, nil
	}
	return "", backend.NotFound()
}

func (k *keep) Put(name string, value secret.Secret, _ time.Duration) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all[name] = value
	return nil
}

func (k *keep) Remove(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.all, name)
}

// TestLogin: the processes of a machine share one token, which is renewed, and replaced
// once it has ended.
func TestLogin(t *testing.T) {
	e, k := baotest.New(t, 2), &keep{all: map[string]secret.Secret{}}
	c := appRole(t, e)
	rev := save(t, open(t, c, k), "first", "")
	for range 3 {
		rev = save(t, open(t, c, k), "again", rev)
	}
	if n := e.Calls("POST login"); n != 1 {
		t.Errorf("%d logins of 4 processes", n)
	}
	e.EndTokens(time.Hour)
	rev = save(t, open(t, c, k), "second", rev)
	if n := e.Calls("POST login"); n != 2 {
		t.Errorf("%d logins after the token ended", n)
	}
	e.EndTokens(12 * time.Second)
	b := open(t, c, k)
	rev = save(t, b, "third", rev)
	e.Set(func(f *baotest.Faults) { f.Deny = true })
	if _, err := b.Save(t.Context(), name, "fourth", rev); !errors.Is(err, backend.ErrUnavailable) || strings.Contains(err.Error(), baotest.SecretID) {
		t.Errorf("forbidden: %v", err)
	}
	c.SecretIDFile = file(t, "wrong-"+baotest.SecretID)
	_, _, err := open(t, c, nil).Load(t.Context(), name)
	if !errors.Is(err, backend.ErrUnavailable) || !strings.Contains(err.Error(), "refuses the login") || strings.Contains(err.Error(), baotest.SecretID) {
		t.Errorf("a wrong secret id: %v", err)
	}
}

// TestLogin_renewal: a token of which two thirds are over is renewed.
func TestLogin_renewal(t *testing.T) {
	e, k := baotest.New(t, 1), &keep{all: map[string]secret.Secret{}}
	c := appRole(t, e)
	rev := save(t, open(t, c, k), "first", "")
	later := func() time.Time { return time.Now().Add(50 * time.Minute) }
	b, err := openbao.Open(c, backend.Options{Getenv: func(string) string { return "" }, Now: later, Memory: k})
	if err != nil {
		t.Fatal(err)
	}
	save(t, b, "second", rev)
	if e.Calls("renew") != 1 || e.Calls("POST login") != 1 {
		t.Errorf("%d renewals, %d logins", e.Calls("renew"), e.Calls("POST login"))
	}
}

// TestCredential: a file without a slash is a credential of systemd.
func TestCredential(t *testing.T) {
	e := baotest.New(t, 1)
	c := config(t, e)
	dir := filepath.Dir(c.TokenFile)
	c.TokenFile = "file"
	b, err := openbao.Open(c, backend.Options{Now: time.Now, Getenv: func(key string) string { return map[string]string{"CREDENTIALS_DIRECTORY": dir}[key] }})
	if err != nil {
		t.Fatal(err)
	}
	save(t, b, "first", "")
	if _, _, err := open(t, c, nil).Load(t.Context(), name); err == nil || !strings.Contains(err.Error(), "CREDENTIALS_DIRECTORY is not set") {
		t.Errorf("without a directory: %v", err)
	}
}

// certificateOf is what a server shows, as a file of authorities has it.
func certificateOf(s *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

// TestTLS: the authority of ca_file is trusted, and no other.
func TestTLS(t *testing.T) {
	e := baotest.New(t, 1)
	front := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, `{"errors":[]}`, http.StatusNotFound)
	}))
	defer front.Close()
	c := config(t, e)
	c.Address = []string{front.URL}
	if _, _, err := open(t, c, nil).Load(t.Context(), name); !errors.Is(err, backend.ErrUnavailable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown authority: %v", err)
	}
	c.CAFile = file(t, certificateOf(front))
	if _, _, err := open(t, c, nil).Load(t.Context(), name); !errors.Is(err, backend.ErrNotFound) {
		t.Errorf("with ca_file: %v", err)
	}
}

func TestConfig(t *testing.T) {
	good := openbao.Config{Address: []string{"https://bao-1.example:8200"}, Mount: "kv", Prefix: "t2-cred/gep", Auth: "jwt", Role: "node", JWTFile: "/run/jwt"}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for key, spoil := range map[string]func(*openbao.Config){
		"address":        func(c *openbao.Config) { c.Address = []string{"http://bao-1.example:8200"} },
		"mount":          func(c *openbao.Config) { c.Mount = "kv/" },
		"prefix":         func(c *openbao.Config) { c.Prefix = "../other" },
		"auth":           func(c *openbao.Config) { c.Auth = "ldap" },
		"role":           func(c *openbao.Config) { c.Role = "" },
		"jwt_file":       func(c *openbao.Config) { c.JWTFile = "a/b" },
		"token_file":     func(c *openbao.Config) { c.TokenFile = "/run/token" },
		"lease":          func(c *openbao.Config) { c.Lease = 40 * time.Second },
		"takeover":       func(c *openbao.Config) { c.Takeover = "spend" },
		"namespace":      func(c *openbao.Config) { c.Namespace = "a b" },
		"ca_file":        func(c *openbao.Config) { c.CAFile = "ca.pem" },
		"auth_mount":     func(c *openbao.Config) { c.AuthMount = "/jwt" },
		"secret_id_file": func(c *openbao.Config) { c.SecretIDFile = "/run/id" },
	} {
		c := good
		spoil(&c)
		bad, ok := errors.AsType[*openbao.KeyError](c.Check())
		if !ok || bad.Key != key {
			t.Errorf("%s: %v", key, c.Check())
		}
	}
	if terms := open(t, good, nil).(backend.Sharer).Terms(); terms.Lease != openbao.DefaultLease || !terms.Ask {
		t.Errorf("terms %+v", terms)
	}
}
