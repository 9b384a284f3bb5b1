package setup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/safefile"
)

const terraformHelper = "terraform-credentials-t2"

func planTerraform(e Env, p Profile, o Options) (Plan, error) {
	if e.GOOS == "windows" {
		return Plan{
			why:  "Terraform looks for its settings and plugins in %APPDATA% on Windows.",
			show: fmt.Sprintf("In %%APPDATA%%\\terraform.rc:\ncredentials_helper \"t2\" {\n  args = [\"%s\"]\n}\nand t2-cred as %%APPDATA%%\\terraform.d\\plugins\\terraform-credentials-t2.exe\n", strings.Join(p.Flags, `", "`)),
		}, nil
	}
	t, err := e.terraformPlaces()
	if err == nil && !o.Undo {
		err = t.noPlace
	}
	if err != nil {
		return Plan{}, err
	}
	b := block{profile: p.Name, lines: []string{`credentials_helper "t2" {`, fmt.Sprintf(`  args = ["%s"]`, strings.Join(p.Flags, `", "`)), "}"}}
	plan := Plan{
		why:  "Terraform and OpenTofu run terraform-credentials-t2, from their plugin directory, for registries and services.",
		used: func(text string) bool { return usesTerraformHelper(text) || e.usedElsewhere(t) },
	}
	files, plugins := t.files, t.plugins[:1]
	if o.Undo {
		files, plugins = t.all, t.plugins
	}
	for _, file := range files {
		plan.edits = append(plan.edits, b.edit(file, readHCL, func(says []setting) error { return p.refuseTerraform(says, t) }))
	}
	for _, dir := range plugins {
		plan.links = append(plan.links, filepath.Join(dir, terraformHelper))
	}
	if t.hiddenFile != "" && !o.Undo {
		plan.warnings = append(plan.warnings, fmt.Sprintf("OpenTofu reads %s only while there is no ~/.terraformrc, so none is made; Terraform reads the same file when TF_CLI_CONFIG_FILE names it", t.hiddenFile))
	}
	if t.hiddenBelow != "" && !o.Undo {
		plan.warnings = append(plan.warnings, fmt.Sprintf("OpenTofu reads %s only while there is no ~/.terraform.d, so none is made; Terraform looks for the link in ~/.terraform.d/plugins alone", t.hiddenBelow))
	}
	for _, host := range p.Hosts {
		if name := "TF_TOKEN_" + strings.NewReplacer(".", "_", "-", "__").Replace(host); e.Getenv(name) != "" {
			plan.warnings = append(plan.warnings, name+" is set in the environment, and its token is taken instead; unset it")
		}
	}
	return plan, nil
}

// terraformPlaces are the files and directories of Terraform and of OpenTofu.
type terraformPlaces struct {
	files   []string // to write to
	all     []string // may have our lines
	plugins []string // directories for the link; the first is the one to write
	logins  []string // files of terraform login and tofu login
	below   []string // directories of which every *.tfrc is read, too
	// OpenTofu would no longer read hiddenFile if we made ~/.terraformrc, and hiddenBelow
	// if we made ~/.terraform.d.
	hiddenFile, hiddenBelow string
	noPlace                 error // if no directory can take the link
}

