package hook

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/helper"
)

const unauthorized = "HTTP/1.1 401 Unauthorized\n\n"

// The token is for exactly the host that go names, in go's own spelling: go
// compares prefixes as strings. A wildcard never becomes one.
func TestGoauth_prefixes(t *testing.T) {
	for _, c := range []struct{ prefix, url, want string }{
		{"", "https://tool.example.org/a/b?go-get=1", "https://tool.example.org/"},
		{"", "https://TOOL.example.org/a", "https://TOOL.example.org/"},
		{"", "https://a.wild.example.org:8443/a", "https://a.wild.example.org:8443/"},
		{"", "HTTPS://tool.example.org/a", "https://tool.example.org/"},
		{"", "//tool.example.org/a", ""},
		{"", "tool.example.org/a", ""},
		{"", "http://tool.example.org/a", ""},
		{"https://tool.example.org", "https://tool.example.org/a", "https://tool.example.org"},
		{"https://tool.example.org/a", "https://tool.example.org/a", "https://tool.example.org/a"},
		{"https://tool.example.org/a", "https://tool.example.org/a/b?go-get=1", "https://tool.example.org/a"},
		{"https://tool.example.org/a/", "https://tool.example.org/a/b", "https://tool.example.org/a/"},
		{"https://tool.example.org/a", "https://tool.example.org/ab", ""},
		{"https://tool.example.org/a", "https://tool.example.org/b", ""},
		{"https://tool.example.org/a", "https://tool.example.org/a/../b", ""},
		{"https://tool.example.org/a", "https://tool.example.org/a/%2e%2e/b", ""},
		{"https://tool.example.org/a", "https://tool.example.org/a//b", ""},
		{"https://tool.example.org/a", "https://tool.example.org:443/a", ""},
		{"https://tool.example.org/a", "https://a.wild.example.org/a", ""},
	} {
		g := &toolGetter{hosts: []string{"tool.example.org", "*.wild.example.org", "*.wild.example.org:8443"}}
		stdout, _, err := runTool(goauth, g, []string{c.url}, map[string]string{"prefix": c.prefix}, "HTTP/1.1 404 Not Found\n\n")
		want := ""
		if c.want != "" {
			want = c.want + "\n\nAuthorization: Bearer token-1\n\n"
		}
		if stdout != want || err != nil {
			t.Errorf("%q of %q: %q, %v", c.url, c.prefix, stdout, err)
		}
	}
}

func TestGoauth_hostileInput(t *testing.T) {
	for name, stdin := range map[string]string{
		"truncated":       "HTTP/1.1 401 Unauthorized\nA: b\n",
		"no head":         "\n\n",
		"CR":              "HTTP/1.1 401 Unauthorized\r\n\r\n",
		"NUL":             "HTTP/1.1 401 \x00\n\n",
		"no HTTP":         "SIP/2.0 401 Unauthorized\n\n",
		"status no digit": "HTTP/1.1 4O1 Unauthorized\n\n",
		"no status":       "HTTP/1.1\n\n",
		"oversize":        "HTTP/1.1 401 Unauthorized\nA: " + strings.Repeat("b", maxInput) + "\n\n",
	} {
		g := &toolGetter{hosts: []string{"tool.example.org"}}
		stdout, _, err := runTool(goauth, g, []string{"https://tool.example.org/m"}, nil, stdin)
		if stdout != "" || err == nil || !strings.HasPrefix(err.Error(), "the answer that go passes on: ") || g.rejected > 0 {
			t.Errorf("%s: %q, %v", name, stdout, err)
		}
	}
	// By hand, with nothing on standard input.
	g := &toolGetter{hosts: []string{"tool.example.org"}}
	if stdout, _, err := runTool(goauth, g, []string{"https://tool.example.org/m"}, nil, ""); !strings.Contains(stdout, "token-1") || err != nil {
		t.Errorf("%q, %v", stdout, err)
	}
}

