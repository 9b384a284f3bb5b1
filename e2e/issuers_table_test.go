package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/e2e/parts"
)

// An issuerRow is a row of the table of docs/issuers.md.
type issuerRow struct{ server, version, installer, run string }

var (
	anIssuerRow = regexp.MustCompile("(?m)^\\| ([^|]+) \\| (\\d[\\d.]*)[^|]* \\| `(e2e/[^`]+)` \\| `(make test(?:-more)?)`: ([^|]+) \\|")
	testPattern = regexp.MustCompile("`(Test[A-Za-z0-9_]+)\\*`")
	testFunc    = regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9_]+)\(t `)
)

// TestIssuersTable: each server of the table is installed in that version and has the
// tests that are named. Each installer of an issuer has a row, and so has each test of one.
func TestIssuersTable(t *testing.T) {
	page := readTop(t, "docs/issuers.md")
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var tests []string
	for _, name := range files {
		for _, m := range testFunc.FindAllStringSubmatch(readTop(t, "e2e/"+name), -1) {
			tests = append(tests, m[1])
		}
	}
	var installers, patterns []string
	for _, m := range anIssuerRow.FindAllStringSubmatch(page, -1) {
		row := issuerRow{m[1], m[2], m[3], m[5]}
		installers = append(installers, row.installer)
		if text := readTop(t, row.installer); !regexp.MustCompile(`(^|[^\d.])` + regexp.QuoteMeta(row.version) + `([^\d.]|$)`).MatchString(text) {
			t.Errorf("%s does not install %s in version %s", row.installer, row.server, row.version)
		}
		named := testPattern.FindAllStringSubmatch(row.run, -1)
		for _, p := range named {
			patterns = append(patterns, p[1])
			if !slices.ContainsFunc(tests, func(name string) bool { return strings.HasPrefix(name, p[1]) }) {
				t.Errorf("%s: no test is named %s*", row.server, p[1])
			}
			if more := strings.HasPrefix(p[1], "TestMore_"); more != (m[4] == "make test-more") {
				t.Errorf("%s: %s* is not of %s", row.server, p[1], m[4])
			}
		}
		if len(named) == 0 {
			t.Errorf("%s: no test is named", row.server)
		}
	}
	if n := strings.Count(page, "\n| "); len(installers) < 6 || n != len(installers)+1 {
		t.Errorf("%d of %d rows were read", len(installers), n-1)
	}
	for _, name := range tests {
		for _, family := range []string{"TestKeycloak", "TestNode_", "TestIssuers_", "TestMore_Spring", "TestMore_Dex", "TestMore_Mock"} {
			if strings.HasPrefix(name, family) && !slices.ContainsFunc(patterns, func(p string) bool { return strings.HasPrefix(name, p) }) {
				t.Errorf("no row names %s", name)
			}
		}
	}
	wantInstallersListed(t, installers)
}

// wantInstallersListed wants a row for each script that says that it installs an issuer.
func wantInstallersListed(t *testing.T, listed []string) {
	t.Helper()
	top, err := parts.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	var scripts []string
	for _, pattern := range []string{"e2e/setup.d/*.sh", "e2e/setup.d/more/*.sh"} {
		found, err := filepath.Glob(filepath.Join(top, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		scripts = append(scripts, found...)
	}
	issuers := 0
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(string(text), "\n. ")
		if !strings.Contains(head, "issuer") {
			continue
		}
		issuers++
		if name, err := filepath.Rel(top, script); err != nil || !slices.Contains(listed, name) {
			t.Errorf("docs/issuers.md does not list what %s installs", name)
		}
	}
	if issuers < 5 {
		t.Errorf("%d scripts install an issuer", issuers)
	}
}
