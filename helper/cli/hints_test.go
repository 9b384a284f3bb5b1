package cli

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// hintCommands are the commands of t2-cred that hints name, each once.
func hintCommands(t *testing.T) (all [][]string) {
	t.Helper()
	seen := map[string]bool{}
	for _, file := range sourceFiles(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			argv, ok := argvOf(call)
			if key := strings.Join(argv, " "); ok && !seen[key] {
				seen[key] = true
				all = append(all, argv)
			}
			return !ok
		})
	}
	slices.SortFunc(all, func(a, b []string) int { return strings.Compare(strings.Join(a, " "), strings.Join(b, " ")) })
	return all
}

// known is a hint with what is known when it is printed.
func known(argv []string) []string {
	argv = slices.Clone(argv)
	for n, word := range argv {
		if word != "X" {
			continue
		}
		switch before := argv[n-1]; before {
		case "--profile", "add", "edit", "set-secret", "use", "show", "remove":
			argv[n] = "gep"
		case "--account":
			argv[n] = "default"
		case "login":
			argv[n] = "--device"
		case "--to":
			argv[n] = "keyring"
		case "--store":
			argv[n] = "file"
		case "--config":
			argv[n] = usualConfig
		case "--scope":
			argv[n] = "openid"
		case "--host":
			argv[n] = "api.example.org"
		case "setup":
			argv[n] = "git"
		default:
			argv[n] = "git" // a hook's name
		}
	}
	return argv
}

// usualConfig stands for the path of the configuration.
const usualConfig = "USUAL"

// inHome is a hint with the path of the home's configuration.
func inHome(h *home, argv []string) []string {
	argv = slices.Clone(argv)
	if n := slices.Index(argv, usualConfig); n >= 0 {
		argv[n] = filepath.Join(h.env["XDG_CONFIG_HOME"], "t2-cred", "config.toml")
	}
	return argv
}

// filled is a hint whose reader has put something in the place of the words in capitals.
func filled(h *home, argv []string) []string {
	argv = slices.Clone(argv)
	for n, word := range argv {
		switch {
		case word == "NAME" && n > 1 && argv[n-2] == "profile" && argv[n-1] == "add":
			argv[n] = "another"
		case word == "NAME" && argv[n-1] == "--account":
			argv[n] = "alice"
		case word == "NAME":
			argv[n] = "gep"
		case word == "FILE" && argv[n-1] == "--token-file":
			argv[n] = filepath.Join(h.dir, "alice.jwt")
		case word == "FILE":
			argv[n] = filepath.Join(h.dir, "client.secret")
		case word == "URL":
			argv[n] = h.issuer.URL()
		case word == "ID":
			argv[n] = "ellip-test-ades"
		case word == "METHOD":
			argv[n] = "basic"
		case word == "HOST":
			argv[n] = "git.example.org"
		case word == "SCOPES":
			argv[n] = "openid offline_access"
		}
	}
	return argv
}

// ends tells whether a hint names a command that ends or forgets a grant. These are
// named only to a person who has asked to end one, or who has to choose between two.
func ends(argv []string) bool { return argv[0] == "erase" && !slices.Contains(argv, "--help") }

// documented are the messages of docs/messages.md that a test can know again, by exit code.
func documented(t *testing.T) map[string][]*regexp.Regexp {
	t.Helper()
	text, err := os.ReadFile(messagesPage)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]*regexp.Regexp{}
	verb := regexp.MustCompile(`%[-+#.0-9]*[a-z]|…`)
	for _, row := range regexp.MustCompile("(?m)^\\| `` (.*?) `` \\| ([^|]*) \\|").FindAllStringSubmatch(string(text), -1) {
		if words := strings.Join(verb.Split(row[1], -1), ""); len(strings.Trim(words, " :;,")) < 8 {
			continue // it would match anything
		}
		var parts []string
		for _, words := range verb.Split(strings.ReplaceAll(row[1], `\|`, "|"), -1) {
			parts = append(parts, regexp.QuoteMeta(words))
		}
		all[row[2]] = append(all[row[2]], regexp.MustCompile(strings.Join(parts, "(?s:.*)")))
	}
	return all
}

