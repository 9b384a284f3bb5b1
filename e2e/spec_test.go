package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/parts"
)

// TestSpec runs the model of docs/spec with each row of its page's table.
func TestSpec(t *testing.T) {
	spin, gcc := needTool(t, "spin", "spin"), needTool(t, "spin", "gcc")
	top, err := parts.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	model := filepath.Join(top, "docs/spec/refresh.pml")
	row := regexp.MustCompile("(?m)^\\| `(-D[^`]*)` \\| (\\w+) \\| (.+) \\|$")
	rows := row.FindAllStringSubmatch(readTop(t, "docs/spec/README.md"), -1)
	results := map[string]int{}
	for _, r := range rows {
		params, result := strings.Fields(r[1]), r[2]
		results[result]++
		t.Run(r[1], func(t *testing.T) {
			t.Parallel()
			out := checkModel(t, spin, gcc, model, params)
			found := strings.Contains(out, "pan:1: assertion violated")
			complete := strings.Contains(out, "errors: 0") && !strings.Contains(out, "Search not completed") &&
				!strings.Contains(out, "max search depth too small")
			switch {
			case result == "holds" && !complete, result == "violated" && !found, found == complete:
				t.Errorf("the page says %q (%s); spin says:\n%s", result, r[3], out)
			}
		})
	}
	if results["holds"] < 5 || results["violated"] < 5 || len(results) != 2 {
		t.Errorf("the rows of docs/spec/README.md are %v, want several that hold and several that are violated", results)
	}
}

// checkModel makes the checker for some parameters, runs it, and gives what it said.
func checkModel(t *testing.T, spin, gcc, model string, params []string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	dir := t.TempDir()
	if err := os.Symlink(model, filepath.Join(dir, "refresh.pml")); err != nil {
		t.Fatal(err)
	}
	var out []byte
	for _, args := range [][]string{
		append(append([]string{spin}, params...), "-a", "refresh.pml"),
		{gcc, "-O1", "-w", "-DSAFETY", "-DMEMLIM=1500", "-o", "pan", "pan.c"},
		{"./pan", "-m1000000"},
	} {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Dir = dir
		var err error
		if out, err = cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
	}
	return string(out)
}
