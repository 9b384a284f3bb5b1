package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/ledger"
	"github.com/terradue/t2-cred/e2e/proc"
	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/e2e/syscalls"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// A rig is an account of an ordinary user whose access token has expired, at an
// issuer where each refresh token serves once. Home, keyring, kernel keys and issuer
// can be put back to that moment, so that many runs begin alike.
type rig struct {
	t      *testing.T
	user   *other
	home   *run.Home
	binary string
	issuer *oidctest.Issuer
	spent  *oidctest.Spendings
	vault  *vault // nil for the file store
	keys   *homeKeys

	restoreIssuer func()
	files         []savedFile
}

// rigOptions are what a rig can have of its own.
type rigOptions struct {
	issuer  []oidctest.Option
	front   func(*oidctest.Issuer) // puts the issuer behind a front
	profile []string               // further arguments of profile add
	scope   string
}

// shortLife is the life of an access token that is to expire in a test. On a busy machine
// a second is over before the token is verified.
const shortLife = 3 * time.Second

// newRig makes the account. store is "file" or "keyring".
func newRig(t *testing.T, store string, o rigOptions) *rig {
	t.Helper()
	options := append([]oidctest.Option{oidctest.Refresh(oidctest.Revoke)}, o.issuer...)
	r := &rig{t: t, user: newOther(t), issuer: oidctest.New(options...)}
	r.spent, _ = r.issuer.Watch()
	t.Cleanup(func() {
		r.tell()
		tellLedger(r.issuer)
		r.issuer.Close()
	})
	if o.front != nil {
		o.front(r.issuer)
	}
	if o.scope == "" {
		o.scope = keycloak.Scopes
	}
	p := r.user.program(t)
	r.binary = filepath.Join(r.user.dir, "t2-cred")
	r.home = p.NewHome(t)
	r.user.own(t, r.home.Dir)
	if store == "file" {
		r.home.Set("T2_CRED_STORE=file")
		r.home.Want(0, "store", "init")
	} else {
		bus := r.user.ring(t)
		r.home.Set(bus)
		r.vault = openVault(t, r.user, strings.TrimPrefix(bus, "DBUS_SESSION_BUS_ADDRESS="))
	}
	r.home.WantDo(0, run.Cmd{
		Args: append([]string{
			"profile", "add", "gep", "--issuer", r.issuer.URL(), "--client-id", oidctest.ClientID, "--audience", oidctest.ClientID,
			"--scope", o.scope, "--client-secret-file", "-",
		}, o.profile...),
		Stdin: r.issuer.ClientSecret(),
	})
	r.home.WantDo(0, run.Cmd{Args: []string{"exchange"}, Stdin: r.issuer.UserToken("alice")})
	// One refresh by the same command as the test's: what a first one learns and keeps
	// (client authentication, documents) is there then.
	r.issuer.Set(oidctest.Lifespan(shortLife))
	r.home.Want(0, "get", "--fresh")
	time.Sleep(shortLife + 200*time.Millisecond) // the access token expires
	r.issuer.Set(oidctest.Lifespan(5 * time.Minute))
	r.tell()
	r.save()
	return r
}

// tell tells the ledger what an opaque token is: tellLedger does not see it.
func (r *rig) tell() {
	for _, s := range r.spent.All() {
		shared.ledger.Add(ledger.Access, s.Access)
		shared.ledger.Add(ledger.Refresh, s.Given)
	}
}

// save remembers this moment for [rig.restore].
func (r *rig) save() {
	r.t.Helper()
	r.files = saveFiles(r.t, r.home.Dir)
	r.restoreIssuer = r.issuer.Snapshot()
	if r.vault != nil {
		r.vault.save()
	}
	// Keys of this home have its namespace in their names.
	namespaces, _ := filepath.Glob(filepath.Join(r.home.Dir, ".local/state/t2-cred/*"))
	r.keys = saveKeys(r.t, r.user, namespaces)
}

// restore puts all back.
func (r *rig) restore() {
	r.t.Helper()
	restoreFiles(r.t, r.home.Dir, r.files)
	r.restoreIssuer()
	r.spent.Forget()
	if r.vault != nil {
		r.vault.restore()
	}
	r.keys.restore()
}

// ended is how a run of the program ended.
type ended struct {
	run.Result
	calls    []syscalls.Call
	posted   bool // a POST left
	answered bool // and something was read after it
}

// get runs `get` as the ordinary user, supervised if there is a tracer.
func (r *rig) get(tracer *syscalls.Tracer, args ...string) ended {
	r.t.Helper()
	const deadline = 25 * time.Second
	args = append([]string{"get"}, args...)
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	cmd := r.user.as(exec.CommandContext(ctx, r.binary, args...))
	cmd.Args[0] = "t2-cred"
	cmd.Dir, cmd.Env = r.home.Dir, r.home.Env()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	var p *proc.Process
	start := func(c *exec.Cmd) (err error) {
		p, err = proc.Start(c)
		return err
	}
	var tr *syscalls.Trace
	var err error
	if tracer != nil {
		tr, err = tracer.Start(cmd, start)
	} else {
		err = start(cmd)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	e := ended{Result: run.Result{Args: args}}
	e.Code, e.Signal, err = p.Wait()
	e.Stdout, e.Stderr, e.Took, e.Hung = stdout.String(), stderr.String(), p.Ended().Sub(began), ctx.Err() != nil
	if err != nil && !e.Hung {
		r.t.Fatalf("%s: %v", e, err)
	}
	if tr != nil {
		if e.calls, err = tr.End(); err != nil {
			r.t.Fatalf("the supervisor: %v", err)
		}
		e.posted, e.answered = tr.Posted()
	}
	r.tell()
	l := shared.ledger
	l.Output("t2-cred get, stdout", e.Stdout, true)
	l.Output("t2-cred get, stderr", e.Stderr, false)
	return e
}

// A savedFile is a file, a link or a directory as it was.
type savedFile struct {
	path string
	mode fs.FileMode
	time time.Time
	text []byte
}

func saveFiles(t *testing.T, dir string) (all []savedFile) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		f := savedFile{path: path, mode: info.Mode(), time: info.ModTime()}
		switch {
		case info.Mode().IsRegular():
			f.text, err = os.ReadFile(path)
		case info.IsDir():
		default:
			err = fmt.Errorf("%s is neither a file nor a directory", path)
		}
		all = append(all, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func restoreFiles(t *testing.T, dir string, files []savedFile) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	uid, gid := owner(info)
	for _, f := range files {
		if f.path == dir {
			continue
		}
		if f.mode.IsDir() {
			err = os.Mkdir(f.path, f.mode.Perm())
		} else {
			err = os.WriteFile(f.path, f.text, f.mode.Perm())
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Lchown(f.path, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	for n := len(files) - 1; n >= 0; n-- { // directories after what lies in them
		if err := os.Chtimes(files[n].path, files[n].time, files[n].time); err != nil {
			t.Fatal(err)
		}
	}
}

// tracer builds the launcher of supervised programs, and sets what one test needs.
func newTracer(t *testing.T, names []string, rename func(string) string) syscalls.Tracer {
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
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, "github.com/terradue/t2-cred/e2e/syscalls/trace")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the launcher: %v\n%s", err, out)
	}
	return syscalls.Tracer{Launcher: path, Names: names, Rename: rename}
}