// TestHints_run runs each command that a hint names, as it stands and with the words in
// capitals replaced, in a home with a grant. It succeeds, or says what is documented. The
// profile and the grant are there afterwards.
func TestHints_run(t *testing.T) {
	commands, messages := hintCommands(t), documented(t)
	if len(commands) < 40 {
		t.Errorf("only %d commands were found", len(commands))
	}
	for _, command := range commands {
		t.Run(strings.ReplaceAll(strings.Join(command, "_"), "/", "-"), func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			h.timeout = 5 * time.Second
			h.userToken("alice")
			if code := h.run("exchange", "--token-file", filepath.Join(h.dir, "alice.jwt")); code != exitOK {
				t.Fatalf("exchange: %d, %s", code, h.stderr.String())
			}
			if code := h.run("profile", "show", "gep"); code != exitOK {
				t.Fatalf("profile show: %d, %s", code, h.stderr.String())
			}
			before := h.stdout.String()
			for _, argv := range [][]string{known(command), filled(h, known(command))} {
				code := h.run(inHome(h, argv)...)
				if said := h.stderr.String(); code != exitOK && !slices.ContainsFunc(slices.Concat(messages[strconv.Itoa(code)], messages["by its cause"]), func(m *regexp.Regexp) bool { return m.MatchString(said) }) {
					t.Errorf("%q ends with %d, and its message is not documented: %s", argv, code, said)
				}
				if ends(command) {
					continue
				}
				asItStands := slices.Equal(argv, known(command))
				if code := h.run("profile", "show", "gep"); code != exitOK || asItStands && h.stdout.String() != before {
					t.Errorf("after %q the profile is another one: %d, %s", argv, code, h.stdout.String())
				}
				if code := h.run("get", "--fresh"); code != exitOK {
					t.Errorf("after %q the grant is no more: %d, %s", argv, code, h.stderr.String())
				}
			}
		})
	}
}

// TestHints_noCommandInWords looks for commands of t2-cred in the words of hints. Nothing
// completes or quotes them there: a command is a hint.Run.
func TestHints_noCommandInWords(t *testing.T) {
	call := regexp.MustCompile(`t2-cred ([a-z-]+)( [a-z-]+)?`)
	literals := 0
	commandIn := func(text string) string {
		for _, m := range call.FindAllStringSubmatch(text, -1) {
			if cmd, _, err := Commands().Find([]string{m[1]}); err == nil && cmd.HasParent() {
				return m[0]
			}
		}
		return ""
	}
	for path, file := range sourceFiles(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			c, ok := n.(*ast.CallExpr)
			if !ok || !slices.Contains([]string{"Say", "Words"}, lastName(c.Fun)) {
				return true
			}
			ast.Inspect(c, func(n ast.Node) bool {
				lit, ok := n.(*ast.BasicLit)
				if !ok || lit.Kind != token.STRING {
					return true
				}
				literals++
				text, _ := strconv.Unquote(lit.Value)
				if command := commandIn(text); command != "" {
					t.Errorf("%s: the words of a hint hold the command %q", path, command)
				}
				return true
			})
			return true
		})
	}
	if literals < 60 {
		t.Errorf("only %d texts were found", literals)
	}
	if commandIn("make room, then run t2-cred get again") == "" || commandIn("t2-cred speaks Basic alone") != "" {
		t.Error("it does not tell a command from a word")
	}
}

// shellHints are the programs of others that hints name, and why none of them harms.
var shellHints = map[string]string{
	"mkdir": "makes a directory", "ls": "shows", "git": "sets the one value that it names",
	"terraform": "is for a person who has logged in there", "mv": "moves aside a file that no identity opens", "age-keygen": "writes a file that does not exist", "chown": "is for a person who says that the directory is to be his",
}

// TestHints_ofOtherPrograms: the programs of others that hints name are those listed.
func TestHints_ofOtherPrograms(t *testing.T) {
	found := map[string]bool{}
	for path, file := range sourceFiles(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			c, ok := n.(*ast.CallExpr)
			if !ok || lastName(c.Fun) != "Shell" || len(c.Args) == 0 || c.Ellipsis.IsValid() {
				return true
			}
			program := reader{}.readable(c.Args[0])
			found[program] = true
			if shellHints[program] == "" {
				t.Errorf("%s: a hint names %s, and nothing says why that is harmless", path, program)
			}
			return true
		})
	}
	for program := range shellHints {
		if !found[program] {
			t.Errorf("no hint names %s any more", program)
		}
	}
}
