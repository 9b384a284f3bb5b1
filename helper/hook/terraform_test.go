package hook

import (
	"testing"
)

func TestTerraform(t *testing.T) { toolTranscripts(t, terraform) }

func TestTerraform_usage(t *testing.T) {
	for _, args := range [][]string{nil, {"get"}, {"get", "tool.example.org", "more"}, {"GET", "tool.example.org"}, {"tool.example.org", "get"}} {
		g := &toolGetter{hosts: []string{"tool.example.org"}}
		wantUsage(t, terraform, g, args, nil)
	}
	wantUsage(t, terraform, &toolGetter{}, []string{"get", "tool.example.org"}, map[string]string{"min-valid": "soon"})
}
