package cli

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/terradue/t2-cred/helper/oidc"
)

// setupProfile is what a tool is told of a profile.
type setupProfile struct {
	name   string
	flags  []string            // --profile NAME, and --account where it is not the default
	hosts  []string            // that it names exactly
	serves func(*url.URL) bool // by wildcards too
}

// setups are the hooks that setup knows, by name.
func setups() map[string]func(*app, setupProfile, setupOptions) (setup, error) {
	return map[string]func(*app, setupProfile, setupOptions) (setup, error){
		"git": setupGit, "docker": setupDocker, "kubernetes": setupKubernetes, "aws": setupAWS, "cargo": setupCargo,
		"terraform": setupTerraform, "go": setupGo, "pnpm": setupPnpm, "pip": setupPip, "rclone": setupRclone, "gdal": setupGDAL,
	}
}

func (p setupProfile) words() string { return strings.Join(p.flags, " ") }

// someHosts wants the profile to name a host exactly.
func (p setupProfile) someHosts(o setupOptions) error {
	if len(p.hosts) == 0 && !o.undo {
		return &configError{
			detail: fmt.Sprintf("profile %s names no host exactly, so there is nothing to tell the tool", p.name),
			remedy: "add hosts to the profile: t2-cred profile add --host HOST …, or in the configuration file",
		}
	}
	return nil
}

// urls are how tools address a host; plain http is for loopback alone.
func urls(host string) []string {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if oidc.Loopback(strings.Trim(name, "[]")) {
		return []string{"https://" + host, "http://" + host}
	}
	return []string{"https://" + host}
}

// firstURL is the one where only one can be said.
func firstURL(host string) string {
	all := urls(host)
	return all[len(all)-1]
}

// homeFile is a file of the user's: at the place that the variable names, or below HOME.
func (a *app) homeFile(variable, below string, rest ...string) (string, error) {
	if dir := a.Getenv(variable); variable != "" && filepath.IsAbs(dir) {
		return filepath.Join(append([]string{dir}, rest...)...), nil
	}
	home := a.Getenv("HOME")
	if home == "" && runtime.GOOS == "windows" {
		home = a.Getenv("USERPROFILE")
	}
	if !filepath.IsAbs(home) {
		return "", &configError{detail: "HOME is not set, so there is no place for the tool's files", remedy: "set HOME"}
	}
	return filepath.Join(append([]string{home, below}, rest...)...), nil
}

// blockEdit is the edit that puts lines between two comments.
func blockEdit(file, profile string, lines []string, check, whole func(string) error) *edit {
	return block{profile: profile, lines: lines}.edit(file, check, whole)
}

// edit is that of the block at the end of a file. check refuses the file as it is
// outside of the block, and whole what it becomes.
func (b block) edit(file string, check, whole func(string) error) *edit {
	return &edit{
		file: file, lines: b.shown(""), cut: b.cut,
		put: func(text string, exists bool) (string, error) {
			outside, err := b.outside(text)
			if err == nil {
				err = check(outside)
			}
			if err != nil {
				return "", err
			}
			after, err := b.put(text, exists)
			if err != nil || whole == nil {
				return after, err
			}
			return after, whole(after)
		},
	}
}

// unless refuses a text that already says something of its own.
func unless(says *regexp.Regexp, what string, also func(string) error) func(string) error {
	return func(text string) error {
		if says.MatchString(text) {
			return errors.New("it already has " + what + ", which is not t2-cred's")
		}
		return also(text)
	}
}

// setupGit makes a section a host. The empty helper comes first: git offers what
// worked to all helpers, and one of them would keep our token in a file.
func setupGit(a *app, p setupProfile, o setupOptions) (setup, error) {
	file, err := a.gitConfig()
	if err != nil {
		return setup{}, err
	}
	var lines []string
	for _, host := range p.hosts {
		for _, u := range urls(host) {
			lines = append(lines, fmt.Sprintf("[credential %q]", u), "\thelper =", fmt.Sprintf("\thelper = %s git %s", o.program, p.words()))
		}
	}
	return setup{
		why:   "git asks t2-cred for these hosts. The empty helper ends the list of others, which would keep the token in their own place.",
		edits: []*edit{blockEdit(file, p.name, lines, checkINI, nil)},
	}, p.someHosts(o)
}

// gitConfig is the file that git config --global writes to.
func (a *app) gitConfig() (string, error) {
	if f := a.Getenv("GIT_CONFIG_GLOBAL"); filepath.IsAbs(f) {
		return f, nil
	}
	own, err := a.homeFile("", ".gitconfig")
	if err != nil || isThere(own) {
		return own, err
	}
	other, err := a.homeFile("XDG_CONFIG_HOME", ".config/git/config", "git", "config")
	if a.Getenv("XDG_CONFIG_HOME") == "" {
		other, err = a.homeFile("", ".config", "git", "config")
	}
	if err == nil && isThere(other) {
		return other, nil
	}
	return own, nil
}

