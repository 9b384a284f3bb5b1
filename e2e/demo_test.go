package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/e2e/parts"
)

// TestMore_demo: both demonstrations that the README begins with run to their end from a
// copy of the checkout that nothing was built in. Each says first what it installs and how
// long it takes.
func TestMore_demo(t *testing.T) {
	parts.More(t)
	parts.Need(t, parts.Keyring)
	top, err := parts.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := copyCheckout(t.Context(), top, dir); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ setting, begins string }{
		{"STORE=file", "demo: nothing is installed; it takes about 20 seconds"}, {"STORE=", "demo: it takes about 20 seconds"},
	} {
		cmd := exec.CommandContext(t.Context(), "make", "demo", c.setting)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "MAKEFLAGS=", "T2_CRED_STORE=")
		out, err := cmd.CombinedOutput()
		shared.ledger.Output("make demo "+c.setting, string(out), false)
		if err != nil {
			t.Fatalf("make demo %s: %v\n%s", c.setting, err, out)
		}
		for _, want := range []string{c.begins, "kept an offline token for alice", "revoked and erased demo/default", "That is all of it"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("make demo %s does not say %q:\n%s", c.setting, want, out)
			}
		}
	}
}

// TestMakeInstall puts the program where the README says, in an empty home. Not each shell
// puts the home in the place of the ~ behind PREFIX=.
func TestMakeInstall(t *testing.T) {
	if _, err := exec.LookPath("make"); err != nil && !parts.Required() {
		t.Skip(err)
	}
	top, err := parts.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ prefix, dest, want string }{
		{"PREFIX=~/.local", "DESTDIR=", "home/.local/bin/t2-cred"}, {"PREFIX=/opt/t2", "DESTDIR=dest", "dest/opt/t2/bin/t2-cred"},
	} {
		dir := t.TempDir()
		if err := os.MkdirAll(dir+"/bin", 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/bin/t2-cred", nil, 0o700); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "make", "-f", top+"/Makefile", "-o", "build", "install", c.prefix, c.dest)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "MAKEFLAGS=", "HOME="+dir+"/home")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("make install %s: %v\n%s", c.prefix, err, out)
		}
		if _, err := os.Stat(dir + "/" + c.want); err != nil {
			t.Errorf("make install %s %s: %v", c.prefix, c.dest, err)
		}
	}
}
