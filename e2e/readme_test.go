package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/keyring"
	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// commandsPage has the commands, the exit codes, the configuration and the troubles.
const commandsPage = "docs/commands.md"

// What the documents have in place of this machine's own.
const (
	documentedIssuer = "https://iam.terradue.com/auth/realms/master"
	documentedAPI    = "https://api.terradue.com"
)

// notRun are the lines of sh blocks that are checked and not run.
var notRun = regexp.MustCompile(`(?m)^go install (\S+)@latest$`)

// TestReadme_blocksRun runs all that the README, and each page of docs, tells a
// reader to type, in its order, in one shell with -eu.
func TestReadme_blocksRun(t *testing.T) {
	top, err := parts.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(top, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append([]string{filepath.Join(top, "README.md")}, pages...) {
		name, err := filepath.Rel(top, page)
		if err != nil {
			t.Fatal(err)
		}
		if name == operations || name == "docs/fleet.md" { // TestFleetPage runs the latter
			continue // TestADES runs it, where it belongs
		}
		t.Run(name, func(t *testing.T) { runPage(t, name) })
	}
}

func runPage(t *testing.T, name string) {
	text := readTop(t, name)
	blocks := blocksOf(t, text)
	if !slices.ContainsFunc(blocks, func(b fencedBlock) bool { return b.language == "sh" }) {
		return // nothing to type
	}
	realm := server(t).Realm(t, keycloak.Legacy)
	api := newAPI(t, realm)
	here := strings.NewReplacer(documentedIssuer, realm.Issuer(), documentedAPI, api.URL,
		"--host "+strings.TrimPrefix(documentedAPI, "https://"), "--host "+strings.TrimPrefix(api.URL, "http://"))

	// A reader's directory, with the files that the reader was given.
	dir := t.TempDir()
	for file, content := range map[string]string{
		"user.jwt": realm.UserToken("alice"), "client-secret.txt": realm.ClientSecret(),
		"refresh-token.txt": exchange(t, realm, "bob").RefreshToken,
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script, wantStderr, shows := "", []string{}, 0
	for _, b := range blocks {
		mark := fmt.Sprintf("printf '%%s\\n' 'the block at line %d' >>blocks\n", b.line)
		switch {
		case b.language == "sh":
			for _, install := range notRun.FindAllStringSubmatch(b.text, -1) {
				wantModule(t, install[1])
			}
			script += mark + here.Replace(notRun.ReplaceAllString(b.text, "")) + "\n"
		case b.language == "python":
			if python := pythonWithRequests(t); python != "" {
				file := fmt.Sprintf("block-%d.py", b.line)
				if err := os.WriteFile(filepath.Join(dir, file), []byte(here.Replace(b.text)), 0o600); err != nil {
					t.Fatal(err)
				}
				script += mark + python + " " + file + "\n"
			}
		case b.language == "" && strings.HasPrefix(b.text, "$ "):
			for line := range strings.Lines(b.text) {
				if !strings.HasPrefix(line, "$ ") {
					wantStderr = append(wantStderr, line)
				}
			}
		}
		shows += strings.Count(b.text, documentedAPI)
	}

	home := program(t).NewHome(t).Set(keyring.Start(t).Bus())
	bin := t.TempDir()
	if err := os.Symlink(program(t).Path, filepath.Join(bin, "t2-cred")); err != nil {
		t.Fatal(err)
	}
	home.Set("PATH=" + bin + ":" + os.Getenv("PATH"))
	if err := os.WriteFile(filepath.Join(dir, "script"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("timeout", "120", "bash", "-eu", "script")
	var stdout, stderr strings.Builder
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = home.Env(), dir, &stdout, &stderr
	err := cmd.Run()
	shared.ledger.Output(name+", stdout", stdout.String(), true)
	shared.ledger.Output(name+", stderr", stderr.String(), false)
	if err != nil {
		reached, _ := os.ReadFile(filepath.Join(dir, "blocks"))
		t.Fatalf("%v; it came as far as\n%s\nstdout: %s\nstderr: %s", err, reached, stdout.String(), stderr.String())
	}
	for _, line := range wantStderr {
		if !strings.Contains(stderr.String(), line) {
			t.Errorf("%s shows the line %q; stderr was\n%s", name, line, stderr.String())
		}
	}
	good, bad := api.counts()
	if len(bad) > 0 {
		t.Errorf("the API refused %q", bad)
	}
	if good == 0 && shows > 0 {
		t.Errorf("%s asks the API, and nothing did", name)
	}
	t.Logf("%d requests to the API, each with a token of alice's", good)
}

// wantModule wants what is told to be installed to be this module.
func wantModule(t *testing.T, path string) {
	t.Helper()
	if line, _, _ := strings.Cut(readTop(t, "go.mod"), "\n"); line != "module "+path {
		t.Errorf("go install %s@latest, but go.mod says %s", path, line)
	}
	t.Logf("checked and not run: go install %s@latest", path)
}

// pythonWithRequests is a Python that has requests, or nothing.
func pythonWithRequests(t *testing.T) string {
	t.Helper()
	python, err := parts.Find("venv/bin/python3")
	if err == nil {
		return python
	}
	if python, err = exec.LookPath("python3"); err == nil && exec.Command(python, "-c", "import requests").Run() == nil {
		return python
	}
	if parts.Required() {
		t.Fatalf("no python3 with requests: run e2e/setup.sh bench")
	}
	t.Log("NOT CHECKED: the Python block: no python3 with requests; run e2e/setup.sh bench")
	return ""
}

// api is a server that answers alice alone.
type api struct {
	*httptest.Server
	mu   sync.Mutex
	good int
	bad  []string
}

func newAPI(t *testing.T, realm *keycloak.Realm) *api {
	t.Helper()
	a := &api{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := alices(r, realm)
		a.mu.Lock()
		defer a.mu.Unlock()
		if err != nil {
			a.bad = append(a.bad, fmt.Sprintf("%s %s: %v", r.Method, r.URL.Path, err))
			http.Error(w, "not alice", http.StatusUnauthorized)
			return
		}
		a.good++
		_, _ = fmt.Fprintln(w, "alice")
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *api) counts() (good int, bad []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.good, a.bad
}

// alices asks the issuer whose the request's token is.
func alices(r *http.Request, realm *keycloak.Realm) error {
	bearer := r.Header.Get("Authorization")
	token, ok := strings.CutPrefix(bearer, "Bearer ")
	if !ok {
		return fmt.Errorf("no bearer token in Authorization")
	}
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, realm.Issuer()+"/protocol/openid-connect/userinfo", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", bearer)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	switch {
	case res.StatusCode != http.StatusOK:
		return fmt.Errorf("the issuer does not know the token: %s", res.Status)
	case keycloak.Claims(token)["preferred_username"] != "alice" || keycloak.Claims(token)["azp"] != keycloak.ClientID:
		return fmt.Errorf("the token is not alice's for the application: %v", keycloak.Claims(token)["preferred_username"])
	}
	return nil
}

// TestReadme_configurationIsValid: the configuration that the page of commands shows is
// read without complaint.
func TestReadme_configurationIsValid(t *testing.T) {
	found := 0
	for _, b := range blocksOf(t, readTop(t, commandsPage)) {
		if b.language != "toml" {
			continue
		}
		found++
		path := filepath.Join(t.TempDir(), "config.toml")
		if err := os.WriteFile(path, []byte(b.text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := program(t).NewHome(t).Want(0, "profile", "show", "--json", "--config", path)
		readJSON(t, r.Stdout).want(t, object{"name": "gep", "issuer": documentedIssuer, "client_id": keycloak.ClientID, "default": true})
	}
	if found == 0 {
		t.Errorf("%s shows no configuration", commandsPage)
	}
}

// row is a table's row, cell by cell.
type row []string

// tableOf is the table of a document whose header starts with this cell.
func tableOf(t *testing.T, document, header string) (rows []row) {
	t.Helper()
	inside := false
	for line := range strings.Lines(document) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			inside = false
			continue
		}
		cells := strings.Split(strings.ReplaceAll(strings.Trim(line, "|"), `\|`, "\x00"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(strings.ReplaceAll(cells[i], "\x00", "|"))
		}
		switch {
		case cells[0] == header:
			inside = true
		case inside && !strings.HasPrefix(cells[0], "---"):
			rows = append(rows, cells)
		}
	}
	return rows
}

var quoted = regexp.MustCompile("`([^`]+)`")

// TestReadme_commandsAreThose: the commands and flags of the page of commands, and the
// hooks of the README, are the program's, and the other way round.
func TestReadme_commandsAreThose(t *testing.T) {
	said := readTop(t, "README.md") + "\n" + readTop(t, commandsPage)
	home := program(t).NewHome(t)
	commandsIn := func(args ...string) (names []string) {
		for part := range strings.SplitSeq(home.Want(0, args...).Stdout, "\n\n") {
			title, list, _ := strings.Cut(part, "\n")
			if !slices.Contains([]string{"Available Commands:", "Credentials:", "Hooks, which tools call:", "Set-up:", "Care:"}, title) {
				continue
			}
			for line := range strings.Lines(list) {
				names = append(names, strings.Fields(line)[0])
			}
		}
		if len(names) == 0 {
			t.Fatalf("%v lists no commands", args)
		}
		return names
	}
	commands := commandsIn("help")
	for _, group := range []string{"profile", "store"} {
		for _, sub := range commandsIn(group, "--help") {
			commands = append(commands, group+" "+sub)
		}
	}
	var documented []string
	for _, header := range []string{"command", "hook"} {
		for _, r := range tableOf(t, said, header) {
			group := ""
			for _, q := range quoted.FindAllStringSubmatch(r[0], -1) {
				words := strings.Fields(strings.TrimPrefix(q[1], "t2-cred "))
				switch {
				case strings.HasPrefix(words[0], "-"):
					continue // a flag of the row's commands
				case words[0] == "profile" || words[0] == "store":
					group = words[0] + " "
					documented = append(documented, words[0])
					words = words[1:]
				}
				name := group + words[0]
				documented = append(documented, name)
				if name == "logout" { // an alias of erase is on no list
					if out := home.Want(0, "logout", "--help").Stdout; !strings.Contains(out, "erase, logout") {
						t.Errorf("logout is no alias of erase: %q", out)
					}
					continue
				}
				if !slices.Contains(commands, name) {
					t.Errorf("the documents have the command %q, t2-cred has not", name)
					continue
				}
				help := home.Want(0, append(strings.Fields(name), "--help")...).Stdout
				for _, flag := range regexp.MustCompile(`--[a-z-]+`).FindAllString(r[0], -1) {
					if !regexp.MustCompile(`(?m)^ .*` + flag + `( |$)`).MatchString(help) {
						t.Errorf("the documents have %s of %q, t2-cred has not", flag, name)
					}
				}
			}
		}
	}
	for _, name := range commands {
		if !slices.Contains(documented, name) {
			t.Errorf("t2-cred has the command %q, the tables of commands and hooks have not", name)
		}
	}
	_, global, _ := strings.Cut(said, "Every command takes")
	global, _, _ = strings.Cut(global, ";")
	help := home.Want(0, "help").Stdout
	for _, q := range quoted.FindAllStringSubmatch(global, -1) {
		if !strings.Contains(help, q[1]) {
			t.Errorf("%s has the global flag %s, t2-cred has not", commandsPage, q[1])
		}
	}
}

// TestReadme_exitCodesAreThose compares the documented exit codes with the program's.
func TestReadme_exitCodesAreThose(t *testing.T) {
	var documented, coded []string
	for _, r := range tableOf(t, readTop(t, commandsPage), "exit code") {
		documented = append(documented, r[0])
	}
	for _, c := range regexp.MustCompile(`(?m)^\texit[A-Z]\w* += (\d+)`).FindAllStringSubmatch(readTop(t, "helper/cli/exit.go"), -1) {
		coded = append(coded, c[1])
	}
	if len(coded) < 5 || !slices.Equal(documented, coded) {
		t.Errorf("%s has the exit codes %q, exit.go has %q", commandsPage, documented, coded)
	}
}

// TestReadme_troubleshooting provokes each trouble that the page of commands knows, and
// wants it said in the page's words.
func TestReadme_troubleshooting(t *testing.T) {
	issuer := oidctest.New()
	secure := oidctest.New(oidctest.TLS())
	t.Cleanup(func() {
		for _, i := range []*oidctest.Issuer{issuer, secure} {
			tellLedger(i)
			i.Close()
		}
	})
	ring := keyring.Start(t)
	home := program(t).NewHome(t).Set(ring.Bus())
	add := func(name string, i *oidctest.Issuer) run.Cmd {
		return run.Cmd{
			Args:  []string{"profile", "add", name, "--issuer", i.URL(), "--client-id", oidctest.ClientID, "--client-secret-file", "-"},
			Stdin: i.ClientSecret(),
		}
	}
	home.WantDo(0, add("gep", issuer))
	exchange := func(opts ...oidctest.SubjectOption) run.Result {
		return home.Input(issuer.UserToken("alice", opts...), "exchange")
	}
	if r := exchange(); r.Code != 0 {
		t.Fatal(r)
	}
	provoke := map[string]func() (r run.Result, undo func()){
		"session bus": func() (run.Result, func()) {
			noBus(t, &stage{home, t, ring, nil})
			return home.Run("get", "--fresh"), func() { home.Set(ring.Bus()) }
		},
		"store is locked": func() (run.Result, func()) {
			ring.Lock()
			return home.Run("get", "--fresh"), func() {
				unlockAsAdvised(t, ring)
				if ring.Locked() {
					ring.Unlock()
				}
			}
		},
		"online refresh token": func() (run.Result, func()) {
			issuer.Set(oidctest.Exchange(oidctest.LegacyOnline))
			return exchange(), func() { issuer.Set(oidctest.Exchange(oidctest.LegacyOffline)) }
		},
		"missing from its audience": func() (run.Result, func()) { return exchange(oidctest.Audience()), nil },
		"Invalid client": func() (run.Result, func()) {
			old := issuer.ClientSecret()
			issuer.SetClientSecret("the-secret-that-came-after-it")
			return home.Run("get", "--fresh"), func() { issuer.SetClientSecret(old) }
		},
		"which is yet to come": func() (run.Result, func()) {
			issuer.Clock.Advance(10 * time.Minute)
			return home.Run("get", "--fresh"), func() { issuer.Clock.Advance(-10 * time.Minute) }
		},
		"signed by nobody known": func() (run.Result, func()) {
			r := home.Do(add("secure", secure))
			trusting := add("secure", secure)
			trusting.Env = []string{"T2_CRED_CA_FILE=" + secure.CAFile()}
			home.WantDo(0, trusting)
			return r, nil
		},
		"ended the grant": func() (run.Result, func()) {
			issuer.EndGrants("alice")
			return home.Run("get", "--fresh"), func() { exchange() }
		},
		"default_profile is": func() (run.Result, func()) {
			file := filepath.Join(t.TempDir(), "config.toml")
			if err := os.WriteFile(file, []byte("default_profile = \"gone\"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			return home.Run("get", "--config", file), nil
		},
		"HOME is not set": func() (run.Result, func()) {
			return home.Do(run.Cmd{Args: []string{"get"}, Env: []string{"HOME=", "XDG_CONFIG_HOME="}}), nil
		},
		"is no JWT":  func() (run.Result, func()) { return home.Input("mR4tY8kW2pLx6Qv9Zb3Nc7Hs1Df5Gj0a", "exchange"), nil },
		"it hangs":   nil,                                         // TestFaults shows that it does not
		"the engine": nil, "may have sent the refresh token": nil, // TestFleetTrouble has these
	}
	rows := tableOf(t, readTop(t, commandsPage), "it says")
	if len(rows) == 0 {
		t.Fatalf("%s knows no trouble", commandsPage)
	}
	for _, r := range rows {
		t.Run(strings.Trim(r[0], "`"), func(t *testing.T) {
			known := false
			for words, f := range provoke {
				if !strings.Contains(r[0], words) {
					continue
				}
				known = true
				if f == nil {
					continue
				}
				res, undo := f()
				if undo != nil {
					defer undo()
				}
				wantTrouble(t, res, r)
			}
			if !known {
				t.Errorf("this test does not know how to provoke %q", r[0])
			}
		})
	}
}

// wantTrouble wants a failure in the row's words.
func wantTrouble(t *testing.T, res run.Result, r row) {
	t.Helper()
	wantFailure(t, res, res.Code, "", "")
	if res.Code == 0 {
		t.Errorf("nothing failed: %s", res)
	}
	for _, q := range quoted.FindAllStringSubmatch(r[0], -1) {
		for words := range strings.SplitSeq(q[1], "…") {
			if !strings.Contains(res.Stderr, strings.TrimSpace(words)) {
				t.Errorf("%s quotes %q, t2-cred says %s", commandsPage, q[1], res)
			}
		}
	}
}

// unlockAsAdvised follows the page's advice for a locked keyring.
func unlockAsAdvised(t *testing.T, ring *keyring.Session) {
	t.Helper()
	const advice = "gnome-keyring-daemon --unlock"
	if !strings.Contains(readTop(t, commandsPage), advice) {
		return
	}
	cmd := exec.Command("timeout", append([]string{"10"}, strings.Fields(advice)...)...)
	cmd.Env = append(os.Environ(), ring.Env()...)
	cmd.Stdin = strings.NewReader("test")
	if out, err := cmd.CombinedOutput(); err != nil || ring.Locked() {
		t.Errorf("the page advises %q, after which the keyring is still locked: %v, %s", advice, err, out)
	}
}

// TestReadme_linksAndTargets: what the README names in this repository is there.
func TestReadme_linksAndTargets(t *testing.T) {
	readme := readTop(t, "README.md")
	top, err := parts.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	links := regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(readme, -1)
	for _, link := range links {
		if _, err := os.Stat(filepath.Join(top, link[1])); err != nil {
			t.Errorf("a dead link: %v", err)
		}
	}
	makefile := readTop(t, "Makefile")
	targets := regexp.MustCompile("(?m)(?:^|`)make ([a-z]+)").FindAllStringSubmatch(readme, -1)
	for _, target := range targets {
		if !strings.Contains(makefile, "\n"+target[1]+":") {
			t.Errorf("the README has make %s, the Makefile has not", target[1])
		}
	}
	if len(links) == 0 || len(targets) == 0 {
		t.Errorf("%d links and %d targets: this shows nothing", len(links), len(targets))
	}
}
