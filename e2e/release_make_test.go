package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/e2e/parts"
)

// releaseTag is the version that the tests release.
const releaseTag = "v0.9.0"

// A release is what GoReleaser made of this checkout, as it is, uncommitted changes
// included, under a tag: for one architecture of two systems, and not published.
type release struct {
	tree string // where it was built
	dist string
}

// A place is where and how a release is built.
type place struct {
	from  string // the tree of another release; empty for this checkout
	dir   string
	umask string
	env   []string
}

// makeRelease copies the checkout into a repository of its own, with one commit that
// is the same wherever it is made, and has GoReleaser release it.
func makeRelease(ctx context.Context, p place) (*release, error) {
	if p.from != "" {
		if err := copyCheckout(ctx, p.from, p.dir); err != nil {
			return nil, err
		}
	} else {
		top, err := parts.Checkout()
		if err != nil {
			return nil, err
		}
		if err := copyCheckout(ctx, top, p.dir); err != nil {
			return nil, err
		}
		if err := narrow(filepath.Join(p.dir, ".goreleaser.yaml")); err != nil {
			return nil, err
		}
	}
	cache, err := parts.CacheDir()
	if err != nil {
		return nil, err
	}
	script := `set -eu
umask "$1"
git init -q -b main
git -c core.fileMode=true add -A
git commit -q -m release
git tag ` + releaseTag + `
git remote add origin https://github.com/terradue/t2-cred.git
goreleaser check -q
goreleaser release --clean --skip=publish,announce
`
	cmd := exec.CommandContext(ctx, "bash", "-c", script, "bash", p.umask)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(),
		"PATH="+filepath.Join(cache, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"),
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=e2e", "GIT_AUTHOR_EMAIL=e2e@example.org", "GIT_AUTHOR_DATE=2026-01-02T03:04:05Z",
		"GIT_COMMITTER_NAME=e2e", "GIT_COMMITTER_EMAIL=e2e@example.org", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z",
		"GITHUB_TOKEN=none", // it asks for one, and sends nothing
	)
	cmd.Env = append(cmd.Env, p.env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("goreleaser in %s: %w\n%s", p.dir, err, out)
	}
	return &release{tree: p.dir, dist: filepath.Join(p.dir, "bin", "release")}, nil
}

// copyCheckout copies what git would have a new commit hold.
func copyCheckout(ctx context.Context, top, dir string) error {
	list := exec.CommandContext(ctx, "git", "-C", top, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("git ls-files in %s: %w", top, err)
	}
	for _, name := range strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join(top, name))
		if os.IsNotExist(err) {
			continue // deleted, and not committed yet
		}
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if info, err := os.Stat(filepath.Join(top, name)); err == nil && info.Mode()&0o100 != 0 {
			mode = 0o755
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, mode); err != nil {
			return err
		}
	}
	return nil
}

// narrow leaves out what would be built a third to sixth time in the same way.
func narrow(config string) error {
	b, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	const all, some = "goos: [linux, darwin, windows]\n    goarch: [amd64, arm64]\n", "goos: [linux, windows]\n    goarch: [amd64]\n"
	if strings.Count(string(b), all) != 1 {
		return fmt.Errorf("%s has no %q", config, all)
	}
	return os.WriteFile(config, []byte(strings.Replace(string(b), all, some, 1)), 0o600)
}

// onlyEndToEnd skips what takes minutes, although nothing is missing for it.
func onlyEndToEnd(t *testing.T) {
	t.Helper()
	if !parts.Required() {
		t.Skip("NOT CHECKED: it takes minutes, so only T2_CRED_E2E=1 does it")
	}
}

// released is the release of this run, made when the first test asks for it.
func released(t *testing.T) *release {
	t.Helper()
	onlyEndToEnd(t)
	for _, tool := range []string{"bin/goreleaser", "bin/cyclonedx-gomod", "git"} {
		needTool(t, "release", tool)
	}
	r, err := shared.release()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// artifact is the path of what was made for users, by its name after the version.
func (r *release) artifact(t *testing.T, suffix string) string {
	t.Helper()
	path := filepath.Join(r.dist, "t2-cred_"+strings.TrimPrefix(releaseTag, "v")+suffix)
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// sums are the checksums of all that was made for users, and of the descriptions.
// The rest is GoReleaser's own notes, which tell the time.
func (r *release) sums(t *testing.T) map[string]string {
	t.Helper()
	sums := map[string]string{}
	err := filepath.WalkDir(r.dist, func(path string, e fs.DirEntry, err error) error {
		name, _ := filepath.Rel(r.dist, path)
		if err != nil || e.IsDir() || name == "artifacts.json" || name == "metadata.json" || name == "config.yaml" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(b)
		sums[name] = hex.EncodeToString(sum[:])
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sums
}