func setupDocker(a *app, p setupProfile, o setupOptions) (setup, error) {
	file, err := a.homeFile("DOCKER_CONFIG", ".docker", "config.json")
	if err != nil {
		return setup{}, err
	}
	e := &edit{file: file, whole: true, put: func(text string, exists bool) (string, error) {
		if exists && text == "" {
			return "", errors.New("not JSON")
		}
		for _, host := range p.hosts {
			var err error
			if text, err = putDocker(text, host); err != nil {
				return "", err
			}
		}
		return text, nil
	}, cut: func(text string) (string, bool, error) {
		if len(p.hosts) == 0 && usesDockerHelper(text) {
			return "", true, fmt.Errorf("which hosts were this profile's is not known; take %q out of credHelpers by hand", dockerHelper)
		}
		keep := true
		for n := len(p.hosts) - 1; n >= 0 && keep; n-- {
			var err error
			if text, keep, err = cutDocker(text, p.hosts[n]); err != nil {
				return "", true, err
			}
		}
		return text, keep, nil
	}}
	for _, host := range p.hosts {
		e.lines = append(e.lines, fmt.Sprintf("credHelpers: %q: %q", host, dockerHelper))
	}
	return setup{
		why:   "docker, podman, skopeo, crane run docker-credential-t2, which must be on PATH, for these registries. They name no profile or account: those come from the host and T2_CRED_ACCOUNT.",
		edits: []*edit{e}, links: []string{o.linkNamed("docker-credential-t2")}, used: usesDockerHelper,
	}, p.someHosts(o)
}

func setupAWS(a *app, p setupProfile, o setupOptions) (setup, error) {
	file := a.Getenv("AWS_CONFIG_FILE")
	if !filepath.IsAbs(file) {
		var err error
		if file, err = a.homeFile("", ".aws", "config"); err != nil {
			return setup{}, err
		}
	}
	if o.endpoint == "" && !o.undo {
		if len(p.hosts) != 1 {
			return setup{}, usageError(errors.New("which of the profile's hosts is the STS? --endpoint https://HOST"))
		}
		o.endpoint = firstURL(p.hosts[0])
	}
	if o.endpoint != "" && !onlyOf(o.endpoint, ":/.-_[]") {
		return setup{}, usageError(fmt.Errorf("--endpoint %q is not the address of an STS", clean(o.endpoint)))
	}
	if o.roleARN != "" && !onlyOf(o.roleARN, ":/.-_+=,@") {
		return setup{}, usageError(fmt.Errorf("--role-arn %q is not the name of a role", clean(o.roleARN)))
	}
	section := "[profile t2-" + p.name + "]"
	process := fmt.Sprintf("credential_process = %s aws %s --endpoint %s", o.program, p.words(), o.endpoint)
	if o.roleARN != "" {
		process += " --role-arn " + o.roleARN
	}
	lines := []string{section, process}
	if u, err := url.Parse(o.endpoint); err == nil && !strings.Contains(u.Hostname(), ".amazonaws.com") {
		lines = append(lines, "endpoint_url = "+o.endpoint) // of MinIO and Ceph, where STS and S3 are one
	}
	has := regexp.MustCompile(`(?m)^\s*\[\s*profile\s+"?t2-` + regexp.QuoteMeta(p.name) + `"?\s*\]`)
	return setup{
		why:   "AWS SDKs and aws --profile t2-" + p.name + " get their keys from t2-cred, which asks the STS with the access token.",
		edits: []*edit{blockEdit(file, p.name, lines, unless(has, section, checkINI), nil)},
	}, nil
}

func setupCargo(a *app, p setupProfile, o setupOptions) (setup, error) {
	file, err := a.homeFile("CARGO_HOME", ".cargo", "config.toml")
	if err != nil {
		return setup{}, err
	}
	check := func(text string) error {
		var parsed map[string]any
		if err := toml.Unmarshal([]byte(text), &parsed); err != nil {
			return fmt.Errorf("not TOML, or it has registry settings of its own: %w", err)
		}
		return nil
	}
	return setup{
		why: "cargo asks its providers from the last to the first: t2-cred for the profile's hosts, cargo's own tokens for all others.",
		edits: []*edit{blockEdit(file, p.name, []string{
			"[registry]", fmt.Sprintf(`global-credential-providers = ["cargo:token", "%s %s"]`, o.program, p.words()),
		}, check, check)},
	}, nil
}

