package cli

import (
	"encoding/json"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/terradue/t2-cred"

// leaves import nothing of the house, and every package may import them.
var leaves = []string{"helper/hint", "helper/safefile", "helper/secret"}

// allowed says, for each package of the house, what else of the house it may
// import beside the leaves. Data flows one way; a hook can never reach a refresh
// token.
var allowed = map[string][]string{
	"":                          {"helper/cli"},
	"docs":                      {},
	"docs/man":                  {"helper/cli", "helper/hook"},
	"helper/cli":                {"helper", "helper/hook", "helper/oidc", "helper/setup", "store"},
	"helper":                    {"helper/oidc", "store"},
	"helper/hint":               {},
	"helper/hook":               {"helper"},
	"helper/oidc":               {},
	"helper/oidc/oidctest":      {},
	"helper/safefile":           {},
	"helper/secret":             {},
	"helper/setup":              {"helper"},
	"store":                     {"store/agefile", "store/backend", "store/keyring", "store/openbao"},
	"store/agefile":             {"store/backend"},
	"store/backend":             {},
	"store/backend/backendtest": {"store/backend"},
	"store/keyring":             {"store/backend"},
	"store/openbao":             {"store/backend"},
	"store/openbao/baotest":     {},
}

// onlyIn names the files that may import a library.
var onlyIn = map[string][]string{
	"github.com/lestrrat-go/jwx":    {"helper/oidc/verify.go", "helper/oidc/clientkey.go"},
	"github.com/zalando/go-keyring": {"store/keyring/items_linux.go", "store/keyring/other.go"},
}

func TestImports_followTheHouseRules(t *testing.T) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles", "./...")
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var pkg struct {
			ImportPath, Dir string
			Imports         []string
		}
		if err := dec.Decode(&pkg); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen++
		from := strings.TrimPrefix(strings.TrimPrefix(pkg.ImportPath, module), "/")
		rules, known := allowed[from]
		if !known {
			t.Errorf("package %q is not in the house's plan", from)
		}
		for _, imported := range pkg.Imports {
			to, ours := strings.CutPrefix(imported, module+"/")
			leaf := slices.Contains(leaves, to) && !slices.Contains(leaves, from)
			if ours && !leaf && !slices.Contains(rules, to) {
				t.Errorf("%q must not import %q", from, to)
			}
		}
		checkOnlyIn(t, from, pkg.Dir)
	}
	if seen < 6 {
		t.Errorf("only %d packages were looked at", seen)
	}
}

func checkOnlyIn(t *testing.T, from, dir string) {
	t.Helper()
	cmd := exec.Command("go", "list", "-f", `{{range .GoFiles}}{{.}} {{end}}`, ".")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list in %s: %v", dir, err)
	}
	for _, file := range strings.Fields(string(out)) {
		imports, err := fileImports(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		for library, homes := range onlyIn {
			for _, imported := range imports {
				if strings.HasPrefix(imported, library) && !slices.Contains(homes, from+"/"+file) {
					t.Errorf("%s/%s imports %s; only %s may", from, file, imported, strings.Join(homes, " and "))
				}
			}
		}
	}
}
