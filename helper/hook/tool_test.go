package hook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

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

// newCall is a call of the protocol with its options as they are by default.
func newCall(p Protocol, g *toolGetter) *Call {
	option := map[string]string{}
	for _, o := range p.Options {
		option[o.Name] = o.Default
		if o.Switch {
			option[o.Name] = "false"
		}
	}
	return &Call{
		Option: option, Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard, Getter: g, Deriver: forgetful{g},
		Getenv: func(string) string { return "" }, Now: func() time.Time { return toolExpiry.Add(-time.Hour) },
		Hosts: func() ([]string, error) {
			return slices.DeleteFunc(slices.Clone(g.hosts), func(h string) bool { return strings.HasPrefix(h, "*.") }), nil
		},
		Version: "v1.2.3", Transport: registries{},
	}
}

// runTool runs a protocol once.
func runTool(p Protocol, g *toolGetter, args []string, option map[string]string, stdin string) (stdout, stderr string, err error) {
	call := newToolCall(p, g)
	call.args, call.option, call.stdin = args, option, stdin
	return call.run()
}

// forgetful is a Deriver that keeps nothing.
type forgetful struct{ *toolGetter }

func (f forgetful) Derive(ctx context.Context, r helper.Request, d helper.Derivation) (helper.Derived, error) {
	c, err := f.Get(ctx, r)
	if err != nil {
		return helper.Derived{}, err
	}
	return d.Make(ctx, c)
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