func setupTerraform(a *app, p setupProfile, _ setupOptions) (setup, error) {
	file := a.Getenv("TF_CLI_CONFIG_FILE")
	var err error
	if !filepath.IsAbs(file) {
		if file, err = a.homeFile("", ".terraformrc"); err != nil {
			return setup{}, err
		}
	}
	if runtime.GOOS == "windows" {
		return setup{
			why:  "Terraform looks for its settings and plugins in %APPDATA% on Windows.",
			show: fmt.Sprintf("In %%APPDATA%%\\terraform.rc:\ncredentials_helper \"t2\" {\n  args = [\"%s\"]\n}\nand t2-cred as %%APPDATA%%\\terraform.d\\plugins\\terraform-credentials-t2.exe\n", strings.Join(p.flags, `", "`)),
		}, nil
	}
	plugin, err := a.homeFile("", ".terraform.d", "plugins", "terraform-credentials-t2")
	lines := []string{`credentials_helper "t2" {`, fmt.Sprintf(`  args = ["%s"]`, strings.Join(p.flags, `", "`)), "}"}
	check := unless(regexp.MustCompile(`(?m)^\s*credentials_helper\b`), "a credentials_helper", checkHCL)
	edits := []*edit{blockEdit(file, p.name, lines, check, nil)}
	// OpenTofu reads the other file only where its own is not there.
	if own, err := a.homeFile("", ".tofurc"); err == nil && isThere(own) && !filepath.IsAbs(a.Getenv("TF_CLI_CONFIG_FILE")) {
		edits = append(edits, blockEdit(own, p.name, lines, check, nil))
	}
	return setup{
		why:   "Terraform and OpenTofu run terraform-credentials-t2, from their plugin directory, for registries and services.",
		edits: edits, links: []string{plugin},
	}, err
}

// setupGo changes the file that go env -w writes. go keeps comments there, and
// sorts only what is between them.
func setupGo(a *app, p setupProfile, o setupOptions) (setup, error) {
	file := a.Getenv("GOENV")
	if file == "off" {
		return setup{}, &configError{detail: "GOENV is off, so go reads no settings from a file", remedy: "unset GOENV, or set GOAUTH in the environment"}
	}
	if !filepath.IsAbs(file) {
		var err error
		switch {
		case runtime.GOOS == "windows":
			file, err = a.homeFile("AppData", `AppData\Roaming`, "go", "env")
		case runtime.GOOS == "darwin":
			file, err = a.homeFile("", "Library/Application Support/go/env")
		case a.Getenv("XDG_CONFIG_HOME") != "":
			file, err = a.homeFile("XDG_CONFIG_HOME", ".config", "go", "env")
		default:
			file, err = a.homeFile("", ".config", "go", "env")
		}
		if err != nil {
			return setup{}, err
		}
	}
	value := fmt.Sprintf("%s goauth %s; netrc", o.program, p.words())
	return setup{
		why:   "go asks t2-cred for the profile's hosts, then netrc. The same by hand: go env -w GOAUTH='" + value + "'",
		edits: []*edit{blockEdit(file, p.name, []string{"GOAUTH=" + value}, unless(regexp.MustCompile(`(?m)^\s*GOAUTH\s*=`), "a GOAUTH", checkINI), nil)},
	}, nil
}

func setupPnpm(a *app, p setupProfile, o setupOptions) (setup, error) {
	file := a.Getenv("NPM_CONFIG_USERCONFIG")
	if !filepath.IsAbs(file) {
		var err error
		if file, err = a.homeFile("", ".npmrc"); err != nil {
			return setup{}, err
		}
	}
	// npm, which has this file too, drops comments when it writes.
	b := block{profile: p.name, loose: p.isTokenHelper}
	check := checkINI
	for _, host := range p.hosts {
		key := "//" + host + "/:tokenHelper"
		b.lines = append(b.lines, fmt.Sprintf("%s=%s %s", key, o.program, strings.Join(p.pnpm(host), " ")))
		check = unless(regexp.MustCompile(`(?m)^\s*`+regexp.QuoteMeta(key)+`\s*=`), key, check)
	}
	return setup{
		why:   "pnpm 11 and later run t2-cred for these registries. (pnpm 10 takes no arguments: docs/hooks/pnpm.md.)",
		edits: []*edit{b.edit(file, check, nil)},
	}, p.someHosts(o)
}

func (p setupProfile) pnpm(host string) []string {
	return slices.Concat([]string{"pnpm"}, p.flags, []string{"--url", firstURL(host) + "/"})
}

// isTokenHelper is whether a line is what we write for some host, which may have
// left the profile since.
func (p setupProfile) isTokenHelper(line string) bool {
	key, command, _ := strings.Cut(line, "=")
	host, ok := strings.CutSuffix(strings.TrimSpace(key), "/:tokenHelper")
	if !ok || !strings.HasPrefix(host, "//") {
		return false
	}
	return runsUs(command, p.pnpm(host[len("//"):])...)
}
