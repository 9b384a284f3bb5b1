package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// wrongSecret is long, so that the search of output finds it.
const wrongSecret = "vK7qZ2mWx9RbT4nYc8LdPj3sHf6uEg1a"

// A person answers the questions of init in their order.
type person struct {
	t       testing.TB
	answers []string // answers[0] is next; "^D" and "^C" end
	asked   []string
	cancel  context.CancelFunc
}

func (p *person) answer(_ context.Context, label string) (string, error) {
	p.asked = append(p.asked, label)
	if len(p.answers) == 0 {
		p.t.Errorf("one question more: %s", label)
		return "", io.EOF
	}
	next := p.answers[0]
	p.answers = p.answers[1:]
	switch next {
	case "^D":
		return "", io.EOF
	case "^C":
		p.cancel()
		return "", context.Canceled
	}
	return next, nil
}

// emptyHome is a home without a profile and without a keyring.
func emptyHome(t *testing.T) *home {
	t.Helper()
	h := newHome(t)
	dir := t.TempDir()
	h.dir = dir
	h.env = map[string]string{"HOME": dir, "APPDATA": dir, "LOCALAPPDATA": dir, "DBUS_SESSION_BUS_ADDRESS": "unix:path=" + filepath.Join(dir, "no-bus")}
	for _, kind := range []string{"CONFIG", "STATE", "DATA", "CACHE"} {
		h.env["XDG_"+kind+"_HOME"] = filepath.Join(dir, kind)
	}
	return h
}

func (h *home) guided(p *person, args ...string) int {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	defer cancel()
	p.t, p.cancel = h.t, cancel
	h.stdout.Reset()
	h.stderr.Reset()
	code := Main(ctx, Env{
		Args: append([]string{"init"}, args...), Stdin: strings.NewReader(""), Stdout: &h.stdout, Stderr: &h.stderr,
		Getenv: func(name string) string { return h.env[name] }, Now: time.Now, StdinTerminal: true, Prompt: p.answer, Ask: p.answer,
	})
	if len(p.answers) > 0 {
		h.t.Errorf("not asked for: %q", p.answers)
	}
	return code
}

// leftovers are the files below the home that hold or name anything of a profile.
func (h *home) leftovers() (files []string) {
	_ = filepath.WalkDir(h.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.Contains(path, "/CACHE/") && !strings.HasSuffix(path, "/identity") &&
			!strings.Contains(path, "/locks/") && !strings.HasSuffix(path, ".lock") {
			files = append(files, path)
		}
		return nil
	})
	return files
}

// TestInit_walksThroughMistakes has a person make one mistake at each question.
func TestInit_walksThroughMistakes(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the keyring of this system cannot be made to be missing")
	}
	h := emptyHome(t)
	p := &person{answers: []string{
		"no name", "gep",
		"http://127.0.0.1:1", h.issuer.URL(),
		oidctest.ClientID, "bassic", oidctest.ClientID, "", wrongSecret, "", "", h.issuer.ClientSecret(),
		"openid offline_access ellip", oidctest.ClientID + ",other", oidctest.ClientID,
		"https://a/b/c", "api.example.org *.ellip.example:8443",
		"", "", // the keyring, which is not there; then the file store
		"exchange", h.issuer.UserToken("alice", oidctest.Expired()), "exchange", h.issuer.UserToken("alice"),
	}}
	if code := h.guided(p); code != exitOK {
		t.Fatalf("init ends with %d: %s\nasked: %s", code, h.stderr.String(), strings.Join(p.asked, "\n"))
	}
	said := h.stderr.String()
	for _, want := range []string{
		"is not a name", "did you mean basic?", "the id or the secret is wrong", "hint: ", "ok: discovered " + h.issuer.URL(), "ok: the file store keeps secrets in",
		"saved profile gep", "kept an offline token for alice",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	if n := strings.Count(said, "That does not work: "); n != 8 {
		t.Errorf("%d answers were refused, not 8:\n%s", n, said)
	}
	for _, command := range []string{"t2-cred get --profile gep", "t2-cred setup git --profile gep", "t2-cred doctor --profile gep"} {
		if !strings.Contains(h.stdout.String(), command+" ") {
			t.Errorf("it does not print %q:\n%s", command, h.stdout.String())
		}
	}
	if strings.Contains(said+h.stdout.String(), wrongSecret) {
		t.Error("it shows a secret")
	}
	if code := h.run("get"); code != exitOK {
		t.Errorf("get ends with %d: %s", code, h.stderr.String())
	}
	if code := h.run("profile", "show", "gep", "--json"); code != exitOK || !strings.Contains(h.stdout.String(), "*.ellip.example:8443") || !strings.Contains(h.stdout.String(), `"ellip"`) || !strings.Contains(h.stdout.String(), `"audience": [
    "`+oidctest.ClientID) {
		t.Errorf("profile show: %d, %s", code, h.stdout.String())
	}
}