// terraformPlaces follows OpenTofu's order. If neither ~/.tofurc nor ~/.terraformrc
// exists, OpenTofu reads $XDG_CONFIG_HOME/opentofu/tofurc. If ~/.terraform.d does not
// exist, its tokens and plugins are below the XDG directories.
func (e Env) terraformPlaces() (t terraformPlaces, err error) {
	home, err := e.homeFile("", "")
	if err != nil {
		return t, err
	}
	rc, tofurc, own := filepath.Join(home, ".terraformrc"), filepath.Join(home, ".tofurc"), filepath.Join(home, ".terraform.d")
	t.all, t.plugins, t.logins = []string{rc, tofurc}, []string{filepath.Join(own, "plugins")}, []string{filepath.Join(own, "credentials.tfrc.json")}
	var config, data string
	if dir := e.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		config = filepath.Join(dir, "opentofu")
		t.all = append(t.all, filepath.Join(config, "tofurc"))
		t.logins = append(t.logins, filepath.Join(config, "credentials.tfrc.json"))
	}
	if dir := e.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		data = filepath.Join(dir, "opentofu", "plugins")
		t.plugins = append(t.plugins, data)
	}
	t.files = []string{rc}
	named, err := e.namedFile("TF_CLI_CONFIG_FILE")
	if err != nil {
		return t, err
	}
	switch {
	case named != "":
		t.files, t.all = []string{named}, []string{named}
	case isThere(tofurc):
		t.files = []string{rc, tofurc} // OpenTofu reads the second, and Terraform the first
	case config != "" && !isThere(rc) && isThere(filepath.Join(config, "tofurc")):
		t.hiddenFile = filepath.Join(config, "tofurc")
		t.files = []string{t.hiddenFile}
	}
	if named == "" {
		t.below = []string{own}
		if config != "" {
			t.below = append(t.below, config)
		}
	}
	t.all = slices.DeleteFunc(t.all, func(file string) bool { return !isThere(file) && !slices.Contains(t.files, file) })
	if isThere(own) {
		return t, nil
	}
	login := filepath.Join(config, "credentials.tfrc.json")
	switch {
	case config != "" && isThere(login):
		t.hiddenBelow = login
	case data != "" && isThere(data):
		t.hiddenBelow = data
	}
	switch {
	case t.hiddenBelow == "":
	case data != "":
		slices.Reverse(t.plugins)
	default:
		t.noPlace = configError(fmt.Sprintf("the link in %s would hide %s from OpenTofu", t.plugins[0], login),
			"set XDG_DATA_HOME for OpenTofu and t2-cred, so that the link can lie there")
	}
	return t, nil
}

// TerraformPlugins are the directories in which Terraform and OpenTofu look for a
// credentials helper.
func (e Env) TerraformPlugins() ([]string, error) {
	t, err := e.terraformPlaces()
	return t.plugins, err
}

// refuseTerraform finds another helper, and tokens that are preferred to any helper.
func (p Profile) refuseTerraform(says []setting, t terraformPlaces) error {
	for _, s := range says {
		kind, name, _ := strings.Cut(s.section, ".")
		switch {
		case kind == "credentials_helper":
			return p.taken("terraform", "a credentials_helper", strings.Join(values(says, s.section, "args"), " "))
		case kind == "credentials" && p.servesAddress("https://"+name):
			return errors.New("it has credentials for " + quoteHost(name) + ", which are taken instead")
		}
	}
	for _, file := range t.parts() {
		if err := p.refuseTerraformPart(file); err != nil {
			return err
		}
	}
	for _, file := range t.logins {
		hosts, err := terraformLogins(file)
		if err != nil {
			return err
		}
		for _, host := range hosts {
			if p.servesAddress("https://" + host) {
				return configRemedy(fmt.Sprintf("%s has a token for %s, which is taken instead", file, quoteHost(host)),
					hint.Words("log out there first: "), hint.Shell("terraform", "logout", host))
			}
		}
	}
	return nil
}

// quoteHost is a host from a file, quoted unless it is plain.
func quoteHost(host string) string {
	if Plain(host, ".-:[]") {
		return host
	}
	return fmt.Sprintf("%q", host)
}

// terraformLogins are the hosts for which terraform login kept a token.
func terraformLogins(file string) (hosts []string, err error) {
	text, err := safefile.Read(file, safefile.Want{Max: maxFile})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var kept struct {
		Credentials map[string]json.RawMessage
	}
	if json.Unmarshal(text, &kept) != nil {
		return nil, fmt.Errorf("%s: not JSON", file)
	}
	for host := range kept.Credentials {
		hosts = append(hosts, host)
	}
	slices.Sort(hosts)
	return hosts, nil
}

// usesTerraformHelper reports whether a file names our helper.
func usesTerraformHelper(text string) bool {
	return regexp.MustCompile(`(?m)^\s*credentials_helper\s+"t2"`).MatchString(text)
}

// usedElsewhere reports whether a file outside of the plan names our helper.
func (e Env) usedElsewhere(t terraformPlaces) bool {
	for _, file := range []string{".terraformrc", ".tofurc"} {
		path, err := e.homeFile("", file)
		if err != nil || slices.Contains(t.all, path) {
			continue
		}
		if text, err := safefile.Read(path, safefile.Want{Max: maxFile}); err == nil && usesTerraformHelper(string(text)) {
			return true
		}
	}
	return false
}
