package e2e

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// A recipe is what we tell somebody to type by which a token comes out of t2-cred.
type recipe struct{ from, script string }

var (
	givesToken = regexp.MustCompile(`t2-cred (get|exec)\b|T2_CRED_ACCESS_TOKEN|\bcurl `)
	// byAsking marks the recipes that put the token into an environment, which is what
	// they are for. No recipe is for an argument.
	byAsking = regexp.MustCompile(`t2-cred exec\b|--format env\b`)
	anyHost  = regexp.MustCompile(`https://[a-z.]*\.(terradue\.com|example\.org)`)
)

// recipesOf are the lines of a script that handle a token, as one script.
func recipesOf(from, script string) (all []recipe) {
	var lines []string
	for line := range strings.Lines(strings.ReplaceAll(script, "\\\n", " ")) {
		if givesToken.MatchString(line) && !strings.HasPrefix(strings.TrimSpace(line), "#") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return []recipe{{from, strings.Join(lines, "\n") + "\n"}}
}

// allRecipes are those of the README, of each page of docs, of contrib, and of each
// command's help, which the manual pages are made of.
func allRecipes(t *testing.T) (all []recipe) {
	t.Helper()
	top, err := parts.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	pages := []string{"README.md"}
	err = filepath.WalkDir(filepath.Join(top, "docs"), func(path string, _ fs.DirEntry, err error) error {
		if rel, _ := filepath.Rel(top, path); strings.HasSuffix(path, ".md") {
			pages = append(pages, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		for _, b := range blocksOf(t, readTop(t, page)) {
			shown := b.language == "" && strings.HasPrefix(b.text, "$ ")
			if b.language == "sh" || shown {
				all = append(all, recipesOf(fmt.Sprintf("%s:%d", page, b.line), strings.ReplaceAll(b.text, "$ ", ""))...)
			}
		}
	}
	all = append(all, recipe{"contrib/ades/stage-out", "sh " + filepath.Join(top, "contrib/ades/stage-out") + " job-4711\n"})
	home := program(t).NewHome(t)
	for _, command := range helpCommands(t, home) {
		if _, example, ok := strings.Cut(home.Want(0, append(command, "--help")...).Stdout, "Examples:\n"); ok {
			example, _, _ = strings.Cut(example, "\n\n")
			all = append(all, recipesOf("t2-cred "+strings.Join(command, " ")+" --help", example)...)
		}
	}
	return all
}

// helpCommands are the commands that the help lists, and those below them.
func helpCommands(t *testing.T, home *run.Home, below ...string) (all [][]string) {
	t.Helper()
	help := home.Want(0, append(below, "--help")...).Stdout
	for _, m := range regexp.MustCompile(`(?m)^  ([a-z]+) {2,}\S`).FindAllStringSubmatch(help, -1) {
		command := append(append([]string{}, below...), m[1])
		if m[1] == "help" || len(below) > 1 {
			continue
		}
		all = append(all, command)
		if strings.Contains(home.Want(0, append(command, "--help")...).Stdout, "Commands:\n") {
			all = append(all, helpCommands(t, home, command...)...)
		}
	}
	return all
}

// A spiedAPI answers each request only when another user has read the command line of
// every process.
type spiedAPI struct {
	*httptest.Server
	t *testing.T

	mu     sync.Mutex
	tokens []string
	lines  string
}

func newSpiedAPI(t *testing.T) *spiedAPI {
	t.Helper()
	a := &spiedAPI{t: t}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		spy := exec.Command("sh", "-c", `cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n'`)
		if os.Geteuid() == 0 {
			spy.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65533, Gid: 65533}}
		}
		seen, _ := spy.Output() // a process may end while it is read
		a.mu.Lock()
		defer a.mu.Unlock()
		a.lines += string(seen)
		a.tokens = append(a.tokens, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		_, _ = fmt.Fprintln(w, "alice")
	}))
	t.Cleanup(a.Close)
	return a
}

