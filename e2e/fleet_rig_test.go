package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/lab"
	"github.com/terradue/t2-cred/e2e/openbao"
	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// A fleet is three machines that share a real OpenBao, and an issuer where each refresh
// token serves once. The machines are namespaces: each has a network, a host name, a
// machine id, a user and a home of its own, and so a kernel keyring of its own.
type fleet struct {
	t        *testing.T
	net      *lab.Net
	bao      *openbao.Cluster
	machines []*machine
	dir      string // that everybody can read
	gate     *os.File

	issuer *oidctest.Issuer // nil with a real one
	spent  *oidctest.Spendings
	relays []*lab.Relay // to the issuer, one a machine
}

// A machine is one of a fleet. Its home runs the program on it, as its user.
type machine struct {
	*run.Home
	*lab.Machine
	uid   int
	gated *run.Home // the same, held back until the fleet's gate opens
}

// newUser is the user of a machine. Nobody has that number: it is new, so that the quota of
// kernel keys is not used up by an earlier fleet.
func newUser() int { return 1_000_000 + rand.IntN(1_000_000_000) }

// newFleet starts an engine and makes three machines with a configuration, and no profile.
func newFleet(t *testing.T, o openbao.Options) *fleet {
	t.Helper()
	f := &fleet{t: t, net: lab.New(t)}
	o.Net, o.Ledger = f.net, shared.ledger
	f.bao = openbao.Start(t, o)
	f.bao.Store()
	var err error
	if f.dir, err = os.MkdirTemp("", "t2-fleet-"); err == nil {
		err = os.Chmod(f.dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(f.dir) })
	binary, err := os.ReadFile(program(t).Path)
	if err == nil {
		err = os.WriteFile(f.binary(), binary, 0o755)
	}
	if err == nil {
		f.gate, err = os.OpenFile(filepath.Join(f.dir, "gate"), os.O_CREATE|os.O_RDWR, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.gate.Close() })
	for n := range 3 {
		f.machines = append(f.machines, f.newMachine(n))
	}
	return f
}

func (f *fleet) binary() string { return filepath.Join(f.dir, "t2-cred") }

func (f *fleet) newMachine(number int) *machine {
	f.t.Helper()
	name := fmt.Sprintf("node-%d", number+1)
	m := &machine{Machine: f.net.Machine(name), uid: newUser()}
	home := func(suffix, first string) *run.Home {
		script := filepath.Join(f.dir, name+suffix)
		text := fmt.Sprintf("#!/bin/sh\n%sexec %s setpriv --reuid=%d --regid=%d --clear-groups -- %s \"$@\"\n",
			first, strings.Join(m.Enter(`"$PWD"`), " "), m.uid, m.uid, f.binary())
		if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
			f.t.Fatal(err)
		}
		return (&run.Program{Path: script, Ledger: shared.ledger}).NewHome(f.t)
	}
	m.Home = home("", "")
	m.gated = home("-gated", "flock --shared "+f.gate.Name()+" true\n").Set(m.Env()...)
	m.own()
	return m
}

// own gives all of the machine's home to its user.
func (m *machine) own() {
	_ = filepath.WalkDir(m.Dir, func(path string, _ os.DirEntry, _ error) error {
		return os.Lchown(path, m.uid, m.uid)
	})
}

// put writes a file of the machine's home, for its user alone.
func (f *fleet) put(m *machine, name, text string) string {
	f.t.Helper()
	path := filepath.Join(m.Dir, name)
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o600)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	m.own()
	return path
}

// configure has all machines use one prefix of the engine, as AppRole's. ttl is the life
// of the engine's tokens.
func (f *fleet) configure(prefix, ttl string, more ...string) {
	f.t.Helper()
	f.bao.SetPolicy(prefix, openbao.Policy(prefix))
	for _, m := range f.machines {
		dir := f.t.TempDir()
		f.bao.AppRole(prefix, prefix, ttl, dir)
		// Outside of the home: what is told to the ledger is looked for there.
		keys := filepath.Join(f.dir, m.Name+"-"+prefix)
		for _, name := range []string{"role-id", "secret-id"} {
			f.plant(m, filepath.Join(keys, name), readFile(f.t, filepath.Join(dir, name)))
		}
		f.put(m, ".config/t2-cred/config.toml", f.config(prefix, append([]string{
			`auth = "approle"`,
			fmt.Sprintf("role_id_file = %q", filepath.Join(keys, "role-id")),
			fmt.Sprintf("secret_id_file = %q", filepath.Join(keys, "secret-id")),
		}, more...)...))
	}
}

