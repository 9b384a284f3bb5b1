package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
	"github.com/terradue/t2-cred/store"
)

var update = flag.Bool("update", false, "write the golden files anew; then read the difference")

// hostileTable has a line for each fault: its name, and the exit codes of an
// exchange and of a refresh that meet it. Every code was thought about once; a
// fault without a line is a failure.
const hostileTable = "testdata/hostile.txt"

// TestHostile meets every fault that the test issuer knows, at an exchange and
// at a refresh. Whatever it is: the exit code is the table's, it ends in time,
// nothing was lured elsewhere, no secret and no control character is in any
// output. A failed exchange changes nothing that is stored, and the grant goes on after
// a failed refresh.
func TestHostile(t *testing.T) {
	want := readHostileTable(t)
	got := map[string][2]int{}
	var mu sync.Mutex
	// Many faults are waited out, so many meet at once, whatever -parallel says.
	var all sync.WaitGroup
	places := make(chan struct{}, 12)
	for n, f := range oidctest.Faults() {
		if testing.Short() && n%5 != 0 {
			continue // -short is said with -race; make test meets all of them besides
		}
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			t.Run(f.Name, func(t *testing.T) {
				codes := [2]int{meetAtExchange(t, f), meetAtRefresh(t, f)}
				mu.Lock()
				got[f.Name] = codes
				mu.Unlock()
				if codes != want[f.Name] && !*update {
					t.Errorf("exchange and refresh end with %v, the table says %v (%s)", codes, want[f.Name], f.About)
				}
			})
		})
	}
	all.Wait()
	if *update {
		writeHostileTable(t, got)
		return
	}
	faults := oidctest.Faults()
	if len(faults) < 60 || len(want) != len(faults) {
		t.Errorf("the issuer knows %d faults, the table %d", len(faults), len(want))
	}
}

// meetAtExchange has nothing cached and nothing stored.
func meetAtExchange(t *testing.T, f oidctest.Fault) int {
	h := newHome(t)
	if f.Grant == "refresh_token" {
		return exitOK // strikes at refreshes only
	}
	h.forgetDocuments()
	h.issuer.Inject(f)
	h.shorten(f)
	token := h.userToken("alice")
	before := h.stored()
	code := h.run("exchange", "--token-file", token)
	if code != exitOK && !maps.Equal(before, h.stored()) {
		t.Errorf("the exchange failed with %d and changed what is stored", code)
	}
	h.check()
	return code
}

// meetAtRefresh has a good grant and an expired access token. Whatever the fault is, the
// grant goes on after it.
func meetAtRefresh(t *testing.T, f oidctest.Fault) int {
	h := newHome(t)
	if code := h.run("exchange", "--token-file", h.userToken("alice")); code != exitOK {
		t.Fatalf("a good exchange ends with %d: %s", code, h.stderr.String())
	}
	h.forgetDocuments()
	if f.Grant == "token-exchange" {
		return exitOK // strikes at exchanges only
	}
	h.advance(time.Hour)
	first, _ := h.issuer.Watch()
	h.issuer.Inject(f)
	h.shorten(f)
	before := h.stored()
	code := h.run("get")
	toOther := f.Name == "token-other-port" // discovery led the refresh token to a host that answers with one of its own
	if len(first.All()) == 0 && !toOther && code != exitOK && !maps.Equal(before, h.stored()) {
		t.Errorf("the refresh failed with %d before anything was sent, and changed what is stored", code)
	}
	h.check()
	h.issuer.Clear()
	if code == exitOK || code == exitLogin || toOther || f.Name == "duplicate-keys" { // that one brings a refresh token that is none
		return code
	}
	next, _ := h.issuer.Watch()
	h.shorten(oidctest.Fault{})
	if again := h.run("get"); again != exitOK {
		t.Errorf("after a failed refresh (%d) and the fault gone, get ends with %d: %s", code, again, h.stderr.String())
	}
	checkKept(t, f, code, first.All(), next.All())
	return code
}

