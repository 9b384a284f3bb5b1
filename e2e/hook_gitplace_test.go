package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// gitPlace is a home with a grant of alice's, on this system or on the one in a
// folder, and a git server that demands the token.
type gitPlace struct {
	t       *testing.T
	root    string // the folder that is the whole system, or empty
	home    string // as it is called there
	outside string // as it is called here
	issuer  *oidctest.Issuer
	front   *gitFront
}

func newGitPlace(t *testing.T, root string) *gitPlace {
	t.Helper()
	p := &gitPlace{t: t, root: root, issuer: oidctest.New()}
	t.Cleanup(func() {
		tellLedger(p.issuer)
		p.issuer.Close()
	})
	p.front = newGitFront(t, p.issuer)
	dir, err := os.MkdirTemp(filepath.Join(root, "/tmp"), "t2-git-")
	if err != nil {
		t.Fatal(err)
	}
	p.outside, p.home = dir, strings.TrimPrefix(dir, root)
	t.Cleanup(func() {
		if err := shared.ledger.Tree("git's home", dir); err != nil {
			t.Error(err)
		}
		_ = os.RemoveAll(dir)
	})
	p.write("bin/t2-cred", readFile(t, program(t).Path), 0o700)
	p.want("t2-cred", "store", "init")
	p.write("client.secret", p.issuer.ClientSecret()+"\n", 0o600)
	p.want("t2-cred", "profile", "add", "gep", "--issuer", p.issuer.URL(), "--client-id", oidctest.ClientID, "--audience", oidctest.ClientID,
		"--scope", keycloak.Scopes, "--host", p.front.host, "--client-secret-file", "client.secret")
	_ = os.Remove(filepath.Join(dir, "client.secret"))
	p.want("t2-cred", "exchange", "--token-file", p.subject("alice"))
	return p
}

// subject writes a user's token to a file, which is gone before the home is
// searched for secrets.
func (p *gitPlace) subject(user string) string {
	p.t.Helper()
	p.write(user+".jwt", p.issuer.UserToken(user), 0o600)
	p.t.Cleanup(func() { _ = os.Remove(filepath.Join(p.outside, user+".jwt")) })
	return p.home + "/" + user + ".jwt"
}

func (p *gitPlace) write(name, text string, mode os.FileMode) {
	p.t.Helper()
	path := filepath.Join(p.outside, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		p.t.Fatal(err)
	}
}

// run runs a program in the home.
func (p *gitPlace) run(name string, args ...string) (string, error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	path := "/usr/bin/" + name
	if name == "t2-cred" {
		path = p.home + "/bin/t2-cred"
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = p.home
	cmd.Env = []string{
		"HOME=" + p.home, "PATH=" + p.home + "/bin:/usr/bin:/bin", "LANG=C.UTF-8", "TMPDIR=/tmp",
		"T2_CRED_STORE=file", "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1", "XDG_RUNTIME_DIR=" + p.home,
	}
	if p.root != "" {
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: p.root}
		if id := os.Getuid(); id != 0 { // who is not root is root in a namespace of its own
			cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
		}
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	shared.ledger.Output(name+" "+strings.Join(args, " "), out.String(), name == "t2-cred" && args[0] == "get")
	return out.String(), err
}

// want wants a program to succeed, and returns what it said.
func (p *gitPlace) want(name string, args ...string) string {
	p.t.Helper()
	out, err := p.run(name, args...)
	if err != nil {
		p.t.Fatalf("%s %q: %v\n%s\nthe server had %q", name, args, err, out, p.front.take())
	}
	return out
}

// fails wants a program to fail, with these words, and returns what it said.
func (p *gitPlace) fails(words, name string, args ...string) string {
	p.t.Helper()
	out, err := p.run(name, args...)
	if err == nil || !strings.Contains(out, words) {
		p.t.Fatalf("%s %q: %v, without %q\n%s", name, args, err, words, out)
	}
	return out
}

// script runs lines of a shell.
func (p *gitPlace) script(lines string) {
	p.t.Helper()
	p.want("env", "sh", "-euxc", lines)
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func wantCommand(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}
