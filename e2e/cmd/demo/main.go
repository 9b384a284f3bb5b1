// Command demo runs the main job of t2-cred, the real binary, against an issuer
// of its own on loopback: each step shows the command, what it printed, and why
// that matters. It checks what it shows, and fails when something is otherwise.
//
// It expects the binary in T2_CRED_BIN, which make demo builds. The store is the
// one that T2_CRED_STORE names (keyring: the desktop's own), else a private
// gnome-keyring that it starts itself. Nothing of it touches the user's own
// configuration.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/terradue/t2-cred/e2e/keyring"
	"github.com/terradue/t2-cred/e2e/tb"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// life is how long the issuer's access tokens live: short, so that the demo can
// wait for one to expire.
const life = 4 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := demo(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func demo(ctx context.Context) error {
	d, err := newStage(ctx)
	if err != nil {
		return err
	}
	defer d.close()
	if os.Getenv("T2_CRED_STORE") == "" {
		host := &tb.Main{Name: "demo", Err: os.Stderr}
		defer host.Close()
		d.env = append(d.env, keyring.Start(host).Bus(), "T2_CRED_STORE=keyring")
	}
	for _, step := range []func() error{d.prepare, d.exchange, d.getCached, d.getExpired, d.claims, d.manyAtOnce, d.erase} {
		if err := step(); err != nil {
			return err
		}
	}
	d.say("That is all of it: exchange once, get for ever. For a real issuer, see the README's\n\"Sixty seconds\"; for a real Keycloak on this machine, make keycloak.")
	return nil
}

// A stage is what the demo plays on.
type stage struct {
	ctx    context.Context
	dir    string
	env    []string
	issuer *oidctest.Issuer
	first  string // the first access token
}

func newStage(ctx context.Context) (*stage, error) {
	if os.Getenv("T2_CRED_BIN") == "" {
		return nil, errors.New("T2_CRED_BIN names no binary; run it by make demo")
	}
	dir, err := os.MkdirTemp("", "t2-cred-demo-")
	if err != nil {
		return nil, err
	}
	issuer, err := oidctest.Start(oidctest.Lifespan(life), oidctest.Refresh(oidctest.Revoke))
	if err != nil {
		return nil, err
	}
	d := &stage{ctx: ctx, dir: dir, issuer: issuer, env: os.Environ()}
	for _, kind := range []string{"CONFIG", "STATE", "CACHE", "DATA"} {
		d.env = append(d.env, "XDG_"+kind+"_HOME="+filepath.Join(dir, strings.ToLower(kind)))
	}
	for name, text := range map[string]string{"client-secret.txt": issuer.ClientSecret(), "user.jwt": issuer.UserToken("alice")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *stage) close() {
	d.issuer.Close()
	_ = os.RemoveAll(d.dir)
}

func (d *stage) prepare() error {
	d.say("An issuer runs at " + d.issuer.URL() + ".\nIts access tokens live " + life.String() + ", and each of its refresh tokens serves once:\nspent twice, and the grant is lost. Alice has logged in at a portal, which has left\nher access token in user.jwt. First, the application's client is made known:")
	if os.Getenv("T2_CRED_STORE") == "file" {
		if _, err := d.run("store", "init"); err != nil {
			return err
		}
	}
	_, err := d.run("profile", "add", "demo", "--issuer", d.issuer.URL(), "--client-id", oidctest.ClientID, "--audience", oidctest.ClientID,
		"--scope", "openid email profile offline_access ellip gep", "--client-secret-file", "client-secret.txt")
	d.say("The issuer was discovered and checked. The secret went to the store, not to the file.")
	return err
}

func (d *stage) exchange() error {
	d.say("Alice is still here. Her token is exchanged, once, for an offline token of our own\n(RFC 8693):")
	if _, err := d.run("exchange", "--token-file", "user.jwt"); err != nil {
		return err
	}
	d.issuer.Logout("alice")
	d.say("The refresh token is in the store, and was read back before this was said.\nNow alice logs out and goes home.")
	return nil
}

func (d *stage) getCached() (err error) {
	d.say("A tool asks for a token:")
	if d.first, err = d.run("get"); err != nil {
		return err
	}
	again, err := d.run("get")
	if err != nil {
		return err
	}
	if again != d.first || d.issuer.Refreshes() != 0 {
		return errors.New("the second get did not print the cached token")
	}
	d.say("Twice the same, from the cache: the issuer was not asked.")
	return nil
}

func (d *stage) getExpired() error {
	d.say(fmt.Sprintf("The token expires (%s) …", life))
	d.wait()
	second, err := d.run("get")
	if err != nil {
		return err
	}
	if second == d.first {
		return errors.New("get printed an expired token")
	}
	d.say("A new one. The refresh token was spent, its successor stored and read back, and only\nthen was the token printed.")
	return nil
}

func (d *stage) claims() error {
	out, err := d.run("claims")
	if err == nil && !strings.Contains(out, "alice") {
		err = errors.New("the claims are not alice's")
	}
	d.say("Signed by the issuer's key, checked just now: it acts for alice.")
	return err
}

func (d *stage) manyAtOnce() error {
	const n = 50
	d.say(fmt.Sprintf("The worst moment: the token has expired, and %d processes ask at once. If two of\nthem spent the refresh token, the grant would be lost for good.", n))
	d.wait()
	before := d.issuer.Refreshes()
	fmt.Printf("\n$ for i in $(seq %d); do t2-cred get & done; wait\n", n)
	outs := make([]string, n)
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { outs[i], errs[i] = d.quiet("get") })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	different := map[string]bool{}
	for _, out := range outs {
		different[out] = true
	}
	refreshes := d.issuer.Refreshes() - before
	fmt.Printf("%d tokens printed, %d different; refreshes at the issuer: %d\n", n, len(different), refreshes)
	if refreshes != 1 || len(different) != 1 {
		return errors.New("that should have been one refresh and one token")
	}
	d.say("One process took the lock and refreshed; the others waited and found its token.")
	return nil
}

func (d *stage) erase() error {
	if _, err := d.run("status"); err != nil {
		return err
	}
	if _, err := d.run("erase"); err != nil {
		return err
	}
	if left := d.issuer.Grants("alice"); left != 0 {
		return fmt.Errorf("%d grants are alive at the issuer after erase", left)
	}
	d.say("Revoked at the issuer first, then deleted here.")
	return nil
}

// wait lets the token expire.
func (d *stage) wait() {
	select {
	case <-d.ctx.Done():
	case <-time.After(life):
	}
}

// say prints why something matters.
func (d *stage) say(text string) { fmt.Printf("\n# %s\n", strings.ReplaceAll(text, "\n", "\n# ")) }

// run shows a command and what it prints, and returns its standard output.
func (d *stage) run(args ...string) (string, error) {
	shown := make([]string, len(args))
	for i, a := range args {
		if shown[i] = a; strings.ContainsAny(a, " ") {
			shown[i] = `"` + a + `"`
		}
	}
	fmt.Printf("\n$ t2-cred %s\n", strings.Join(shown, " "))
	out, err := d.quiet(args...)
	fmt.Print(shorten(out))
	return out, err
}

func (d *stage) quiet(args ...string) (string, error) {
	cmd := exec.CommandContext(d.ctx, os.Getenv("T2_CRED_BIN"), args...)
	var stdout bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = d.dir, d.env, &stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("t2-cred %s: %w", args[0], err)
	}
	return stdout.String(), nil
}

// shorten cuts tokens: the demo's screen is no place for them either.
func shorten(out string) string {
	lines := strings.SplitAfter(out, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "eyJ") && len(line) > 80 {
			lines[i] = fmt.Sprintf("%s… (%d characters)\n", line[:60], len(line)-1)
		}
	}
	return strings.Join(lines, "")
}