// take gives what came since it was asked last.
func (a *spiedAPI) take() (tokens []string, lines string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	tokens, lines = a.tokens, a.lines
	a.tokens, a.lines = nil, ""
	return tokens, lines
}

// A kitchen has all that a recipe needs.
type kitchen struct {
	t      *testing.T
	home   *run.Home
	issuer *oidctest.Issuer
	api    *spiedAPI
	dir    string
}

func newKitchen(t *testing.T) *kitchen {
	t.Helper()
	k := &kitchen{t: t, issuer: oidctest.New(), api: newSpiedAPI(t), dir: t.TempDir()}
	t.Cleanup(func() {
		tellLedger(k.issuer)
		k.issuer.Close()
	})
	k.home = program(t).NewHome(t)
	k.home.InClear() // the recipes' own variables
	bin := filepath.Join(k.dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program(t).Path, filepath.Join(bin, "t2-cred")); err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{"python3", "twine"} { // they are told a token by their environment
		if err := os.WriteFile(filepath.Join(bin, tool), []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	k.home.Set("T2_CRED_STORE=file", "PATH="+bin+":"+os.Getenv("PATH"))
	k.home.Want(0, "store", "init")
	k.home.WantDo(0, run.Cmd{
		Args:  []string{"profile", "add", "gep", "--issuer", k.issuer.URL(), "--client-id", oidctest.ClientID, "--scope", "openid offline_access", "--host", strings.TrimPrefix(k.api.URL, "http://"), "--client-secret-file", "-"},
		Stdin: k.issuer.ClientSecret(),
	})
	for _, account := range []string{"default", "alice", "job-4711"} {
		k.home.WantDo(0, run.Cmd{Args: []string{"exchange", "--account", account}, Stdin: k.issuer.UserToken("alice")})
	}
	return k
}

// execve is a call as strace tells it. One by a thread that is not the first is told
// in two lines.
var execve = regexp.MustCompile(`execve\("[^"]*", \[(.*?)\], \[(.*)\](?:\) = 0| <unfinished| <pid changed)`)

// cook runs a recipe and gives the arguments and environments of all that it started,
// and what another user saw.
func (k *kitchen) cook(script string) (argv, env, seen string, tokens []string) {
	k.t.Helper()
	strace := needCommand(k.t, "strace", "strace")
	for _, file := range []string{"job-4711.tif", "job-4711.sent.tif"} {
		if err := os.WriteFile(filepath.Join(k.dir, file), []byte("results"), 0o600); err != nil {
			k.t.Fatal(err)
		}
	}
	here := anyHost.ReplaceAllString(script, k.api.URL)
	if stage, ok := strings.CutPrefix(script, "sh "); ok { // a file of ours
		path, args, _ := strings.Cut(strings.TrimSpace(stage), " ")
		k.write(filepath.Join(k.dir, "file"), anyHost.ReplaceAllString(readFile(k.t, path), k.api.URL))
		here = "sh file " + args + "\n"
	}
	k.write(filepath.Join(k.dir, "script"), here)
	out := filepath.Join(k.dir, "trace")
	cmd := exec.Command(strace, "-f", "-qq", "-v", "-s", "1000000", "-e", "trace=execve", "-o", out, "bash", "-eu", "script")
	cmd.Env, cmd.Dir = k.home.Env(), k.dir
	if printed, err := cmd.CombinedOutput(); err != nil {
		k.t.Fatalf("%v: %s\n%s", err, here, printed)
	}
	for _, call := range execve.FindAllStringSubmatch(readFile(k.t, out), -1) {
		argv += call[1] + "\n"
		env += call[2] + "\n"
	}
	tokens, seen = k.api.take()
	return argv, env, seen, tokens
}

func (k *kitchen) write(path, content string) {
	k.t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		k.t.Fatal(err)
	}
}

// secretIn gives a secret of the issuer's that a text holds.
func (k *kitchen) secretIn(text string) string {
	for _, secret := range k.issuer.Secrets() {
		if strings.Contains(text, secret) {
			return secret
		}
	}
	return ""
}

// TestRecipes_noTokenInArgv runs each recipe that we print, and looks at each command
// line and environment of it. At 3f78ee2 the README's `curl -H "$(t2-cred get …)"`
// showed the token to every user of the machine.
func TestRecipes_noTokenInArgv(t *testing.T) {
	k := newKitchen(t)
	// That the test sees what it looks for.
	argv, _, seen, _ := k.cook(`curl -sS -H "$(t2-cred get --format header)" https://api.example.org/` + "\n")
	if k.secretIn(argv) == "" || k.secretIn(seen) == "" {
		t.Fatalf("a token in argv is not seen: by the trace %v, by another user %v", k.secretIn(argv) != "", k.secretIn(seen) != "")
	}
	_, env, _, _ := k.cook("t2-cred exec -- true\n")
	if k.secretIn(env) == "" {
		t.Fatal("a token in an environment is not seen")
	}

	all, asked := allRecipes(t), 0
	for _, r := range all {
		t.Run(r.from, func(t *testing.T) {
			k.t = t
			argv, env, seen, tokens := k.cook(r.script)
			if !strings.Contains(argv, "t2-cred") {
				t.Errorf("t2-cred was not started by\n%s", r.script)
			}
			if k.secretIn(argv) != "" || k.secretIn(seen) != "" {
				t.Errorf("every user of the machine can read a secret:\n%s", r.script)
			}
			if k.secretIn(env) != "" && !byAsking.MatchString(r.script) {
				t.Errorf("a secret is in an environment:\n%s", r.script)
			}
			if strings.Contains(r.script, "curl") || strings.Contains(r.from, "stage-out") {
				asked++
				if len(tokens) == 0 || k.secretIn(tokens[0]) == "" {
					t.Errorf("the API got no token of %s", r.script)
				}
			}
		})
	}
	if len(all) < 8 || asked < 5 {
		t.Errorf("%d recipes, %d of them with curl: this shows nothing", len(all), asked)
	}
}

// inArgument finds a token as a word of a command: a command substitution, or the
// variable of exec, but not an assignment, eval, or the shell's own printf.
var inArgument = regexp.MustCompile(`(-[a-zA-Z-]+|curl|wget|https?)[ =]["']?[^"'|]*\$\(t2-cred (get|exec)\b|(-H|-u|-p|--header|--user|--password|--token|--oauth2-bearer)[ =]"?[^"|]*\$\{?T2_CRED_ACCESS_TOKEN`)

// TestRecipes_noneHasATokenAsAWord looks at all text that we ship, whatever it is for.
func TestRecipes_noneHasATokenAsAWord(t *testing.T) {
	if !inArgument.MatchString(`curl -H "$(t2-cred get --format header)" URL`) || !inArgument.MatchString(`curl --oauth2-bearer "$T2_CRED_ACCESS_TOKEN" URL`) ||
		inArgument.MatchString(`eval "$(t2-cred get --format env)"`) || inArgument.MatchString(`header=$(t2-cred get)`) {
		t.Fatal("the pattern does not tell a word from an assignment")
	}
	top, err := parts.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(top, path)
		switch {
		case err != nil:
			return err
		case e.IsDir() && (rel == ".git" || rel == "bin" || rel == "e2e"):
			return fs.SkipDir
		case !e.Type().IsRegular() || strings.HasSuffix(rel, "_test.go"):
			return nil
		}
		files++
		n := 0
		for line := range strings.Lines(readFile(t, path)) {
			if n++; inArgument.MatchString(line) && !strings.Contains(line, "never") {
				t.Errorf("%s:%d: a token is a word of a command: %s", rel, n, line)
			}
		}
		return nil
	})
	if err != nil || files < 100 {
		t.Errorf("%d files, %v: this shows nothing", files, err)
	}
}
