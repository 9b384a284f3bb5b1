package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/secret"
)

// toolGetter is a profile for hosts with a token, token-1, which is token-2 when
// that was rejected. What it was asked is in log.
type toolGetter struct {
	hosts    []string
	fails    error // what Get ends with
	noExpiry bool
	rejected int
	log      []string
}

var toolExpiry = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func (g *toolGetter) Serves(_ context.Context, r helper.Request) error { return g.ask("serves", r) }

// ask notes what was asked for.
func (g *toolGetter) ask(verb string, r helper.Request) error {
	where := "anywhere"
	if r.URL != nil {
		where = r.URL.String()
	}
	line := verb + " " + where
	for _, of := range [][2]string{{"profile", r.Profile.Name}, {"account", r.Account}} {
		if of[1] != "" {
			line += " " + of[0] + "=" + of[1]
		}
	}
	switch {
	case r.MinValid != nil:
		line += " min-valid=" + r.MinValid.String()
	case r.Prefer != 0 && verb == "get":
		line += " prefer=" + r.Prefer.String()
	}
	g.log = append(g.log, line)
	if r.URL != nil && !(helper.Profile{Hosts: g.hosts}).Serves(r.URL) {
		return fmt.Errorf("%w: %s", helper.ErrNotMine, where)
	}
	return nil
}

func (g *toolGetter) token() string { return fmt.Sprintf("token-%d", g.rejected+1) }

func (g *toolGetter) Get(_ context.Context, r helper.Request) (helper.Credential, error) {
	if err := errors.Join(g.ask("get", r), g.fails); err != nil {
		return helper.Credential{}, err
	}
	c := helper.Credential{Token: secret.Secret(g.token()), Type: "Bearer", Expiry: toolExpiry}
	if g.noExpiry {
		c.Expiry = time.Time{}
	}
	return c, nil
}

func (g *toolGetter) Reject(_ context.Context, r helper.Request, token string) error {
	if err := g.ask("reject "+token, r); err != nil {
		return err
	}
	if token == g.token() {
		g.rejected++
	}
	return nil
}

// runTool runs a protocol once.
func runTool(p Protocol, g *toolGetter, args []string, option map[string]string, stdin string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	all := map[string]string{}
	for _, o := range p.Options {
		all[o.Name] = o.Default
	}
	for name, value := range option {
		if _, known := all[name]; !known {
			panic(name + " is not an option of " + p.Name)
		}
		all[name] = value
	}
	err = p.Serve(context.Background(), &Call{
		Args: args, Option: all, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs,
		Getenv: func(string) string { return "" }, Now: func() time.Time { return toolExpiry.Add(-time.Hour) }, Getter: g,
		Hosts: func() ([]string, error) {
			return slices.DeleteFunc(slices.Clone(g.hosts), func(h string) bool { return strings.HasPrefix(h, "*.") }), nil
		},
		Version: "v1.2.3",
	})
	return out.String(), errs.String(), err
}

// toolTranscripts plays the transcripts of testdata/NAME, each with what the tool
// does (args, option, stdin: one word or NAME=VALUE a line) and what comes of it
// (stdout, stderr, error, asked), to the byte.
func toolTranscripts(t *testing.T, p Protocol) {
	t.Helper()
	eachTranscript(t, p.Name, func(t *testing.T, part map[string]string) {
		if text, ok := part["stdout without line end"]; ok {
			part["stdout"] = strings.TrimSuffix(text, "\n")
		}
		option := map[string]string{}
		for line := range strings.Lines(part["option"]) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			option[name] = value
		}
		g := &toolGetter{hosts: []string{"tool.example.org", "tool.example.org:8443", "*.wild.example.org"}}
		if kind := strings.TrimSpace(part["fails"]); kind != "" {
			g.fails = toolFailures[kind]
		}
		stdout, stderr, err := runTool(p, g, strings.Fields(part["args"]), option, part["stdin"])
		failed := ""
		if err != nil {
			failed = err.Error() + "\n"
		}
		for name, got := range map[string]string{
			"stdout": stdout, "stderr": stderr, "error": failed, "asked": strings.Join(append(g.log, ""), "\n"),
		} {
			if got != part[name] {
				t.Errorf("%s is\n%s, not\n%s", name, got, part[name])
			}
		}
	})
}

// The table of docs/hooks.md is held against these folders.
func TestEveryProtocolHasTranscripts(t *testing.T) {
	for _, p := range Protocols {
		if files, err := filepath.Glob(filepath.Join("testdata", p.Name, "*.txtar")); err != nil || len(files) < 3 {
			t.Errorf("%s has %d transcripts, %v", p.Name, len(files), err)
		}
	}
}

var toolFailures = map[string]error{
	"login":  &helper.Problem{Kind: helper.ErrLoginRequired, Detail: "nothing is stored for gep/default", Remedy: "t2-cred exchange --profile gep --token-file FILE"},
	"issuer": errors.New("refresh: the issuer did not answer"),
}

// lookalikes are hosts that are not tool.example.org, whatever they look like,
// nor one of *.wild.example.org.
var lookalikes = []string{
	"", ".", "example.org", "eviltool.example.org", "tool.example.org.evil.org", "tool.example.orgevil", "tool.example.org.", "a.tool.example.org",
	"tool.example.org@evil.org", "user@tool.example.org", "user:password@tool.example.org", "evil.org#tool.example.org", "evil.org?tool.example.org",
	"evil.org/tool.example.org", "evil.org\\tool.example.org", "tool.example.org:444", "tool.example.org:80", "tool.example.org:08443", "tool.example.org:-443",
	"tool.example.org:443:443", "[tool.example.org]", "tool%2eexample.org", "tool.example.org%00", "tool.example.org\x00", "tool.example.org\r", "tool.example.org\rhost=evil.org",
	"tool.example.org\x1b[31m", "tool.example.org\x7f", "tool.example.org\t", " tool.example.org", "tool.example.org ", "tool。example。org", "ｔool.example.org", "tооl.example.org", "xn--tl-jlca.example.org",
	"wild.example.org", "evilwild.example.org", "a.wild.example.org.", "*.wild.example.org", "127.0.0.1", "[::1]", "::1", "localhost",
	"[2001:db8::1]", "[2001:db8::1]:443", "[2001:db8::2]:8443", "[2001:db8::1%25eth0]:8443", "[2001:db8::1]evil.org:8443", "2001:db8::1:8443", "[2001:db8::1",
	"bücher.example.org", "xn--bcher-kva.example.org.", "xn--bcher-kva.example.com", "xn--bcher-kvaa.example.org",
	strings.Repeat("a", 300) + ".example.org", strings.Repeat("tool.example.org,", 1000),
}

// eachTranscript plays the transcripts of a hook, each a name to what is there.
func eachTranscript(t *testing.T, hook string, play func(t *testing.T, part map[string]string)) {
	t.Helper()
	files, err := filepath.Glob("testdata/" + hook + "/*.txtar")
	if err != nil || len(files) < 2 {
		t.Fatalf("%d transcripts, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			part := map[string]string{}
			for _, f := range txtar.Parse(text).Files {
				part[f.Name] = string(f.Data)
			}
			play(t, part)
		})
	}
}