// checkKept looks at which refresh token the next refresh sent. The new one that came
// with a refused access token is kept. One that came with another user's token is not.
func checkKept(t *testing.T, f oidctest.Fault, code int, first, next []oidctest.Spending) {
	t.Helper()
	if len(first) == 0 || len(next) == 0 {
		return
	}
	last := first[len(first)-1]
	kept := last.Given != "" && next[0].Token == last.Given
	switch {
	case !kept && next[0].Token != last.Token:
		t.Errorf("the next refresh sends neither the old nor the new refresh token")
	case f.Name == "sub-changed" && kept:
		t.Errorf("the refresh token beside another user's access token is adopted")
	case code == exitVerify && !kept && !slices.Contains(noNewToken(), f.Name):
		t.Errorf("the new refresh token beside a refused access token is not kept")
	}
}

// noNewToken names the faults whose answer has no usable refresh token, or names
// another user, and whose access token is refused.
func noNewToken() []string {
	return []string{
		"sub-changed", "payload-changed", "claims-dupe-sub", "claims-case-sub", "id-sub-other", "sub-number", "sub-object",
		"refresh-token-huge", "refresh-token-lf", "refresh-token-nul", "form-answer",
	}
}

// A home is one user's files, an issuer, and what was said.
type home struct {
	t      testing.TB
	dir    string
	env    map[string]string
	issuer *oidctest.Issuer
	ahead  time.Duration // of our clock and the issuer's
	// timeout and answerTime are those of the next commands.
	timeout, answerTime time.Duration
	stdout              bytes.Buffer // of the last command
	stderr              bytes.Buffer
	said                bytes.Buffer // standard error of all, and standard output of all but get
}

// longTimeout is enough for what ends by itself, on a busy machine too.
const longTimeout = time.Minute

// shorten lets commands wait less where a fault has to be waited out.
func (h *home) shorten(f oidctest.Fault) {
	h.timeout, h.answerTime = longTimeout, 0
	if slices.Contains([]string{"hang", "hang-after", "hang-in-body", "drip-forever"}, f.Name) {
		h.timeout, h.answerTime = 3*time.Second, 3*time.Second
	}
}

func newHome(t testing.TB) *home {
	t.Helper()
	h := newHomeWith(t)
	h.addProfile("openid email profile offline_access ellip gep", "--audience", oidctest.ClientID)
	return h
}

// addProfile adds the profile gep with these scopes.
func (h *home) addProfile(scopes string, further ...string) {
	h.t.Helper()
	args := append([]string{"profile", "add", "gep", "--issuer", h.issuer.URL(), "--client-id", oidctest.ClientID,
		"--scope", scopes, "--client-secret-file", filepath.Join(h.dir, "client.secret")}, further...)
	if code := h.run(args...); code != exitOK {
		h.t.Fatalf("profile add ends with %d: %s", code, h.stderr.String())
	}
}

