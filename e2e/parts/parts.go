// Package parts finds what e2e/setup.sh installed. A test that needs a part asks
// for it with [Need]: without T2_CRED_E2E=1 a missing part skips the test, with
// it the test fails, naming the part and how to get it.
package parts

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/terradue/t2-cred/e2e/tb"
)

// Part is one argument of setup.sh, or one script of setup.d, which setup.sh hooks runs.
type Part string

// The parts that tests ask for.
const (
	Keyring    Part = "keyring"
	Keycloak   Part = "keycloak"
	Keycloak18 Part = "keycloak18"
	Bench      Part = "bench"
	OpenBao    Part = "openbao"
)

// commands of each part that must be in PATH.
func (p Part) commands() []string {
	switch p {
	case Keyring:
		return []string{"dbus-daemon", "gnome-keyring-daemon", "secret-tool"}
	case Keycloak, Keycloak18:
		return []string{"java"}
	case Bench:
		return []string{"hyperfine", "docker-credential-secretservice", "oidc-agent", "curl"}
	case OpenBao:
		return []string{"unshare", "nsenter", "setpriv", "curl"}
	}
	return nil
}

// files of each part that must be in the cache.
func (p Part) files() []string {
	switch p {
	case Keycloak, Keycloak18:
		return []string{string(p) + "/lib/quarkus-run.jar"}
	case Bench:
		return []string{"venv/bin/python3"}
	case OpenBao:
		return []string{"bin/bao"}
	}
	return nil
}

// installer is the command that installs the part.
func (p Part) installer() string {
	if p == Keycloak18 {
		return "e2e/setup.d/keycloak18.sh"
	}
	return "e2e/setup.sh " + string(p)
}

// Required tells whether this is a run in which nothing may be missing.
func Required() bool { return os.Getenv("T2_CRED_E2E") == "1" }

// Long reports whether the runs of make test-more are to be as long as a person who looks
// for a rare failure wants them (T2_CRED_MORE=long).
func Long() bool { return os.Getenv("T2_CRED_MORE") == "long" }

// More lets a test run in `make test-more` alone. Such a test is named TestMore_…, takes
// too long for `make test`, and asks for its parts like any other.
func More(t tb.T) {
	t.Helper()
	if os.Getenv("T2_CRED_MORE") != "1" && !Long() {
		t.Skipf("not a test of make test: make test-more runs it (T2_CRED_MORE=1)")
	}
}

// CacheDir is where setup.sh keeps what it downloads and builds.
func CacheDir() (string, error) {
	if d := os.Getenv("T2_CRED_E2E_CACHE"); d != "" {
		return d, nil
	}
	d := os.Getenv("XDG_CACHE_HOME")
	if d == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find the cache of e2e: %w", err)
		}
		d = filepath.Join(home, ".cache")
	}
	return filepath.Join(d, "t2-cred-e2e"), nil
}

// Find is the path of a file of the cache, such as "keycloak" or "bin/govulncheck".
func Find(name string) (string, error) {
	d, err := CacheDir()
	if err != nil {
		return "", err
	}
	f := filepath.Join(d, name)
	if _, err := os.Stat(f); err != nil {
		return "", err
	}
	return f, nil
}

// Check tells what p lacks.
func Check(p Part) error {
	for _, c := range p.commands() {
		if _, err := exec.LookPath(c); err != nil {
			return fmt.Errorf("%s is missing: run %s", c, p.installer())
		}
	}
	for _, f := range p.files() {
		if _, err := Find(f); err != nil {
			return fmt.Errorf("%s is missing (%w): run %s", f, err, p.installer())
		}
	}
	return nil
}

// Need skips the test when a part is missing, or fails it when nothing may be.
func Need(t tb.T, ps ...Part) {
	t.Helper()
	for _, p := range ps {
		err := Check(p)
		switch {
		case err == nil:
		case Required():
			t.Fatalf("%v", err)
		default:
			t.Skipf("%v", err)
		}
	}
}

// Checkout is the top of the repository, found from the working directory upwards.
func Checkout() (string, error) {
	d, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		b, err := os.ReadFile(filepath.Join(d, "go.mod"))
		if err == nil && strings.HasPrefix(string(b), "module github.com/terradue/t2-cred\n") {
			return d, nil
		}
		up := filepath.Dir(d)
		if up == d {
			return "", errors.New("the working directory is not in a checkout of t2-cred")
		}
		d = up
	}
}
