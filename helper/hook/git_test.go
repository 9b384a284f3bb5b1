package hook

import (
	"errors"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/helper"
)

func TestGit_lookalikes(t *testing.T) {
	for _, host := range lookalikes {
		for _, protocol := range []string{"https", "http", "HTTPS", "ssh", "", "https://tool.example.org/?", "javascript"} {
			g := &toolGetter{hosts: []string{"tool.example.org", "*.wild.example.org"}}
			for _, verb := range []string{"get", "erase"} {
				stdout, _, err := runTool(git, g, []string{verb}, nil, "protocol="+protocol+"\nhost="+host+"\npassword=token-1\n")
				if stdout != "" || err != nil && !errors.Is(err, ErrUsage) {
					t.Errorf("%s %s %.60q: %q, %v", verb, protocol, host, stdout, err)
				}
			}
			if g.rejected > 0 {
				t.Errorf("%s %.60q had our token dropped", protocol, host)
			}
		}
	}
}

// The same machine in another spelling, and a wildcard's.
func TestGit_hosts(t *testing.T) {
	for _, host := range []string{"tool.example.org", "TOOL.example.org", "tool.example.org:443", "a.wild.example.org", "b.a.wild.example.org"} {
		g := &toolGetter{hosts: []string{"tool.example.org", "*.wild.example.org"}}
		if stdout, _, err := runTool(git, g, []string{"get"}, nil, "protocol=https\nhost="+host+"\n\n"); !strings.Contains(stdout, "password=token-1\n") || err != nil {
			t.Errorf("%s: %q, %v", host, stdout, err)
		}
	}
	g := &toolGetter{hosts: []string{"127.0.0.1:8080", "[::1]:8080"}}
	for _, host := range []string{"127.0.0.1:8080", "[::1]:8080"} {
		if stdout, _, err := runTool(git, g, []string{"get"}, nil, "protocol=http\nhost="+host+"\n\n"); !strings.Contains(stdout, "password=token-1\n") || err != nil {
			t.Errorf("%s: %q, %v", host, stdout, err)
		}
	}
}

func TestGit_hostileInput(t *testing.T) {
	const place = "protocol=https\nhost=tool.example.org\n"
	for name, stdin := range map[string]string{
		"nothing":                "",
		"an empty line first":    "\n" + place,
		"CR LF":                  "protocol=https\r\nhost=tool.example.org\r\n",
		"CR in the host":         "protocol=https\nhost=tool.example.org\rhost=evil.org\n",
		"CR in a user":           place + "username=a\rpassword=b\n",
		"CR in an unknown":       place + "colour=a\rhost=evil.org\n",
		"NUL":                    "protocol=https\nhost=tool.example.org\x00.evil.org\n",
		"NUL in a key":           place + "us\x00er=a\n",
		"escape":                 place + "username=\x1b[31m\n",
		"DEL":                    place + "username=\x7f\n",
		"tab":                    place + "username=a\tb\n",
		"no protocol":            "host=tool.example.org\n",
		"blank protocol":         "protocol=\nhost=tool.example.org\n",
		"no host":                "protocol=https\n",
		"blank host":             "protocol=https\nhost=\n",
		"two hosts":              place + "host=evil.org\n",
		"one host twice":         place + "host=tool.example.org\n",
		"two protocols":          place + "protocol=http\n",
		"two passwords":          place + "password=a\npassword=b\n",
		"two of an unknown":      place + "colour=red\ncolour=blue\n",
		"a url":                  "url=https://tool.example.org/\n",
		"a url and a place":      place + "url=https://evil.org/\n",
		"a url of another port":  place + "url=https://tool.example.org:8443/\n",
		"a url of http":          place + "url=http://tool.example.org/\n",
		"a url with a backslash": place + "url=https://tool.example.org\\@evil.org/\n",
		"a url with a password":  place + "url=https://alice:0123456789@tool.example.org/\n",
		"a url without a host":   place + "url=/tool.example.org\n",
		"no url":                 place + "url=\n",
		"two urls":               place + "url=https://tool.example.org/\nurl=https://tool.example.org/\n",
		"no equals sign":         place + "username\n",
		"no key":                 place + "=a\n",
		"truncated":              place + "userna",
		"a long line":            place + "path=" + strings.Repeat("a", maxLine) + "\n",
		"many lines":             place + strings.Repeat("wwwauth[]=Basic\n", maxInput/16),
		"no end of a long line":  strings.Repeat("a", 10*maxInput),
	} {
		for _, verb := range []string{"get", "erase"} {
			g := &toolGetter{hosts: []string{"tool.example.org"}}
			stdout, _, err := runTool(git, g, []string{verb}, nil, stdin)
			if stdout != "" || !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "git's request: ") || len(g.log) > 0 {
				t.Errorf("%s, %s: %q, %v, asked %q", name, verb, stdout, err, g.log)
			}
		}
	}
}

