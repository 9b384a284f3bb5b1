package setup

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/safefile"
)

// planPip is for pip and uv. It depends on no profile: both run the program keyring, and
// t2-cred finds the profile by the host.
func planPip(e Env, p Profile, o Options) (Plan, error) {
	pip, err1 := e.pipConfig()
	uv, err2 := e.uvConfig()
	ofPip := pipEdit(pip)
	ofPip.notice = p.noticePip
	plan := Plan{
		why:   "pip and uv run the program keyring of PATH for an index that wants a password; t2-cred passes what is not for it to the next keyring. uv asks only for an index with a user in its URL, or with authenticate = \"always\"; pip before 26.2 only for the former.",
		edits: []*edit{ofPip, uvEdit(uv)},
		links: []string{e.linkNamed("keyring")},
	}
	for _, name := range []string{"PIP_KEYRING_PROVIDER", "UV_KEYRING_PROVIDER"} {
		if v := e.Getenv(name); v != "" && v != "subprocess" {
			plan.warnings = append(plan.warnings, name+" is set in the environment and comes before the file; unset it")
		}
	}
	for _, file := range e.pipOthers(pip) {
		plan.warnings = append(plan.warnings, pipNotices(file)...)
	}
	plan.edits = append(plan.edits, elsewhere(o, pip, pipEdit, e.pipOthers(pip)...)...)
	return plan, errors.Join(err1, err2)
}

// pipOthers are further files that pip reads for this user: of its old place, of the
// place without XDG_CONFIG_HOME, and of the virtual environment.
func (e Env) pipOthers(chosen string) (files []string) {
	name := "pip.conf"
	if e.GOOS == "windows" {
		name = "pip.ini"
	}
	for _, dir := range []func() (string, error){
		func() (string, error) { return e.homeFile("", ".pip") },
		func() (string, error) { return e.homeFile("", "pip") },
		func() (string, error) { return e.configFile("pip") },
	} {
		if d, err := dir(); err == nil {
			files = append(files, filepath.Join(d, name))
		}
	}
	if venv := e.Getenv("VIRTUAL_ENV"); filepath.IsAbs(venv) {
		files = append(files, filepath.Join(venv, name))
	}
	return slices.DeleteFunc(files, func(file string) bool { return file == chosen })
}

// pipNotices warns of another provider in a further file. A command's own section comes
// before [global], in whatever file, and so does the file of the virtual environment.
func pipNotices(file string) (notices []string) {
	text, err := safefile.Read(file, safefile.Want{Max: maxFile})
	if err != nil {
		return nil
	}
	says, err := readConfigParser(string(text))
	if err != nil {
		return nil // pip reports it
	}
	for _, s := range says {
		if pipKey(s.key) == "keyring-provider" && s.value != "subprocess" {
			notices = append(notices, fmt.Sprintf("%s has a keyring-provider in [%s], which pip may take instead; take it out", file, helper.Clean(s.section)))
		}
	}
	return notices
}

// noticePip warns of an index of ours with a password in its URL, which pip sends and
// then asks no keyring.
func (p Profile) noticePip(says []setting) (notices []string) {
	for _, s := range says {
		if key := pipKey(s.key); key == "index-url" || key == "extra-index-url" {
			for _, index := range strings.Fields(s.value) {
				u, err := url.Parse(index)
				if err != nil || !slices.Contains(p.Hosts, strings.ToLower(u.Host)) {
					continue
				}
				if _, password := u.User.Password(); password {
					notices = append(notices, fmt.Sprintf("%s in [%s] has a password for %s, which pip sends instead; take the password out", key, helper.Clean(s.section), strings.ToLower(u.Host)))
				}
			}
		}
	}
	return notices
}

// pipKey is a key as pip takes it, which is that of its option: --keyring_provider too.
func pipKey(key string) string {
	return strings.TrimPrefix(strings.ReplaceAll(strings.ToLower(key), "_", "-"), "--")
}