// newHomeWith is a home without a profile.
func newHomeWith(t testing.TB, opts ...oidctest.Option) *home {
	t.Helper()
	h := &home{t: t, dir: t.TempDir(), issuer: oidctest.New(opts...), timeout: longTimeout}
	t.Cleanup(h.issuer.Close)
	h.env = map[string]string{"T2_CRED_STORE": "file", "HOME": h.dir, "APPDATA": h.dir, "LOCALAPPDATA": h.dir}
	for _, kind := range []string{"CONFIG", "STATE", "DATA", "CACHE"} {
		h.env["XDG_"+kind+"_HOME"] = filepath.Join(h.dir, kind)
	}
	data := filepath.Join(h.dir, "identity")
	identity, err := store.InitFile(context.Background(), store.Options{
		Backend: "file", Config: filepath.Join(data, "c"), StateDir: data, DataDir: data, RuntimeDir: data,
		Getenv: func(string) string { return "" }, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	h.env["T2_CRED_IDENTITY_FILE"] = identity
	secretFile := filepath.Join(h.dir, "client.secret")
	if err := os.WriteFile(secretFile, []byte(h.issuer.ClientSecret()), 0o600); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *home) advance(d time.Duration) {
	h.ahead += d
	h.issuer.Clock.Advance(d)
}

func (h *home) userToken(user string) string {
	file := filepath.Join(h.dir, user+".jwt")
	if err := os.WriteFile(file, []byte(h.issuer.UserToken(user)), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return file
}

// run runs one command in this process, with -v so that the search for secrets
// sees all that could be said.
func (h *home) run(args ...string) int {
	h.t.Helper()
	h.stdout.Reset()
	h.stderr.Reset()
	start := time.Now()
	code := Main(context.Background(), Env{
		Args: append([]string{"--timeout", h.timeout.String(), "-v"}, args...), AnswerTime: h.answerTime, Stdin: strings.NewReader(""), Stdout: &h.stdout, Stderr: &h.stderr,
		Getenv: func(name string) string { return h.env[name] }, Now: func() time.Time { return time.Now().Add(h.ahead) },
		Prompt: func(context.Context, string) (string, error) { return "", errors.New("nobody here") },
	})
	if took := time.Since(start); took > 2*h.timeout+5*time.Second {
		h.t.Errorf("%q took %s", args, took)
	}
	report := args[0] == "keepalive" || args[0] == "doctor" || args[0] == "docker" // of what is well, too; docker shows its helper's standard output
	if code != exitOK && h.stdout.Len() > 0 && !report {
		h.t.Errorf("%q failed with %d and wrote to standard output", args, code)
	}
	h.said.Write(h.stderr.Bytes())
	if args[0] != "get" {
		h.said.Write(h.stdout.Bytes())
	} else if code == exitOK {
		out := h.stdout.String()
		if strings.Count(out, "\n") != 1 || strings.ContainsFunc(strings.TrimSuffix(out, "\n"), func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			h.t.Errorf("%q printed %q", args, out)
		}
	}
	return code
}

// check looks for what must never be.
func (h *home) check() {
	h.t.Helper()
	// What the issuer's own discovery document names is no lure, wherever it is.
	if stolen := h.issuer.Stolen(); len(stolen) > 0 && !strings.HasSuffix(h.t.Name(), "-other-port") {
		h.t.Errorf("requests were lured elsewhere: %v", stolen)
	}
	said := h.said.String()
	for _, s := range h.issuer.Secrets() {
		if len(s) >= 8 && strings.Contains(said, s) {
			h.t.Errorf("a secret is in the output: %.12s… in\n%s", s, said)
		}
	}
	for _, r := range said {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			h.t.Errorf("%U is in the output:\n%q", r, said)
			break
		}
	}
	for _, leak := range searchForSecrets(h.dir, h.issuer.Secrets()) {
		if !strings.Contains(leak, "client.secret") {
			h.t.Error(leak)
		}
	}
}

// stored is every file that holds a grant, by its bytes.
func (h *home) stored() map[string]string {
	all := map[string]string{}
	_ = filepath.WalkDir(h.env["XDG_DATA_HOME"], func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(filepath.Base(path), "grant") {
			b, _ := os.ReadFile(path)
			all[path] = string(b)
		}
		return nil
	})
	return all
}

func (h *home) forgetDocuments() { _ = os.RemoveAll(h.env["XDG_CACHE_HOME"]) }

func readHostileTable(t *testing.T) map[string][2]int {
	t.Helper()
	want := map[string][2]int{}
	f, err := os.Open(hostileTable)
	if err != nil {
		if *update {
			return want
		}
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		a, err1 := strconv.Atoi(fields[1])
		b, err2 := strconv.Atoi(fields[2])
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		want[fields[0]] = [2]int{a, b}
	}
	return want
}

func writeHostileTable(t *testing.T, got map[string][2]int) {
	t.Helper()
	var b bytes.Buffer
	fmt.Fprintln(&b, "# What each fault of the issuer ends in: exit code of an exchange, of a refresh.")
	about := map[string]string{}
	for _, f := range oidctest.Faults() {
		about[f.Name] = f.About
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		fmt.Fprintf(&b, "%-28s %d %d   # %s\n", name, got[name][0], got[name][1], about[name])
	}
	if err := os.WriteFile(hostileTable, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