// A token that would end its line is not one to print.
func TestGit_hostileToken(t *testing.T) {
	for _, value := range []string{"a\nhost=evil.org", "a\r", "a\x00", "\x1b"} {
		var out strings.Builder
		if err := (attributes{{"username", "a"}, {"password", value}}).write(&out); err == nil || out.Len() > 0 {
			t.Errorf("%q: %q, %v", value, out.String(), err)
		}
	}
}

func TestGit_scheme(t *testing.T) {
	for _, c := range []struct {
		said string
		want string
	}{
		{"", basic},
		{"wwwauth[]=Bearer\n", basic},
		{"capability[]=authtype\n", bearer},
		{"capability[]=authtype\ncapability[]=\n", basic},
		{"capability[]=authtypes\n", basic},
		{"capability[]=authtype\nwwwauth[]=bearer\n", bearer},
		{"capability[]=authtype\nwwwauth[]=Basic realm=\"a\\\", Bearer b\", charset=\"UTF-8\"\n", basic},
		{"capability[]=authtype\nwwwauth[]=Basic realm=\"a\", Bearer realm=\"b\"\n", bearer},
		{"capability[]=authtype\nwwwauth[]=Basic realm=Bearer\n", basic},
		{"capability[]=authtype\nwwwauth[]=Negotiate,\tBEARER\n", bearer},
		{"capability[]=authtype\nwwwauth[]=Bearer\nwwwauth[]=\nwwwauth[]=Basic\n", basic},
		{"capability[]=authtype\nwwwauth[]=Basic\nauthtype=bearer\n", ""},
		{"capability[]=authtype\nauthtype=basic\n", basic},
		{"capability[]=authtype\nauthtype=Negotiate\n", ""},
	} {
		r, err := readGit(strings.NewReader("protocol=https\nhost=a.example.org\n" + c.said))
		if err != nil || r.scheme != c.want {
			t.Errorf("%q: %q, not %q, %v", c.said, r.scheme, c.want, err)
		}
	}
}

// FuzzGit: whatever is asked, the answer is a credential for our host, or nothing.
func FuzzGit(f *testing.F) {
	for _, stdin := range []string{
		"protocol=https\nhost=tool.example.org\n\n", "capability[]=authtype\nprotocol=https\nhost=tool.example.org\nwwwauth[]=Bearer\n",
		"protocol=https\r\nhost=tool.example.org\r\n", "protocol=https\nhost=tool.example.org\nusername=a\npassword=token-1\n", "host=\nprotocol=https\n\n\n",
	} {
		f.Add("get", stdin)
		f.Add("erase", stdin)
	}
	f.Fuzz(func(t *testing.T, verb, stdin string) {
		g := &toolGetter{hosts: []string{"tool.example.org"}}
		stdout, _, err := runTool(git, g, []string{verb}, nil, stdin)
		if errors.Is(err, helper.ErrNotMine) || err != nil && stdout != "" {
			t.Fatalf("%q, %v", stdout, err)
		}
		if stdout == "" || verb == "capability" {
			return
		}
		said, err := readAttributes(strings.NewReader(stdin))
		if err != nil {
			t.Fatalf("%q answers what cannot be read: %v", stdout, err)
		}
		host, _ := said.get("host")
		if host = strings.ToLower(host); verb != "get" || strings.TrimSuffix(strings.TrimSuffix(host, ":443"), ":") != "tool.example.org" {
			t.Fatalf("%q is for %s %q", stdout, verb, host)
		}
		answer, err := readAttributes(strings.NewReader(stdout))
		if err != nil {
			t.Fatalf("%q cannot be read: %v", stdout, err)
		}
		if _, ok := answer.get("host"); ok {
			t.Fatalf("%q names a host", stdout)
		}
	})
}

// The ways in which git tells a place.
func gitWays() []way {
	return []way{gitWay("get", "\n"), gitWay("erase", "password=token-1\n")}
}

func gitWay(verb, rest string) way {
	return way{
		name: "git " + verb, protocol: git, call: toStdin(verb),
		says: func(scheme, host string) string { return "protocol=" + scheme + "\nhost=" + host + "\n" + rest },
		more: func(value string) string {
			return "protocol=https\nhost=tool.example.org\ncolour=" + value + "\n" + rest
		},
		twice: func(first, second string) string {
			return "protocol=https\nhost=" + first + "\nhost=" + second + "\n" + rest
		},
	}
}