// pipConfig is the file to which pip config set writes, or PIP_CONFIG_FILE: https://pip.pypa.io/en/stable/topics/configuration/#location
func (e Env) pipConfig() (string, error) {
	f := e.Getenv("PIP_CONFIG_FILE")
	if f == "/dev/null" || f == "nul" {
		return "", configError("PIP_CONFIG_FILE is "+f+", so pip reads no settings from a file", "unset PIP_CONFIG_FILE, or set PIP_KEYRING_PROVIDER=subprocess")
	}
	f, err := e.namedFile("PIP_CONFIG_FILE")
	switch {
	case err != nil:
		return "", err
	case f != "" && isThere(f):
		return f, nil
	case e.GOOS == "windows":
		return e.configFile("pip", "pip.ini")
	case e.GOOS == "darwin":
		if dir, err := e.homeFile("", "Library/Application Support/pip"); err == nil && isThere(dir) {
			return filepath.Join(dir, "pip.conf"), nil
		}
		return e.homeFile("", ".config", "pip", "pip.conf")
	}
	return e.configFile("pip", "pip.conf")
}

// uvConfig is https://docs.astral.sh/uv/concepts/configuration-files/.
func (e Env) uvConfig() (string, error) {
	if f, err := e.namedFile("UV_CONFIG_FILE"); err != nil || f != "" {
		return f, err
	}
	return e.configFile("uv", "uv.toml")
}

// pipEdit adds the line to [global], and the section if there is none.
func pipEdit(file string) *edit {
	const line = "keyring-provider = subprocess"
	b := block{profile: "pip", lines: []string{"[global]", line}}
	return &edit{
		file: file, lines: b.shown(""), read: readConfigParser, cut: b.cut,
		want: func(string, []setting) []setting { return []setting{{"global", "keyring-provider", "subprocess"}} },
		refuse: func(says []setting) error {
			for _, s := range says {
				if pipKey(s.key) == "keyring-provider" && s.value != "subprocess" {
					return Profile{}.taken("pip", "a keyring-provider in ["+s.section+"]", "")
				}
			}
			return nil
		},
		put: func(text string, exists bool) (string, error) {
			rest, _, err := b.cut(text)
			if err != nil {
				return "", err
			}
			says, err := readConfigParser(rest)
			if err != nil {
				return "", err
			}
			if len(values(says, "global", "keyring-provider")) > 0 {
				return text, nil // a person wrote it and keeps it
			}
			at, indent := pipSection(rest)
			if at < 0 {
				return b.put(text, exists)
			}
			short := block{profile: b.profile, lines: []string{indent + line}}
			return short.putAt(text, at, exists)
		},
	}
}

// pipSection is the offset of the first line of [global], or -1, and the indentation of
// its first key. configparser takes a line that is indented more than the key before it
// for a part of that key's value.
func pipSection(text string) (at int, indent string) {
	section := regexp.MustCompile(`(?m)^[ \t]*\[global\][^\n]*(\n|$)`).FindStringIndex(text)
	if section == nil {
		return -1, ""
	}
	for line := range strings.Lines(text[section[1]:]) {
		if !isComment(line) {
			if trimmed := strings.TrimLeft(line, " \t"); trimmed[0] != '[' {
				indent = line[:len(line)-len(trimmed)]
			}
			break
		}
	}
	return section[1], indent
}

// uvEdit adds the line at the top, before any table.
func uvEdit(file string) *edit {
	const key, provider = "keyring-provider", "subprocess"
	b := block{profile: "uv", lines: []string{fmt.Sprintf("%s = %q", key, provider)}}
	one := &edit{
		file: file, lines: b.shown(""), read: readTOML, cut: b.cut,
		want: func(string, []setting) []setting { return []setting{{"", key, provider}} },
		refuse: func(says []setting) error {
			for _, s := range says {
				if s.key == key && s.value != provider && (s.section == "" || s.section == "pip") {
					return Profile{}.taken("uv", fmt.Sprintf("%s = %q", join(s.section, key), s.value), "")
				}
			}
			return nil
		},
		put: func(text string, exists bool) (string, error) {
			rest, _, err := b.cut(text)
			if err != nil {
				return "", err
			}
			says, err := readTOML(rest)
			if err != nil {
				return "", err
			}
			if len(values(says, "", key)) > 0 {
				return text, nil // a person wrote it and keeps it
			}
			return b.putAt(text, 0, exists)
		},
	}
	return one.pastMark()
}
