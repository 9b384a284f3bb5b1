package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/terradue/t2-cred/e2e/parts"
)

// readYAML reads a file of .github strictly.
func readYAML(t *testing.T, name string, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(readTop(t, filepath.Join(".github", name))), into); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// TestGitHub_forms: GitHub shows a form that it cannot read as an empty issue, and
// says so to nobody.
func TestGitHub_forms(t *testing.T) {
	top, err := parts.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	forms, err := filepath.Glob(filepath.Join(top, ".github/ISSUE_TEMPLATE/*.yml"))
	if err != nil || len(forms) < 2 {
		t.Fatalf("the forms are %q, %v", forms, err)
	}
	for _, path := range forms {
		name := filepath.Base(path)
		if name == "config.yml" {
			continue
		}
		var form struct {
			Name, Description string
			Labels            []string
			Body              []struct {
				Type, ID    string
				Attributes  map[string]any
				Validations map[string]bool
			}
		}
		readYAML(t, "ISSUE_TEMPLATE/"+name, &form)
		if form.Name == "" || form.Description == "" {
			t.Errorf("%s has no name or no description", name)
		}
		seen := map[string]bool{}
		asks := 0
		for _, part := range form.Body {
			if !slices.Contains([]string{"markdown", "input", "textarea", "dropdown", "checkboxes"}, part.Type) {
				t.Errorf("%s: GitHub knows no element %q", name, part.Type)
			}
			if part.Type == "markdown" {
				continue
			}
			asks++
			if part.Attributes["label"] == nil || part.ID == "" || seen[part.ID] {
				t.Errorf("%s: %q has no label, or no id of its own", name, part.ID)
			}
			seen[part.ID] = true
			if (part.Type == "dropdown" || part.Type == "checkboxes") && part.Attributes["options"] == nil {
				t.Errorf("%s: %q has no options", name, part.ID)
			}
		}
		if asks == 0 {
			t.Errorf("%s asks for nothing", name)
		}
	}
}

// TestGitHub_dependabot: each module of the repository is kept up to date.
func TestGitHub_dependabot(t *testing.T) {
	top, err := parts.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	var modules, covered []string
	err = filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Name() == "go.mod" {
			modules = append(modules, "/"+strings.Trim(strings.TrimPrefix(filepath.Dir(path), top), "/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Version int
		Updates []map[string]any
	}
	readYAML(t, "dependabot.yml", &config)
	actions := false
	for _, u := range config.Updates {
		switch u["package-ecosystem"] {
		case "gomod":
			dir, _ := u["directory"].(string)
			covered = append(covered, dir)
		case "github-actions":
			actions = true
		}
	}
	slices.Sort(modules)
	slices.Sort(covered)
	if !slices.Equal(modules, covered) || !actions {
		t.Errorf("dependabot looks at the modules %q and at actions: %v; the modules are %q", covered, actions, modules)
	}
}

// TestGitHub_history: the job that runs everything fetches the history, which the
// compatibility tests build an earlier version from.
func TestGitHub_history(t *testing.T) {
	var workflow struct {
		Jobs map[string]struct {
			Steps []struct {
				Uses, Run string
				With      map[string]any
			}
		}
	}
	text := readTop(t, ".github/workflows/ci.yml")
	if err := yaml.Unmarshal([]byte(text), &workflow); err != nil {
		t.Fatal(err)
	}
	found := false
	for name, job := range workflow.Jobs {
		all, history := false, false
		for _, step := range job.Steps {
			all = all || step.Run == ".ci/run"
			if depth, ok := step.With["fetch-depth"].(float64); ok && strings.HasPrefix(step.Uses, "actions/checkout@") {
				history = depth == 0
			}
		}
		found = found || all
		if all && !history {
			t.Errorf("job %s runs .ci/run without fetch-depth: 0", name)
		}
	}
	if _, err := os.Stat("../.ci/run"); err != nil || !found {
		t.Errorf("no job runs .ci/run, %v", err)
	}
}
