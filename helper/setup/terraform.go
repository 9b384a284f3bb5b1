package setup

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

func planTerraform(e Env, p Profile, _ Options) (Plan, error) {
	file := e.Getenv("TF_CLI_CONFIG_FILE")
	var err error
	if !filepath.IsAbs(file) {
		if file, err = e.homeFile("", ".terraformrc"); err != nil {
			return Plan{}, err
		}
	}
	if e.GOOS == "windows" {
		return Plan{
			why:  "Terraform looks for its settings and plugins in %APPDATA% on Windows.",
			show: fmt.Sprintf("In %%APPDATA%%\\terraform.rc:\ncredentials_helper \"t2\" {\n  args = [\"%s\"]\n}\nand t2-cred as %%APPDATA%%\\terraform.d\\plugins\\terraform-credentials-t2.exe\n", strings.Join(p.Flags, `", "`)),
		}, nil
	}
	plugins, err := e.TerraformPlugins()
	lines := []string{`credentials_helper "t2" {`, fmt.Sprintf(`  args = ["%s"]`, strings.Join(p.Flags, `", "`)), "}"}
	check := unless(regexp.MustCompile(`(?m)^\s*credentials_helper\b`), "a credentials_helper", checkHCL)
	edits := []*edit{blockEdit(file, p.Name, lines, check, nil)}
	// OpenTofu reads the other file only where its own is not there.
	if own, err := e.homeFile("", ".tofurc"); err == nil && isThere(own) && !filepath.IsAbs(e.Getenv("TF_CLI_CONFIG_FILE")) {
		edits = append(edits, blockEdit(own, p.Name, lines, check, nil))
	}
	return Plan{
		why:   "Terraform and OpenTofu run terraform-credentials-t2, from their plugin directory, for registries and services.",
		edits: edits, links: []string{filepath.Join(plugins, "terraform-credentials-t2")},
	}, err
}

// TerraformPlugins is the directory in which Terraform and OpenTofu look for a
// credentials helper.
func (e Env) TerraformPlugins() (string, error) { return e.homeFile("", ".terraform.d", "plugins") }
