package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/e2e/run"
)

// oldCommit is the version whose data every later version must be able to use.
const oldCommit = "3f78ee2"

// oldProgram is t2-cred as it was at oldCommit, built from this repository's own
// history. The binary is kept in the cache of e2e.
func oldProgram(t *testing.T) *run.Program {
	t.Helper()
	top, err := parts.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("git", "-C", top, "rev-parse", "--verify", oldCommit+"^{commit}").CombinedOutput()
	if err != nil {
		missing := fmt.Sprintf("commit %s is not in this clone, so the old t2-cred cannot be built: "+
			"fetch the history with git fetch --unshallow (git says: %s)", oldCommit, strings.TrimSpace(string(out)))
		if parts.Required() {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	cache, err := parts.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("t2-cred-%s-%s", strings.TrimSpace(string(out)), runtime.GOARCH)
	path := filepath.Join(cache, "compat", name)
	if _, err := os.Stat(path); err != nil {
		if err := buildOld(t.Context(), top, path); err != nil {
			t.Fatalf("build t2-cred of %s: %v", oldCommit, err)
		}
	}
	return &run.Program{Path: path, Ledger: shared.ledger}
}

// buildOld builds the old version in a directory beside path and moves it there, so
// that path is always a whole program.
func buildOld(ctx context.Context, top, path string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), "build-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	script := `git -C "$1" archive "$2" | tar -x
go build -trimpath -buildvcs=false -ldflags='-s -w' -o t2-cred-old .`
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script, "bash", top, oldCommit)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return os.Rename(filepath.Join(dir, "t2-cred-old"), path)
}

// withoutKernel is a program to which the kernel's keyring is refused, as it is in a
// container with the usual seccomp profile.
func withoutKernel(t *testing.T, p *run.Program) *run.Program {
	t.Helper()
	bwrap := needTool(t, "server", "bwrap")
	filter := (&jobHost{t: t}).keyctlForbidden()
	defer func() { _ = filter.Close() }()
	script := filepath.Join(t.TempDir(), "t2-cred")
	text := fmt.Sprintf("#!/bin/sh\nexec %s --dev-bind / / --die-with-parent --seccomp 3 -- %s \"$@\" 3<%s\n", bwrap, p.Path, filter.Name())
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return &run.Program{Path: script, Ledger: p.Ledger}
}
