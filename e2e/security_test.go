package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/e2e/parts"
)

// TestSecurity_namesTestsThatAre: what the threat model names as its evidence is there.
func TestSecurity_namesTestsThatAre(t *testing.T) {
	top, err := parts.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, pattern := range []string{"e2e/*_test.go", "store/*_test.go", "helper/*/*_test.go", "helper/*/*/*_test.go"} {
		files, err := filepath.Glob(filepath.Join(top, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			code.WriteString(readFile(t, file))
		}
	}
	text := readTop(t, ".github/SECURITY.md")
	tests := regexp.MustCompile(`\bTest[A-Z]\w+`).FindAllString(text, -1)
	for _, name := range tests {
		if !strings.Contains(code.String(), "\nfunc "+name+"(t *testing.T)") {
			t.Errorf("SECURITY.md names %s, and there is no such test", name)
		}
	}
	scripts := regexp.MustCompile(`[\w*]+\.txtar`).FindAllString(text, -1)
	for _, name := range scripts {
		if found, err := filepath.Glob(filepath.Join(top, "helper/cli/testdata/script", name)); err != nil || len(found) == 0 {
			t.Errorf("SECURITY.md names %s, and there is no such script", name)
		}
	}
	for _, page := range []string{"CONTRIBUTING.md", ".github/SECURITY.md"} {
		for _, link := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(readTop(t, page), -1) {
			if _, err := os.Stat(filepath.Join(top, filepath.Dir(page), link[1])); err != nil {
				t.Errorf("%s has a dead link: %v", page, err)
			}
		}
	}
	if len(tests) < 20 || len(scripts) < 2 {
		t.Errorf("%d tests and %d scripts: this shows nothing", len(tests), len(scripts))
	}
}
