package setup

import (
	"slices"
	"testing"
)

func TestToolsHaveNamesOfTheirOwn(t *testing.T) {
	if !slices.IsSorted(Names()) {
		t.Errorf("not sorted: %v", Names())
	}
	seen := map[string]string{}
	for _, tool := range Tools() {
		for _, name := range append([]string{tool.Name}, tool.Aliases...) {
			if other, ok := seen[name]; ok {
				t.Errorf("%s is of %s and of %s", name, other, tool.Name)
			}
			seen[name] = tool.Name
			if found, ok := Find(name); !ok || found.Name != tool.Name {
				t.Errorf("Find(%q) = %q, %v", name, found.Name, ok)
			}
		}
	}
	for alias, name := range map[string]string{"goauth": "go", "keyring": "pip", "uv": "pip", "kubectl": "kubernetes"} {
		if seen[alias] != name {
			t.Errorf("%s is of %q, not of %s", alias, seen[alias], name)
		}
	}
	if _, ok := Find("nonsense"); ok {
		t.Error("nonsense is a tool")
	}
}
