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
		"errUsage": errUsage, "errVariable": errVariable, "errConfig": errConfig, "errOutput": errOutput, "errClock": errClock, "errCannotRun": errCannotRun,
		"errNoCommand": errNoCommand, "errPromptEnded": errPromptEnded, "errStdout": errStdout, "errInterrupted": errInterrupted,
		"ErrLoginRequired": helper.ErrLoginRequired, "ErrNotGranted": helper.ErrNotGranted, "ErrSubjectToken": helper.ErrSubjectToken,
		"ErrProfile": helper.ErrProfile, "ErrNotMine": helper.ErrNotMine, "ErrUnreachable": oidc.ErrUnreachable, "ErrNoSuchFlow": oidc.ErrNoSuchFlow, "ErrNoSigningKey": oidc.ErrNoSigningKey,
		"ErrOpaque": oidc.ErrOpaque, "ErrUsage": setup.ErrUsage, "ErrConfiguration": setup.ErrConfiguration,
		"ErrNotFound": store.ErrNotFound, "ErrLocked": store.ErrLocked, "ErrUnavailable": store.ErrUnavailable, "ErrTooLarge": store.ErrTooLarge,
		"ErrCorrupt": store.ErrCorrupt, "ErrBusy": store.ErrBusy, "ErrMoved": store.ErrMoved, "ErrLost": store.ErrLost, "ErrName": store.ErrName,
	}
}

// TestMessages has docs/messages.md list every message that the source makes.
func TestMessages(t *testing.T) {
	var page bytes.Buffer
	page.WriteString("# Messages\n\nEvery error message that the source has, with its exit code and its hint. `%s` and the like,\n" +
		"and `…`, stand for the values of the moment. An issuer's own words are not listed. Where the exit\n" +
		"code is `doctor`, the message is a warning of `t2-cred doctor`. A message without a hint of its own\n" +
		"names `t2-cred doctor` or, with exit code 2, how the command is typed.\n\n" +
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
	byPackage, unknown := collect(files)
	for _, why := range unknown {
		t.Error(why)
	}
	total := 0
	for _, dir := range slices.Sorted(keysOf(byPackage)) {
		var rows []string
		for _, m := range byPackage[dir] {
			if strings.Trim(m.text, "…%sv: ") != "" && m.exit != allWell {
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
	if total < 300 {
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
