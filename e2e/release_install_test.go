package e2e

import (
	"archive/zip"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/e2e/parts"
)

const module = "github.com/terradue/t2-cred"

// TestInstall_hasARealVersion: `go install …@v0.9.0`, from a module proxy in a
// directory, gives a program that says so.
func TestInstall_hasARealVersion(t *testing.T) {
	onlyEndToEnd(t)
	tree, proxy, bin := t.TempDir(), t.TempDir(), t.TempDir()
	top, err := parts.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	if err := copyCheckout(context.Background(), top, tree); err != nil {
		t.Fatal(err)
	}
	// As https://go.dev/ref/mod#module-proxy has it.
	versions := filepath.Join(proxy, filepath.FromSlash(module), "@v")
	if err := os.MkdirAll(versions, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"list":               releaseTag + "\n",
		releaseTag + ".info": fmt.Sprintf(`{"Version":%q,"Time":"2026-01-02T03:04:05Z"}`, releaseTag),
		releaseTag + ".mod":  readFile(t, filepath.Join(tree, "go.mod")),
	} {
		if err := os.WriteFile(filepath.Join(versions, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	zipModule(t, tree, filepath.Join(versions, releaseTag+".zip"))

	// What it needs is in the module cache, which has the shape of a proxy.
	cache := strings.TrimSpace(outputOf(t, exec.Command("go", "env", "GOMODCACHE")))
	install := exec.Command("go", "install", module+"@"+releaseTag)
	install.Dir = t.TempDir()
	install.Env = append(os.Environ(), "GOBIN="+bin, "GOMODCACHE="+t.TempDir(), "GOFLAGS=-modcacherw", "GOSUMDB=off", "CGO_ENABLED=0",
		"GOPROXY=file://"+proxy+",file://"+filepath.Join(cache, "cache", "download"))
	outputOf(t, install)
	if got := versionOf(t, filepath.Join(bin, "t2-cred")); got != releaseTag {
		t.Errorf("go install gave %q", got)
	}
}

// zipModule packs a module as a proxy serves it: without the modules inside of it.
func zipModule(t *testing.T, tree, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z := zip.NewWriter(f)
	err = filepath.WalkDir(tree, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(tree, path)
		if e.IsDir() {
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && name != "." {
				return filepath.SkipDir
			}
			return nil
		}
		w, err := z.Create(module + "@" + releaseTag + "/" + filepath.ToSlash(name))
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
}

// versionOf is what a program says of itself.
func versionOf(t *testing.T, path string) string {
	t.Helper()
	words := strings.Fields(outputOf(t, exec.Command(path, "version")))
	if len(words) != 4 || words[0] != "t2-cred" {
		t.Fatalf("%s version: %q", path, words)
	}
	return words[1]
}

// TestBuild_saysTheCommit: a build from a checkout says of which commit, and whether
// it was changed since.
func TestBuild_saysTheCommit(t *testing.T) {
	r := released(t)
	dir := filepath.Join(t.TempDir(), "tree")
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=e2e", "-c", "user.email=e2e@example.org"}, args...)...)
		return strings.TrimSpace(outputOf(t, cmd))
	}
	outputOf(t, exec.Command("git", "clone", "-q", r.tree, dir))
	build := func() string {
		t.Helper()
		cmd := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, "bin", "t2-cred"), ".")
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=true") // where that was turned off
		outputOf(t, cmd)
		return versionOf(t, filepath.Join(dir, "bin", "t2-cred"))
	}
	change := func() {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(readFile(t, filepath.Join(dir, "main.go"))+"\n// Changed.\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := build(); got != releaseTag {
		t.Errorf("at the tag: %q", got)
	}
	change()
	if got := build(); got != releaseTag+"+dirty" {
		t.Errorf("at the tag, and changed: %q", got)
	}
	git("commit", "-qam", "change")
	want := regexp.MustCompile(`^v0\.9\.1-0\.\d{14}-` + git("rev-parse", "HEAD")[:12] + `$`)
	if got := build(); !want.MatchString(got) {
		t.Errorf("after the tag: %q, want %s", got, want)
	}
}