// TestInit_leavesNothing ends init at each of its questions, by Ctrl-D and by Ctrl-C.
func TestInit_leavesNothing(t *testing.T) {
	for _, end := range []string{"^D", "^C"} {
		for at := range 9 {
			h := emptyHome(t)
			h.env["T2_CRED_STORE"] = ""
			answers := []string{"gep", h.issuer.URL(), oidctest.ClientID, "basic", h.issuer.ClientSecret(), "", "", "", "file"}
			p := &person{answers: append(answers[:at:at], end)}
			want := map[string]int{"^D": exitUsage, "^C": exitInterrupted}[end]
			if code := h.guided(p); code != want {
				t.Errorf("%s at question %d: %d, not %d: %s", end, at, code, want, h.stderr.String())
			}
			if files := h.leftovers(); len(files) > 0 {
				t.Errorf("%s at question %d leaves %q", end, at, files)
			}
			if h.stdout.Len() > 0 {
				t.Errorf("%s at question %d: %q on standard output", end, at, h.stdout.String())
			}
		}
	}
}

// TestInit_deletesTheSecret has the last step fail, after the secret was stored.
func TestInit_deletesTheSecret(t *testing.T) {
	h := emptyHome(t)
	p := &person{t: t, answers: []string{"gep", h.issuer.URL(), oidctest.ClientID, "", h.issuer.ClientSecret(), "", "", ""}}
	dir := filepath.Join(h.env["XDG_CONFIG_HOME"], "t2-cred", "profiles.d")
	var out, said strings.Builder
	code := Main(t.Context(), Env{
		Args: []string{"init"}, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &said,
		Getenv: func(name string) string { return h.env[name] }, Now: time.Now, StdinTerminal: true, Prompt: p.answer,
		Ask: func(ctx context.Context, label string) (string, error) {
			if !strings.HasPrefix(label, "Where to keep secrets") {
				return p.answer(ctx, label)
			}
			// A directory takes the place of the file that is to be written.
			return "file", os.MkdirAll(filepath.Join(dir, "settings.toml", "x"), 0o700)
		},
	})
	if code != exitConfig {
		t.Errorf("init ends with %d: %s", code, said.String())
	}
	if files := h.leftovers(); slices.ContainsFunc(files, func(f string) bool { return strings.Contains(f, "client,gep") }) {
		t.Errorf("it leaves %q", files)
	}
}

// TestInit_unattended names the flags that do the same.
func TestInit_unattended(t *testing.T) {
	h := emptyHome(t)
	for _, args := range [][]string{{"init"}, {"init", "--json"}} {
		code := h.run(args...)
		if said := h.stderr.String(); code != exitUsage || !strings.Contains(said, "t2-cred profile add NAME --issuer URL --client-id ID") {
			t.Errorf("%q: %d, %s", args, code, said)
		}
	}
}

