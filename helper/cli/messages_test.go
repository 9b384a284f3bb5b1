package cli

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/setup"
	"github.com/terradue/t2-cred/store"
)

const messagesPage = "../../docs/messages.md"

// sourceFiles parses the program's own source, without its tests.
func sourceFiles(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	for _, dir := range []string{"../../helper", "../../store"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") ||
				strings.Contains(path, "oidctest") || strings.Contains(path, "backendtest") {
				return err
			}
			files[strings.TrimPrefix(filepath.ToSlash(path), "../../")], err = parser.ParseFile(token.NewFileSet(), path, nil, 0)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// A message is what an error says, as the source has it.
type message struct{ text, exit, hint string }

// kinds are the sentinels that errors are made with, by their name in the source.
func kinds() map[string]error {
	return map[string]error{
		"errUsage": errUsage, "errConfig": errConfig, "errOutput": errOutput, "errClock": errClock, "errCannotRun": errCannotRun,
		"errNoCommand": errNoCommand, "errPromptEnded": errPromptEnded, "errStdout": errStdout, "errInterrupted": errInterrupted,
		"ErrLoginRequired": helper.ErrLoginRequired, "ErrNotGranted": helper.ErrNotGranted, "ErrSubjectToken": helper.ErrSubjectToken,
		"ErrProfile": helper.ErrProfile, "ErrNotMine": helper.ErrNotMine, "ErrUnreachable": oidc.ErrUnreachable, "ErrNoSuchFlow": oidc.ErrNoSuchFlow,
		"ErrOpaque": oidc.ErrOpaque, "ErrUsage": setup.ErrUsage, "ErrConfiguration": setup.ErrConfiguration,
		"ErrNotFound": store.ErrNotFound, "ErrLocked": store.ErrLocked, "ErrUnavailable": store.ErrUnavailable, "ErrTooLarge": store.ErrTooLarge,
		"ErrCorrupt": store.ErrCorrupt, "ErrBusy": store.ErrBusy, "ErrMoved": store.ErrMoved, "ErrLost": store.ErrLost, "ErrName": store.ErrName,
	}
}

// exitOf is the exit code of a kind, which the source names.
func exitOf(kind ast.Expr) string {
	if of, ok := kinds()[lastName(kind)]; ok {
		code, _ := classify(of)
		return strconv.Itoa(code)
	}
	return "by its cause"
}

func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.CallExpr:
		return lastName(e.Fun)
	}
	return ""
}

// readable is an expression as a person may read it; what is known at run time only is
// an ellipsis.
func readable(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if s, err := strconv.Unquote(e.Value); err == nil {
			return s
		}
	case *ast.BinaryExpr:
		return readable(e.X) + readable(e.Y)
	case *ast.CallExpr:
		return readableCall(e)
	case *ast.Ident:
		if e.Name == "nil" {
			return ""
		}
	}
	return "…"
}

func readableCall(call *ast.CallExpr) string {
	all := func(sep string) string {
		var parts []string
		for _, a := range call.Args {
			parts = append(parts, readable(a))
		}
		return strings.Join(parts, sep)
	}
	switch lastName(call.Fun) {
	case "Do":
		return all("")
	case "Run":
		return "t2-cred " + all(" ")
	case "Shell":
		return all(" ")
	case "With":
		return readable(call.Fun.(*ast.SelectorExpr).X) + " " + all(" ")
	case "For":
		return readable(call.Fun.(*ast.SelectorExpr).X)
	case "Say", "Words", "New", "Sprintf", "Errorf":
		if len(call.Args) > 0 {
			return readable(call.Args[0])
		}
	}
	return "…"
}

// messagesOf are the messages that a file's errors have.
func messagesOf(file *ast.File) (all []message) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			if lastName(n.Type) == "Error" && strings.Contains(fmt.Sprint(n.Type), "hint") {
				all = append(all, ofLiteral(n))
			}
		case *ast.CallExpr:
			switch name := lastName(n.Fun); {
			case name == "usageError" && len(n.Args) == 1:
				all = append(all, message{readable(n.Args[0]), strconv.Itoa(exitUsage), ""})
			case name == "configErrorf" && len(n.Args) >= 2:
				all = append(all, message{readable(n.Args[1]), strconv.Itoa(exitConfig), readable(n.Args[0])})
			case name == "configRemedy" && len(n.Args) >= 2:
				var remedy []string
				for _, part := range n.Args[1:] {
					remedy = append(remedy, readable(part))
				}
				all = append(all, message{readable(n.Args[0]), strconv.Itoa(exitConfig), strings.Join(remedy, "")})
			case name == "Errorf" && len(n.Args) >= 4 && strings.HasPrefix(lastName(n.Args[0]), "Err"): // backend.Errorf
				text := readable(n.Args[3])
				if kind := kinds()[lastName(n.Args[0])]; kind != nil {
					text = strings.TrimSuffix(kind.Error()+": "+text, ": ")
				}
				all = append(all, message{text, exitOf(n.Args[0]), readable(n.Args[2])})
			}
		}
		return true
	})
	return all
}

