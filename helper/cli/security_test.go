package cli

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	namedTest   = regexp.MustCompile("`(Test[A-Z]\\w+)`")
	namedScript = regexp.MustCompile("`(\\w+\\.txtar)`")
)

// TestSecurity_eachClaimHasATest: each claim of SECURITY.md names a test that is there,
// and what made it fail. The part about what holds has claims alone: a sentence outside
// of a table has no test.
func TestSecurity_eachClaimHasATest(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", ".github", "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, holds, _ := strings.Cut(string(page), "\n## What holds\n")
	holds, _, found := strings.Cut(holds, "\n## ")
	_, holds, ok := strings.Cut(holds, "\n### ")
	if !found || !ok {
		t.Fatal("SECURITY.md has no part about what holds")
	}
	tests, claims := allTests(t), 0
	for line := range strings.Lines("### " + holds) {
		line = strings.TrimSpace(line)
		switch {
		case line == "", strings.HasPrefix(line, "### "), line == "| claim | test | failed with |", line == "|---|---|---|":
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if len(cells) != 3 || strings.TrimSpace(cells[2]) == "" {
			t.Errorf("a claim needs a test and what made it fail: %s", line)
			continue
		}
		claims++
		names := append(namedTest.FindAllStringSubmatch(cells[1], -1), namedScript.FindAllStringSubmatch(cells[1], -1)...)
		if len(names) == 0 {
			t.Errorf("a claim without a test: %s", line)
		}
		for _, name := range names {
			if !tests[name[1]] {
				t.Errorf("there is no %s, which is to check: %s", name[1], cells[0])
			}
		}
	}
	if claims < 20 {
		t.Errorf("%d claims: this shows nothing", claims)
	}
}

// allTests are the tests of all packages, those of e2e and the scripts included.
func allTests(t *testing.T) map[string]bool {
	t.Helper()
	tests, top := map[string]bool{}, filepath.Join("..", "..")
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	err := filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && e.Name() == ".git":
			return fs.SkipDir
		case strings.HasSuffix(path, ".txtar"):
			tests[e.Name()] = true
		case strings.HasSuffix(path, "_test.go"):
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range declared.FindAllSubmatch(text, -1) {
				tests[string(m[1])] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}

// TestSecurity_linksLead: what the pages for contributors link to is there.
func TestSecurity_linksLead(t *testing.T) {
	links := 0
	for _, page := range []string{"CONTRIBUTING.md", filepath.Join(".github", "SECURITY.md")} {
		text, err := os.ReadFile(filepath.Join("..", "..", page))
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range regexp.MustCompile(`\]\(([^)#:]+)[^)]*\)`).FindAllSubmatch(text, -1) {
			links++
			if _, err := os.Stat(filepath.Join("..", "..", filepath.Dir(page), string(link[1]))); err != nil {
				t.Errorf("%s has a dead link: %v", page, err)
			}
		}
	}
	if links == 0 {
		t.Error("no link was found: this shows nothing")
	}
}
