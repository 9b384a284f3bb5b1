package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
)

const operations = "docs/operations.md"

// results is where jobs send what they made. It takes it from alice alone.
type results struct {
	*httptest.Server
	mu   sync.Mutex
	sent map[string]string // path → content
	bad  []string
}

func newResults(t *testing.T, realm *keycloak.Realm) *results {
	t.Helper()
	r := &results{sent: map[string]string{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		err := alices(req, realm)
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		if err != nil || req.Method != http.MethodPut {
			r.bad = append(r.bad, fmt.Sprintf("%s %s: %v", req.Method, req.URL.Path, err))
			http.Error(w, "not alice", http.StatusUnauthorized)
			return
		}
		r.sent[req.URL.Path] = string(body)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *results) wantSent(t *testing.T, job, content string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	path := "/results/" + job + ".tif"
	if got := r.sent[path]; got != content || len(r.bad) > 0 {
		t.Errorf("%s has %q, want %q; refused: %q", path, got, content, r.bad)
	}
	delete(r.sent, path)
}

// ades is the story of docs/operations.md, on a job host and with a Keycloak.
type ades struct {
	*jobHost
	realm   *keycloak.Realm
	results *results
	say     *strings.Replacer
	blocks  map[string]string // of the page, by the words that they begin with
	env     []string
}

func newAdes(t *testing.T, lifespan time.Duration) *ades {
	t.Helper()
	realm := server(t).NewRealm(t, keycloak.Legacy)
	realm.SetAccessTokenLifespan(lifespan)
	a := &ades{jobHost: newJobHost(t), realm: realm, results: newResults(t, realm), blocks: map[string]string{}}
	a.say = strings.NewReplacer(documentedIssuer, realm.Issuer(), documentedAPI, a.results.URL, "/etc/t2-cred", a.work+"/etc")
	for _, b := range blocksOf(t, readTop(t, operations)) {
		if b.language == "sh" {
			words, _, _ := strings.Cut(b.text, "\n")
			a.blocks[strings.TrimSpace(words)] = a.say.Replace(b.text)
		}
	}
	a.write("client-secret.txt", realm.ClientSecret()+"\n")
	a.write("etc/.keep", "")
	a.env = []string{"T2_CRED_IDENTITY_FILE=" + a.work + "/etc/identity"}
	return a
}

// block runs the one block of the page that begins with these words.
func (a *ades) block(words string) said {
	a.t.Helper()
	for first, text := range a.blocks {
		if strings.HasPrefix(first, words) {
			delete(a.blocks, first)
			return a.wantSh(0, text, a.env...)
		}
	}
	a.t.Fatalf("%s has no block that begins with %q", operations, words)
	return said{}
}

// t2 wants a command of t2-cred to end with a code.
func (a *ades) t2(code int, args ...string) said {
	a.t.Helper()
	return a.wantSh(code, "t2-cred "+strings.Join(args, " "), a.env...)
}

// userToken is a token that came with a request; it is left nowhere.
func (a *ades) userToken() string {
	a.t.Helper()
	return a.realm.UserToken("alice")
}

// TestADES is a job's whole life as docs/operations.md has it, in its own words: on the
// file store, without a bus, as a user without rights, in a read-only root, with keyctl
// denied. The user logs out and all tokens end before the results are sent.
func TestADES(t *testing.T) {
	const lifespan = 6 * time.Second
	a := newAdes(t, lifespan)
	a.wantMean()

	a.block("T2_CRED_IDENTITY_FILE=/etc/t2-cred/identity t2-cred")
	if got := a.block("export T2_CRED_IDENTITY_FILE"); !strings.Contains(got.stdout, "file (") || !strings.Contains(got.stdout, "ready") {
		t.Errorf("store status: %s", got)
	}
	user := a.userToken()
	a.write("user.jwt", user+"\n")
	if got := a.block("t2-cred exchange --account job-4711"); !strings.Contains(got.stderr, "kept an offline token for alice as gep/job-4711 in the file store") {
		t.Errorf("exchange: %s", got)
	}
	if err := os.Remove(filepath.Join(a.work, "user.jwt")); err != nil {
		t.Fatal(err)
	}
	a.pythonStarts("job-4712")

	// Alice goes home, and the job takes its time.
	a.realm.Logout("alice")
	time.Sleep(lifespan + time.Second)
	req, _ := http.NewRequest(http.MethodPut, a.results.URL, nil)
	req.Header.Set("Authorization", "Bearer "+user)
	if err := alices(req, a.realm); err == nil {
		t.Fatal("the user's own token still serves: this shows nothing")
	}

	a.write("job-4711.tif", "results of 4711")
	a.block("header=")
	a.results.wantSent(t, "job-4711", "results of 4711")
	a.pythonSends("job-4712")
	a.unitSends("job-4711")

	a.watched()
	a.secretsChange()

	a.block("t2-cred erase --account job-4711")
	a.t2(4, "get", "--account", "job-4711")
	a.pythonEnds("job-4712")
	if got := a.t2(0, "list", "--json"); strings.TrimSpace(got.stdout) != "[]" {
		t.Errorf("left behind: %s", got)
	}
	for words := range a.blocks {
		t.Errorf("%s: the block that begins with %q was not run", operations, words)
	}
	// profile add, doctor and set-secret each prove the client with a refresh token that
	// is none. Others were refused for the old client secret.
	var refused []string
	for _, e := range a.realm.Events("REFRESH_TOKEN_ERROR") {
		if !strings.HasPrefix(e.Error, "invalid_client") {
			refused = append(refused, e.Error)
		}
	}
	if len(refused) != 3 {
		t.Errorf("the server refused refreshes: %q", refused)
	}
}

// pythonStarts, pythonSends and pythonEnds are a job in Python.
func (a *ades) pythonStarts(job string) {
	a.t.Helper()
	a.pythonModule()
	a.write("ades.py", a.say.Replace(snippets(a.t, "operations.md", "python")[0]))
	a.runPython(a.userToken(), "import ades, sys; ades.job_starts(%q, sys.stdin.read())", job)
}

func (a *ades) pythonSends(job string) {
	a.t.Helper()
	a.write(job+".tif", "results from Python")
	a.runPython("", "import ades; ades.stage_out(%[1]q, %[1]q + '.tif')", job)
	if a.python != "" {
		a.results.wantSent(a.t, job, "results from Python")
	}
}

func (a *ades) pythonEnds(job string) {
	a.t.Helper()
	a.runPython("", "import ades; ades.job_ends(%q)", job)
	// The code that a program goes by.
	a.runPython("", `import ades, t2cred
try:
    ades.stage_out(%[1]q, %[1]q + ".tif")
except t2cred.Error as error:
    assert error.exit == 4, error
else:
    raise SystemExit("it sent something")`, job)
}

// pythonModule puts the module beside the job's script.
func (a *ades) pythonModule() {
	a.t.Helper()
	files, err := filepath.Glob(filepath.Join(pythonSource(a.t), "t2cred", "*.py"))
	if err != nil || len(files) == 0 {
		a.t.Fatalf("the module has files %q, %v", files, err)
	}
	for _, path := range files {
		a.write("t2cred/"+filepath.Base(path), readFile(a.t, path))
	}
}

func (a *ades) runPython(stdin, code string, job string) {
	a.t.Helper()
	if a.python == "" {
		return // pythonWithRequests has said so, or failed
	}
	if got := a.run(append(a.env, "PYTHONDONTWRITEBYTECODE=1"), stdin, a.python, "-c", fmt.Sprintf(code, job)); got.code != 0 {
		a.t.Fatalf("python: %s", got)
	}
}

// unitSends runs what the systemd unit runs, with the identity as systemd gives it.
func (a *ades) unitSends(job string) {
	a.t.Helper()
	unit := readTop(a.t, "contrib/systemd/ades-stage-out@.service")
	start := regexp.MustCompile(`(?m)^ExecStart=/usr/local/lib/ades/(\S+) %i$`).FindStringSubmatch(unit)
	if start == nil || !regexp.MustCompile(`(?m)^LoadCredential=t2-cred-identity:`).MatchString(unit) {
		a.t.Fatal("the unit is not as this test knows it")
	}
	script := a.write(start[1], a.say.Replace(readTop(a.t, "contrib/ades/"+start[1])))
	identity, err := os.ReadFile(filepath.Join(a.work, "etc/identity"))
	if err != nil {
		a.t.Fatal(err)
	}
	credential := a.write("credentials/t2-cred-identity", string(identity))
	if err := os.Chmod(credential, 0o440); err != nil { // how systemd's ACL shows
		a.t.Fatal(err)
	}
	a.write(job+".tif", "more of it")
	command := fmt.Sprintf("%s %s; %[1]s %[2]s; ls", script, job) // the timer comes again
	got := a.wantSh(0, command, "CREDENTIALS_DIRECTORY="+filepath.Dir(credential))
	a.results.wantSent(a.t, job, "more of it")
	if !strings.Contains(got.stdout, job+".sent.tif\n") {
		a.t.Errorf("it would be sent again: %s", got)
	}
}

// watched shows what an operator sees.
func (a *ades) watched() {
	a.t.Helper()
	got := a.block("t2-cred status --account job-4711 --json")
	var one object
	var all []object
	said := json.NewDecoder(strings.NewReader(got.stdout))
	if err := errors.Join(said.Decode(&one), said.Decode(&all)); err != nil || len(all) == 0 {
		a.t.Errorf("status and list: %v in %s", err, got)
	}
	one.want(a.t, object{"state": "ok", "kind": "offline", "username": "alice", "account": "job-4711", "store": "file"})
	if got := a.t2(4, "get", "--account", "job-4710", "--json"); !strings.Contains(got.stderr, `"exit":4`) || got.stdout != "" {
		a.t.Errorf("for a program: %s", got)
	}
}

// secretsChange rotates the client's secret and the identity.
func (a *ades) secretsChange() {
	a.t.Helper()
	changed := func() {
		a.write("client-secret.txt", a.realm.ChangeClientSecret()+"\n")
		a.t2(8, "get", "--account", "job-4711", "--fresh")
	}
	changed()
	setSecret := ""
	for first, text := range a.blocks {
		if strings.HasPrefix(first, "t2-cred profile set-secret") {
			setSecret = text
		}
	}
	a.block("t2-cred profile set-secret")
	a.t2(0, "get", "--account", "job-4711", "--fresh")

	a.block("T2_CRED_IDENTITY_FILE=/etc/t2-cred/identity.new")
	a.t2(0, "get", "--account", "job-4711", "--fresh", ">/dev/null")
	a.t2(0, "store", "init")
	// The new line alone reads what has changed since, and no more.
	both, err := os.ReadFile(filepath.Join(a.work, "etc/identity"))
	if err != nil {
		a.t.Fatal(err)
	}
	keys := regexp.MustCompile(`AGE-SECRET-KEY-\S+`).FindAllString(string(both), -1)
	if len(keys) != 2 || keys[0] == keys[1] {
		a.t.Fatalf("the identity has %d lines", len(keys))
	}
	a.write("etc/identity", keys[0])
	a.own(a.work)
	if err := os.Chmod(filepath.Join(a.work, "etc/identity"), 0o600); err != nil {
		a.t.Fatal(err)
	}
	a.t2(0, "status", "--account", "job-4711")
	if got := a.t2(5, "get", "--account", "job-4711", "--fresh"); !strings.Contains(got.stderr, "another identity") {
		a.t.Errorf("the client's secret was not written anew: %s", got)
	}
	a.write("etc/identity", string(both))
	if err := os.Chmod(filepath.Join(a.work, "etc/identity"), 0o600); err != nil {
		a.t.Fatal(err)
	}
	changed()
	a.wantSh(0, setSecret, a.env...)
	if a.python != "" {
		a.t2(0, "get", "--account", "job-4712", "--fresh")
	}
}
