package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/e2e/parts"
)

// TestTargets_more: the tests that make test-more chooses by their name are those that
// make test leaves out, whichever package they are in.
func TestTargets_more(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			if named, asks := strings.HasPrefix(f.Name.Name, "TestMore_"), callsMore(f.Body); named != asks {
				t.Errorf("%s: %s: is named TestMore_: %t; calls parts.More first: %t", path, f.Name.Name, named, asks)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// callsMore reports whether the first statement is parts.More(t).
func callsMore(body *ast.BlockStmt) bool {
	if len(body.List) == 0 {
		return false
	}
	statement, ok := body.List[0].(*ast.ExprStmt)
	if !ok {
		return false
	}
	call, ok := statement.X.(*ast.CallExpr)
	if !ok {
		return false
	}
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || f.Sel.Name != "More" {
		return false
	}
	pkg, ok := f.X.(*ast.Ident)
	return ok && pkg.Name == "parts"
}

// TestTargets_named: what .ci/run calls is what README tells a reader to call, and each
// step of it is a target.
func TestTargets_named(t *testing.T) {
	makefile, readme, ci := readTop(t, "Makefile"), readTop(t, "README.md"), readTop(t, ".ci/run")
	for _, target := range []string{"test", "test-more"} {
		if !regexp.MustCompile(`(?m)^make ` + target + `\s`).MatchString(readme) {
			t.Errorf("README.md names no make %s", target)
		}
		if !regexp.MustCompile(`(?m)^make ` + target + `\s`).MatchString(ci) {
			t.Errorf(".ci/run calls no make %s", target)
		}
		recipe := regexp.MustCompile(`(?m)^` + target + `:.*\n\t@e2e/test-all\.sh (.*)$`).FindStringSubmatch(makefile)
		if recipe == nil {
			t.Fatalf("the Makefile has no target %s with steps", target)
		}
		for _, step := range strings.Fields(recipe[1]) {
			if !regexp.MustCompile(`(?m)^` + step + `:`).MatchString(makefile) {
				t.Errorf("make %s has the step %s, which is no target", target, step)
			}
		}
	}
	if !strings.Contains(makefile, "-run '^TestMore_'") || !strings.Contains(makefile, "NOT CHECKED: the tests TestMore_*") {
		t.Error("the Makefile does not choose the tests TestMore_*, or make test does not say that it leaves them out")
	}
}

// TestTargets_say: what a target installs and how long it takes is said before its first
// build, which takes longest; the port of make keycloak is the one that was given; and make
// lint measures the prose.
func TestTargets_say(t *testing.T) {
	for _, tt := range []struct {
		args          []string
		first, before string
	}{
		{[]string{"demo", "STORE=file"}, "demo: nothing is installed", "go build"},
		{[]string{"demo", "STORE="}, "demo: installs dbus and gnome-keyring", "go build"},
		{[]string{"keycloak", "PORT=18471"}, "keycloak: installs Java and Maven", "go build"},
		{[]string{"keycloak", "PORT=18471"}, "keycloak: it takes about a minute", "-port '18471'"},
		{[]string{"keycloak"}, "e2e/setup.sh keycloak", "-port '8180'"},
		{[]string{"lint"}, "golangci-lint run", "go test -run TestProse ./docs"},
	} {
		cmd := exec.CommandContext(t.Context(), "make", append([]string{"-n"}, tt.args...)...)
		cmd.Dir, cmd.Env = "..", append(os.Environ(), "MAKEFLAGS=")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("make -n %s: %v\n%s", tt.args, err, out)
		}
		first, before := strings.Index(string(out), tt.first), strings.Index(string(out), tt.before)
		if first < 0 || before < first {
			t.Errorf("make %s: %q does not come before %q:\n%s", tt.args, tt.first, tt.before, out)
		}
	}
}

// TestMore_runs: this package's tests of make test-more find what it sets up.
func TestMore_runs(t *testing.T) {
	parts.More(t)
	if !parts.Required() {
		t.Error("T2_CRED_MORE=1 without T2_CRED_E2E=1: tests whose part is missing skip")
	}
}