func TestGoauth_usage(t *testing.T) {
	wantUsage(t, goauth, &toolGetter{}, []string{"https://a.example.org", "https://b.example.org"}, nil)
	for _, prefix := range []string{"tool.example.org", "http://tool.example.org/", "https://", "https:tool.example.org", "https://u@tool.example.org/",
		"https://tool.example.org/?a", "https://tool.example.org/#a", "https://tool.example.org/a/../b", "https://tool.example.org\n"} {
		wantUsage(t, goauth, &toolGetter{hosts: []string{"tool.example.org"}}, nil, map[string]string{"prefix": prefix})
	}
	// A prefix on a host of nobody's is no credential.
	if stdout, _, err := runTool(goauth, &toolGetter{}, nil, map[string]string{"prefix": "https://tool.example.org"}, ""); stdout != "" || err != nil {
		t.Errorf("%q, %v", stdout, err)
	}
}

func TestGoauth_refuses(t *testing.T) {
	for _, c := range []struct {
		head       string
		sent, want bool
	}{
		{"", true, false},
		{"403 Forbidden\nWww-Authenticate: Bearer error=\"insufficient_scope\"", true, false},
		{"404 Not Found", true, false},
		{"401 Unauthorized", false, true},
		{"401 Unauthorized\nWWW-Authenticate: Bearer", false, false},
		{"401 Unauthorized\nwww-authenticate: bearer realm=\"x\"", false, false},
		{"401 Unauthorized\nWww-Authenticate: Bearer realm=\"x\"", true, true},
		{"401 Unauthorized\nWww-Authenticate: Basic realm=\"x\", Bearer realm=\"x\", error=\"invalid_token\"", false, true},
		{"401 Unauthorized\nWww-Authenticate: Basic realm=\"Bearer\"", false, true},
	} {
		stdin := ""
		if c.head != "" {
			stdin = "HTTP/1.1 " + c.head + "\n\n"
		}
		head, err := readGoHead(strings.NewReader(stdin))
		if got := head.refuses(c.sent); got != c.want || err != nil {
			t.Errorf("%q, sent %t: %t, %v", c.head, c.sent, got, err)
		}
	}
}

// wantUsage wants exit code 2 and no question to anybody.
func wantUsage(t *testing.T, p Protocol, g *toolGetter, args []string, option map[string]string) {
	t.Helper()
	stdout, _, err := runTool(p, g, args, option, "")
	if stdout != "" || !errors.Is(err, ErrUsage) || len(g.log) > 0 {
		t.Errorf("%q %v: %q, %v, asked %q", args, option, stdout, err, g.log)
	}
}

// FuzzGoauth: whatever a server made go say, the answer is a credential set for
// our host alone, or nothing.
func FuzzGoauth(f *testing.F) {
	f.Add("https://tool.example.org/m/@v/list", unauthorized)
	f.Add("https://tool.example.org/m/@v/list", "HTTP/2.0 403 Forbidden\nWww-Authenticate: Bearer error=\"invalid_token\"\n\n")
	f.Add("https://tool.example.org@evil.org/", "HTTP/1.1 401\nWww-Authenticate\n\n\n\n")
	f.Fuzz(func(t *testing.T, where, stdin string) {
		g := &toolGetter{hosts: []string{"tool.example.org"}}
		stdout, _, err := runTool(goauth, g, []string{where}, nil, stdin)
		if err != nil && (stdout != "" || errors.Is(err, helper.ErrNotMine)) {
			t.Fatalf("%q with %v", stdout, err)
		}
		if stdout == "" {
			return
		}
		line, rest, _ := strings.Cut(stdout, "\n")
		u, err := url.Parse(line)
		if err != nil || !strings.EqualFold(u.Hostname(), "tool.example.org") || u.Scheme != "https" || u.Path != "/" ||
			rest != "\nAuthorization: Bearer "+g.token()+"\n\n" {
			t.Fatalf("%q for %q", stdout, where)
		}
	})
}

func goauthWays() []way {
	call := func(prefix string) func(*Call, string) {
		return func(c *Call, text string) {
			c.Args, c.Stdin, c.Option["prefix"] = []string{text}, strings.NewReader(unauthorized), prefix
		}
	}
	return []way{
		{name: "goauth", protocol: goauth, says: asURL, call: call("")},
		{name: "goauth --prefix", protocol: goauth, says: asURL, call: call("https://tool.example.org/a")},
	}
}