// config is a configuration for the fleet's engine.
func (f *fleet) config(prefix string, lines ...string) string {
	return fmt.Sprintf("store = \"openbao\"\n\n[stores.openbao]\naddress = [\"%s\"]\nca_file = %q\nmount = %q\nprefix = %q\n%s\n",
		strings.Join(f.bao.Addresses(), `", "`), f.bao.CAFile(), openbao.Mount, prefix, strings.Join(lines, "\n"))
}

// plant writes a file for the machine's user alone, and its directory.
func (f *fleet) plant(m *machine, path, text string) {
	f.t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o600)
	}
	if err == nil {
		err = os.Chown(path, m.uid, m.uid)
	}
	if err == nil {
		err = os.Chown(filepath.Dir(path), m.uid, m.uid)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

// newIssuer starts an issuer that all machines reach, adds the profile on the first
// machine, and copies it to the others. The client's secret is in the engine alone.
func (f *fleet) newIssuer(opts ...oidctest.Option) {
	f.t.Helper()
	issuer := oidctest.New(append([]oidctest.Option{oidctest.Refresh(oidctest.Revoke)}, opts...)...)
	f.issuer = issuer
	f.spent, _ = issuer.Watch()
	f.t.Cleanup(func() {
		tellLedger(issuer)
		issuer.Close()
	})
	for _, m := range f.machines {
		f.relays = append(f.relays, m.Relay(issuer.URL()))
	}
	f.addProfile(issuer.URL(), issuer.ClientSecret())
}

func (f *fleet) addProfile(issuer, secret string) {
	f.t.Helper()
	first := f.machines[0]
	first.WantDo(0, run.Cmd{
		Args: []string{
			"profile", "add", "gep", "--issuer", issuer, "--client-id", oidctest.ClientID, "--audience", oidctest.ClientID,
			// Unproven: a proof is a refresh that the issuer refuses, and tests count those.
			"--scope", keycloak.Scopes, "--client-secret-file", "-", "--unproven",
		},
		Stdin: secret,
	})
	for _, m := range f.machines[1:] {
		f.put(m, ".config/t2-cred/profiles.d/gep.toml", readFile(f.t, filepath.Join(first.Dir, ".config/t2-cred/profiles.d/gep.toml")))
	}
}

// expired makes accounts whose access tokens have expired. The issuer's next ones live
// for five minutes.
func (f *fleet) expired(accounts ...string) {
	f.t.Helper()
	user := f.issuer.UserToken("alice")
	f.issuer.Set(oidctest.Lifespan(shortLife))
	for _, a := range accounts {
		f.machines[0].WantDo(0, run.Cmd{Args: []string{"exchange", "--account", a}, Stdin: user})
	}
	time.Sleep(shortLife + 200*time.Millisecond)
	f.issuer.Set(oidctest.Lifespan(5 * time.Minute))
	f.spent.Forget()
}

// crowd has each machine run `get` each times at once for an account.
func (f *fleet) crowd(account string, each int, meanwhile func()) []run.Result {
	f.t.Helper()
	if err := unix.Flock(int(f.gate.Fd()), unix.LOCK_EX); err != nil {
		f.t.Fatal(err)
	}
	var running []*run.Running
	for range each {
		for _, m := range f.machines {
			running = append(running, m.gated.Start(run.Cmd{Args: []string{"get", "--account", account, "--timeout", "120s"}, Dir: m.Dir, Deadline: 4 * time.Minute}))
		}
	}
	time.Sleep(500 * time.Millisecond) // the last ones get to the gate
	if err := unix.Flock(int(f.gate.Fd()), unix.LOCK_UN); err != nil {
		f.t.Fatal(err)
	}
	meanwhile()
	results := make([]run.Result, len(running))
	for i, r := range running {
		results[i] = r.Wait()
	}
	return results
}
