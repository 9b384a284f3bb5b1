package hook

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/helper"
)

func TestDocker_lookalikes(t *testing.T) {
	for _, host := range lookalikes {
		if host == "evil.org/tool.example.org" {
			continue // a repository of another registry
		}
		for _, server := range []string{host, "https://" + host, "https://" + host + "/v1/", "http://" + host, "HTTPS://" + host, "https://https://" + host, host + "/tool.example.org"} {
			g := &toolGetter{hosts: []string{"tool.example.org", "*.wild.example.org"}}
			if strings.TrimPrefix(strings.ToLower(strings.TrimRight(server, " \t\r")), "https://") == "tool.example.org" {
				continue // it is ours
			}
			stdout, _, err := runTool(docker, g, []string{"get"}, nil, server)
			if err == nil || strings.Contains(stdout, "token-1") {
				t.Errorf("%.60q: %q, %v", server, stdout, err)
			}
		}
	}
}

func TestDocker_hosts(t *testing.T) {
	for server, place := range map[string]string{
		"tool.example.org":                    "get https://tool.example.org/",
		"TOOL.example.org":                    "get https://TOOL.example.org/",
		"tool.example.org:443":                "get https://tool.example.org:443/",
		"https://tool.example.org":            "get https://tool.example.org/",
		"https://tool.example.org/v2/?a=b#c":  "get https://tool.example.org/",
		"tool.example.org/evil.org":           "get https://tool.example.org/",
		"a.wild.example.org":                  "get https://a.wild.example.org/",
		"127.0.0.1:5000":                      "get https://127.0.0.1:5000/",
		"http://127.0.0.1:5000":               "get http://127.0.0.1:5000/",
		"[::1]:5000":                          "get https://[::1]:5000/",
		"https://tool.example.org/\xff\xfe\"": "get https://tool.example.org/",
	} {
		g := &toolGetter{hosts: []string{"tool.example.org", "*.wild.example.org", "127.0.0.1:5000", "[::1]:5000"}}
		stdout, _, err := runTool(docker, g, []string{"get"}, nil, server)
		if !strings.Contains(stdout, `"Secret":"token-1"`) || err != nil || strings.Join(g.log, "") != place {
			t.Errorf("%q: %q, %v, asked %q", server, stdout, err, g.log)
		}
	}
}

func TestDocker_hostileInput(t *testing.T) {
	for name, c := range map[string]struct{ verb, stdin string }{
		"CR inside":             {"get", "tool.example.org\r.evil.org\r"},
		"two lines":             {"get", "tool.example.org\n.evil.org"},
		"NUL":                   {"get", "tool.example.org\x00.evil.org"},
		"escape":                {"erase", "\x1b[31mtool.example.org"},
		"space":                 {"get", "tool.example.org evil.org"},
		"oversize":              {"get", "tool.example.org/" + strings.Repeat("a", maxInput)},
		"oversize erase":        {"erase", strings.Repeat("a", maxInput+1)},
		"oversize store":        {"store", `{"ServerURL":"a","Username":"b","Secret":"` + strings.Repeat("a", maxInput) + `"}`},
		"truncated store":       {"store", `{"ServerURL":"tool.example.org","Username":"b","Secr`},
		"two servers":           {"store", `{"ServerURL":"a","Username":"b","ServerURL":"c"}`},
		"a number for a server": {"store", `{"ServerURL":1,"Username":"b"}`},
		"no JSON":               {"store", "tool.example.org"},
		"nothing to store":      {"store", ""},
	} {
		g := &toolGetter{hosts: []string{"tool.example.org"}}
		stdout, stderr, err := runTool(docker, g, []string{c.verb}, nil, c.stdin)
		if !errors.Is(err, ErrUsage) || stdout != err.Error()+"\n" || stderr != "" || len(g.log) > 0 {
			t.Errorf("%s: %q, %v, asked %q", name, stdout, err, g.log)
		}
		if strings.ContainsFunc(strings.TrimSuffix(stdout, "\n"), isControl) {
			t.Errorf("%s: %q", name, stdout)
		}
	}
}

// As <token>, clients would spend the access token as a refresh token.
func TestDocker_username(t *testing.T) {
	for _, name := range []string{"<token>", "", "a:b", "a\nb", "a\x00", "a\tb"} {
		for _, verb := range []string{"get", "list"} {
			g := &toolGetter{hosts: []string{"tool.example.org"}}
			stdout, _, err := runTool(docker, g, []string{verb}, map[string]string{"username": name}, "tool.example.org")
			if !errors.Is(err, ErrUsage) || strings.Contains(stdout, "token-1") || len(g.log) > 0 {
				t.Errorf("%s as %q: %q, %v", verb, name, stdout, err)
			}
		}
	}
}

// FuzzDocker: whatever is asked, the answer is a credential for our registry, or
// an error on one line.
func FuzzDocker(f *testing.F) {
	for _, server := range []string{"tool.example.org", "https://tool.example.org/v1/", "tool.example.org@evil.org", "http://[::1]:5000", "%2f", "\n"} {
		f.Add("get", server)
	}
	f.Add("store", `{"ServerURL":"tool.example.org","Username":"b","Secret":"c"}`)
	f.Add("erase", "tool.example.org")
	f.Fuzz(func(t *testing.T, verb, stdin string) {
		if verb == "list" || verb == "version" {
			return
		}
		g := &toolGetter{hosts: []string{"tool.example.org"}}
		stdout, _, err := runTool(docker, g, []string{verb}, nil, stdin)
		switch {
		case errors.Is(err, helper.ErrNotMine):
			t.Fatalf("%q, %v", stdout, err)
		case err != nil:
			if strings.Count(stdout, "\n") != 1 || strings.ContainsFunc(strings.TrimSuffix(stdout, "\n"), isControl) || strings.Contains(stdout, "token-1") {
				t.Fatalf("%q, %v", stdout, err)
			}
		case verb == "get":
			var answer struct{ ServerURL, Username, Secret string }
			if err := json.Unmarshal([]byte(stdout), &answer); err != nil || answer.Username != "oauth2" || answer.Secret != "token-1" {
				t.Fatalf("%q, %v", stdout, err)
			}
			server := strings.ToLower(strings.TrimPrefix(strings.ToLower(answer.ServerURL), "https://"))
			if rest, ok := strings.CutPrefix(server, "tool.example.org"); !ok || rest != "" && rest[0] != ':' && rest[0] != '/' {
				t.Fatalf("a token for %q", answer.ServerURL)
			}
		case stdout != "":
			t.Fatalf("%s says %q", verb, stdout)
		}
	})
}

func dockerWays() []way {
	return []way{{
		name: "docker get", protocol: docker, call: toStdin("get"), trims: true,
		says: func(scheme, host string) string { return strings.TrimPrefix(scheme+"://"+host, "https://") },
		refusal: func(stdout string, err error) bool {
			said := errors.Is(err, ErrUsage) && stdout == err.Error()+"\n" || errors.Is(err, Exit(1)) && stdout == errDockerNoServer.Error()+"\n"
			return said && !strings.ContainsFunc(strings.TrimSuffix(stdout, "\n"), isControl)
		},
		notMine: errDockerNotFound.Error() + "\n", notMineErr: Exit(1),
	}}
}
