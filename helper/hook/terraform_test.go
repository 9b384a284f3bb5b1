package hook

import (
	"errors"
	"strings"
	"testing"
)

func TestTerraform_usage(t *testing.T) {
	for _, args := range [][]string{nil, {"get"}, {"get", "tool.example.org", "more"}, {"GET", "tool.example.org"}, {"tool.example.org", "get"}} {
		g := &toolGetter{hosts: []string{"tool.example.org"}}
		wantUsage(t, terraform, g, args, nil)
	}
	wantUsage(t, terraform, &toolGetter{}, []string{"get", "tool.example.org"}, map[string]string{"min-valid": "soon"})
}

// FuzzTerraform: whatever the host, the answer is the token for ours, {}, or none.
func FuzzTerraform(f *testing.F) {
	f.Add("get", "tool.example.org")
	f.Add("get", "tool.example.org:443")
	f.Add("forget", "tool.example.org@evil.org")
	f.Add("store", "[::1]:80")
	f.Fuzz(func(t *testing.T, verb, host string) {
		g := &toolGetter{hosts: []string{"tool.example.org"}}
		stdout, stderr, err := runTool(terraform, g, []string{verb, host}, nil, "{}")
		ours := strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(host), ":443"), ":") == "tool.example.org"
		switch {
		case stderr != "" || g.rejected > 0:
			t.Fatalf("%q, %d rejected", stderr, g.rejected)
		case err != nil:
			if stdout != "" || !errors.Is(err, ErrUsage) {
				t.Fatalf("%s %q: %q, %v", verb, host, stdout, err)
			}
		case stdout == "{\"token\":\"token-1\"}\n":
			if verb != "get" || !ours {
				t.Fatalf("a token for %s %q", verb, host)
			}
		case stdout != "{}\n" && verb == "get" || stdout != "" && verb != "get" || ours:
			t.Fatalf("%s %q: %q", verb, host, stdout)
		}
	})
}

func terraformWays() []way {
	return []way{
		{name: "terraform get", protocol: terraform, call: toArgs("get", "TEXT"), says: asHost, tls: true, notMine: "{}\n"},
		{name: "terraform forget", protocol: terraform, call: toArgs("forget", "TEXT"), says: asHost, tls: true},
	}
}
