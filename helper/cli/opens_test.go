package cli

import (
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// opensFiles may open a file otherwise than by helper/safefile, for a reason that is
// written there.
var opensFiles = []string{
	"helper/loopback_peer_linux.go", // /proc/net
	"helper/cli/output.go",          // a pipe that the user names, within --timeout
	"helper/cli/terminal_unix.go", "helper/cli/terminal_windows.go",
}

// TestOpens_goBySafefile: no other file of the program is opened in a way that could
// wait, or that looks at no owner.
func TestOpens_goBySafefile(t *testing.T) {
	opens := []string{"Open", "OpenFile", "ReadFile", "Create", "CreateTemp", "WriteFile", "DirFS"}
	found := map[string]bool{}
	for name, file := range sourceFiles(t) {
		if strings.HasPrefix(name, "helper/safefile/") {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := call.X.(*ast.Ident); ok && pkg.Name == "os" && slices.Contains(opens, call.Sel.Name) {
				found[name] = true
				if !slices.Contains(opensFiles, name) {
					t.Errorf("%s calls os.%s", name, call.Sel.Name)
				}
			}
			return true
		})
	}
	for _, name := range opensFiles {
		if !found[name] {
			t.Errorf("%s opens no file any more", name)
		}
	}
}
