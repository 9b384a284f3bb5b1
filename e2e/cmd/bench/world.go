package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// life is how long access tokens live: longer than the whole run, as none may
// expire while a cached one is asked for.
const life = 2 * time.Hour

// An issuer is where the tokens come from.
type issuer struct {
	about, url, tokenURL, secret string
	// user is the access token of a user who is logged in. It serves for any
	// number of exchanges.
	user string
}

func (b *bench) startIssuer() (*issuer, error) {
	if !b.size.keycloak {
		i, err := oidctest.Start(oidctest.Lifespan(life))
		if err != nil {
			return nil, err
		}
		b.t.Cleanup(i.Close)
		return &issuer{
			about: "the built-in issuer", url: i.URL(), tokenURL: i.URL() + "/protocol/openid-connect/token",
			secret: i.ClientSecret(), user: i.UserToken("alice"),
		}, nil
	}
	parts.Need(b.t, parts.Keycloak)
	s, err := keycloak.Start(b.ctx, keycloak.Options{})
	if err != nil {
		return nil, err
	}
	b.t.Cleanup(s.Stop)
	r := s.Realm(b.t, keycloak.Legacy)
	r.SetAccessTokenLifespan(life)
	return &issuer{
		about: "Keycloak", url: r.Issuer(), tokenURL: r.TokenURL(), secret: r.ClientSecret(),
		user: r.UserToken("alice"),
	}, nil
}

// exchange is a token exchange by hand. It returns the refresh token.
func (b *bench) exchange() (string, error) {
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	form := keycloak.ExchangeForm(b.issuer.user)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.issuer.tokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(keycloak.ClientID), url.QueryEscape(b.issuer.secret))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	var answer keycloak.Answer
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return "", fmt.Errorf("exchange: %s: %w", res.Status, err)
	}
	if answer.RefreshToken == "" {
		return "", fmt.Errorf("exchange: %s: %s", res.Status, answer)
	}
	return answer.RefreshToken, nil
}

// newHome is a user of one store, who has made one exchange.
func (b *bench) newHome(store string) *run.Home {
	b.t.Helper()
	h := b.program.NewHome(b.t).Set(b.ring.Bus(), "T2_CRED_STORE="+store)
	h.InClear() // nobody looks for secrets here
	if store == "file" {
		h.Want(0, "store", "init")
	}
	b.addProfile(h)
	return h
}

// addProfile adds the profile of a home, and makes one exchange.
func (b *bench) addProfile(h *run.Home) {
	b.t.Helper()
	h.WantDo(0, run.Cmd{Stdin: b.issuer.secret, Args: []string{
		"profile", "add", "bench", "--issuer", b.issuer.url, "--client-id", keycloak.ClientID,
		"--audience", keycloak.ClientID, "--scope", keycloak.Scopes, "--client-secret-file", "-",
	}})
	b.newGrant(h)
}

// newGrant makes the exchange of a home.
func (b *bench) newGrant(h *run.Home) {
	b.t.Helper()
	h.WantDo(0, run.Cmd{Stdin: b.issuer.user, Args: []string{"exchange", "--token-file", "-"}})
	// What the kernel's keyring has of it would outlive the home.
	b.t.Cleanup(func() { h.Run("erase", "--local-only") })
}

// t2 is a run of t2-cred in a home.
func (b *bench) t2(h *run.Home, args ...string) command {
	return command{argv: append([]string{b.program.Path}, args...), env: h.Env()}
}

// build builds a program that lies beside this one, as t2-cred is built.
func (b *bench) build(name string) (string, error) {
	top, err := parts.Checkout()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", b.path(name), "./cmd/bench/"+name)
	cmd.Dir = filepath.Join(top, "e2e")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", name, err, out)
	}
	return b.install(b.path(name))
}

// copies is how many copies of a program are run, each for a part of the rounds. Two copies
// of one program differ in how they lie in the page cache, and so by up to 3 % in their time.
const copies = 8

// install copies a program to where it is run, as an installation does, and returns the
// first of the copies. What the linker has just written lies in the page cache in many
// small pieces, and starts slower than the same file written in one go.
func (b *bench) install(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	for i := range copies {
		if err := os.MkdirAll(b.copyDir(i), 0o700); err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(b.copyDir(i), filepath.Base(path)), text, 0o700); err != nil {
			return "", err
		}
	}
	syscall.Sync() // or the disk would write them while something is measured
	return filepath.Join(b.copyDir(0), filepath.Base(path)), nil
}

func (b *bench) copyDir(i int) string { return b.path(filepath.Join("bin", strconv.Itoa(i))) }

// copyOf is the command with another copy of its program, if that was installed.
func (b *bench) copyOf(c command, i int) command {
	if dir, name := filepath.Split(c.argv[0]); filepath.Clean(dir) == b.copyDir(0) {
		c.argv = append([]string{filepath.Join(b.copyDir(i), name)}, c.argv[1:]...)
	}
	return c
}