// TestReadHidden edits the line as a terminal in line mode does.
func TestReadHidden(t *testing.T) {
	long := strings.Repeat("x", 9000)
	for typed, want := range map[string]string{
		"one\ntwo\n": "one", "one\r": "one", "\n": "", "wrong\x15right\n": "right", "\x7f\bab\x7fc\bd\n": "ad",
		"ä\x7fo\n": "o", long + "\n": long,
	} {
		if got, err := readHidden(strings.NewReader(typed)); got != want || err != nil {
			t.Errorf("%.20q: %.20q, %v", typed, got, err)
		}
	}
	for _, typed := range []string{"\x04", "half\x04rest\n", "", "half"} {
		if got, err := readHidden(strings.NewReader(typed)); got != "" || !errors.Is(err, io.EOF) {
			t.Errorf("%q: %q, %v", typed, got, err)
		}
	}
	if got, err := readHidden(strings.NewReader(strings.Repeat("x", 1<<20))); err == nil || got != "" {
		t.Error("it takes a line without an end")
	}
	if got, err := readLine(strings.NewReader("\x04x\n")); !errors.Is(err, io.EOF) || got != "" {
		t.Errorf("Ctrl-D that was typed ahead: %q, %v", got, err)
	}
}

// TestReadLine reads one line and leaves the next.
func TestReadLine(t *testing.T) {
	in := strings.NewReader("one\r\n\ntwo\nrest")
	for _, want := range []string{"one\r", "", "two"} {
		if got, err := readLine(in); got != want || err != nil {
			t.Errorf("%q, %v, not %q", got, err, want)
		}
	}
	if got, err := readLine(in); !errors.Is(err, io.EOF) || got != "" {
		t.Errorf("a line that is cut off: %q, %v", got, err)
	}
	if _, err := readLine(strings.NewReader(strings.Repeat("x", 1<<20))); err == nil {
		t.Error("it takes a line without an end")
	}
}

// TestInit_wrongPlace types secrets at questions whose answers are shown. No message and no
// preset shows them again.
func TestInit_wrongPlace(t *testing.T) {
	h := emptyHome(t)
	h.env["T2_CRED_STORE"] = "file"
	token := h.issuer.UserToken("alice")
	p := &person{answers: []string{
		"gep", h.issuer.URL(),
		"", `"` + wrongSecret + `"`, wrongSecret, "", "client_secret=" + wrongSecret, "secret", `'` + wrongSecret + `'`,
		oidctest.ClientID, "secret", h.issuer.ClientSecret(),
		"openid,offline_access", "openid offline_access", "none", "https://api.example.org/v1", "api.example.org",
		"Bearer " + token, "exchange", token,
	}}
	if code := h.guided(p); code != exitOK {
		t.Fatalf("init ends with %d: %s\nasked: %s", code, h.stderr.String(), strings.Join(p.asked, "\n"))
	}
	said := h.stderr.String() + h.stdout.String() + strings.Join(p.asked, "\n")
	for _, hidden := range []string{wrongSecret, token} {
		if strings.Contains(said, hidden) || strings.Contains(said, hidden[:20]) {
			t.Errorf("it shows %.8s… again:\n%s", hidden, said)
		}
	}
	for _, want := range []string{
		"there is no usual client", "The client's id [as typed before]", "spaces separate scopes",
		"would never match: it must be a host without a path; did you mean api.example.org?", "saved profile gep", "kept an offline token for alice",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
}

// TestInit_refusedExchange names the command that changes the profile, which is saved by
// then. The next answer ends the questions.
func TestInit_refusedExchange(t *testing.T) {
	h := emptyHome(t)
	h.env["T2_CRED_STORE"] = "file"
	p := &person{answers: []string{
		"gep", h.issuer.URL(), oidctest.ClientID, "", h.issuer.ClientSecret(), "", "no-such-client", "",
		"exchange", h.issuer.UserToken("alice"), "later",
	}}
	code := h.guided(p)
	if said := h.stderr.String(); code != exitOK || !strings.Contains(said, "; to change the profile, answer later, and then: t2-cred profile edit gep") {
		t.Errorf("init ends with %d: %s\nasked: %s", code, said, strings.Join(p.asked, "\n"))
	}
}

// TestInit_narrow puts each command on a line of its own where the terminal is narrow.
func TestInit_narrow(t *testing.T) {
	g := &guide{app: &app{Env: Env{Width: func() int { return 40 }}}, name: "gep", got: true}
	text := g.commandsToUse()
	for line := range strings.Lines(text) {
		if len(line) > 41 {
			t.Errorf("%d columns: %q", len(line)-1, line)
		}
	}
	if !strings.Contains(text, "\n  print a fresh access token:\n    t2-cred get --profile gep\n") {
		t.Errorf("%q", text)
	}
}