func ofLiteral(lit *ast.CompositeLit) (m message) {
	for _, e := range lit.Elts {
		field, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		switch lastName(field.Key) {
		case "Kind":
			m.exit = exitOf(field.Value)
			if of := kinds()[lastName(field.Value)]; of != nil && m.text == "" {
				m.text = of.Error()
			}
		case "Detail":
			m.text = readable(field.Value)
		case "Remedy":
			m.hint = readable(field.Value)
		}
	}
	return m
}

// TestMessages has docs/messages.md list every message that the source makes.
func TestMessages(t *testing.T) {
	var page bytes.Buffer
	page.WriteString("# Messages\n\nEvery error message that the source has, with its exit code and its hint. `%s` and the like,\n" +
		"and `…`, stand for the values of the moment. An issuer's own words are not listed.\n\n" +
		"This page is generated: `go test ./helper/cli -run TestMessages -update`.\n")
	page.WriteString("\n## Words that begin a message\n\nMessages of these kinds begin so, and then say what was seen.\n\n| message | exit | hint |\n|---|---|---|\n")
	var sentinels []string
	for _, kind := range kinds() {
		code, _ := classify(kind)
		sentinels = append(sentinels, fmt.Sprintf("| %s | %d |  |\n", cell(kind.Error()), code))
	}
	slices.Sort(sentinels)
	page.WriteString(strings.Join(sentinels, ""))
	files := sourceFiles(t)
	byPackage := map[string][]message{}
	for path, file := range files {
		dir := filepath.ToSlash(filepath.Dir(path))
		byPackage[dir] = append(byPackage[dir], messagesOf(file)...)
	}
	total := 0
	for _, dir := range slices.Sorted(keysOf(byPackage)) {
		var rows []string
		for _, m := range byPackage[dir] {
			if strings.Trim(m.text, "…: ") != "" {
				rows = append(rows, fmt.Sprintf("| %s | %s | %s |\n", cell(m.text), m.exit, cell(m.hint)))
			}
		}
		slices.Sort(rows)
		rows = slices.Compact(rows)
		if len(rows) == 0 {
			continue
		}
		total += len(rows)
		fmt.Fprintf(&page, "\n## %s\n\n| message | exit | hint |\n|---|---|---|\n%s", dir, strings.Join(rows, ""))
	}
	if total < 150 {
		t.Errorf("only %d messages were found", total)
	}
	if *update {
		if err := os.WriteFile(messagesPage, page.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if now, err := os.ReadFile(messagesPage); err != nil || !bytes.Equal(bytes.ReplaceAll(now, []byte("\r\n"), []byte("\n")), page.Bytes()) {
		t.Errorf("docs/messages.md is not what the source says (%v): go test ./helper/cli -run TestMessages -update", err)
	}
}

func keysOf(m map[string][]message) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// cell is text in a cell of a table.
func cell(text string) string {
	if text == "" {
		return ""
	}
	return "`` " + strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`) + " ``"
}

// argvOf are the arguments of a command that the source makes with hint.Run, and of
// what is added to it. What is known at run time only is X.
func argvOf(call *ast.CallExpr) (argv []string, ok bool) {
	of, isMethod := call.Fun.(*ast.SelectorExpr)
	if !isMethod || call.Ellipsis.IsValid() {
		return nil, false
	}
	literals := func() (words []string) {
		for _, a := range call.Args {
			if lit, isText := a.(*ast.BasicLit); isText {
				word, _ := strconv.Unquote(lit.Value)
				words = append(words, word)
			} else {
				words = append(words, "X")
			}
		}
		return words
	}
	if of.Sel.Name == "Run" && lastName(of.X) == "hint" {
		return literals(), true
	}
	before, isCall := of.X.(*ast.CallExpr)
	if !isCall || of.Sel.Name != "With" && of.Sel.Name != "For" {
		return nil, false
	}
	if argv, ok = argvOf(before); !ok {
		return nil, false
	}
	if of.Sel.Name == "For" {
		return append(argv, "--profile", "X", "--account", "X"), true
	}
	return append(argv, literals()...), true
}

// TestHints_areCommands parses each command that a hint names as the program would.
func TestHints_areCommands(t *testing.T) {
	found := 0
	for path, file := range sourceFiles(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			argv, ok := argvOf(call)
			if !ok {
				return true
			}
			found++
			if err := parses(known(argv)); err != nil {
				t.Errorf("%s: a hint names t2-cred %s: %v", path, strings.Join(argv, " "), err)
			}
			return true
		})
	}
	if found < 40 {
		t.Errorf("only %d commands were found", found)
	}
	for _, wrong := range [][]string{{"exchagne"}, {"store", "start"}, {"get", "--frsh"}, {"profile", "remove"}, {"profile", "use", "X", "X"}} {
		if parses(wrong) == nil {
			t.Errorf("%q is taken for a command", wrong)
		}
	}
}

// parses says why a command line would be a usage error.
func parses(argv []string) error {
	cmd, rest, err := Commands().Find(argv)
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); errors.Is(err, pflag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if cmd.HasSubCommands() && len(cmd.Flags().Args()) > 0 {
		return fmt.Errorf("%s has no command %s", cmd.CommandPath(), cmd.Flags().Arg(0))
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}
