package hook

import (
	"testing"
)

func TestTerraform(t *testing.T) { toolTranscripts(t, terraform) }

func TestTerraform_lookalikes(t *testing.T) {
	for _, host := range lookalikes {
		g := &toolGetter{hosts: []string{"tool.example.org", "*.wild.example.org"}}
		stdout, _, err := runTool(terraform, g, []string{"get", host}, nil, "")
		if stdout != "{}\n" || err != nil {
			t.Errorf("%.60q: %q, %v", host, stdout, err)
		}
	}
}

// The punycode form is what terraform asks for, and what a profile must say.
func TestTerraform_punycode(t *testing.T) {
	g := &toolGetter{hosts: []string{"xn--bcher-kva.example.org"}}
	if stdout, _, err := runTool(terraform, g, []string{"get", "xn--bcher-kva.example.org"}, nil, ""); stdout != "{\"token\":\"token-1\"}\n" || err != nil {
		t.Errorf("%q, %v", stdout, err)
	}
}

func TestTerraform_usage(t *testing.T) {
	for _, args := range [][]string{nil, {"get"}, {"get", "tool.example.org", "more"}, {"GET", "tool.example.org"}, {"tool.example.org", "get"}} {
		g := &toolGetter{hosts: []string{"tool.example.org"}}
		wantUsage(t, terraform, g, args, nil)
	}
	wantUsage(t, terraform, &toolGetter{}, []string{"get", "tool.example.org"}, map[string]string{"min-valid": "soon"})
}
