package setup

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"

	"github.com/pelletier/go-toml/v2"
)

// planPip is for pip and uv, and of no profile: they run whatever is called
// keyring, and t2-cred finds the profile by the host that they name.
func planPip(e Env, _ Profile, o Options) (Plan, error) {
	pip, err1 := e.pipConfig()
	uv, err2 := e.uvConfig()
	return Plan{
		why:   "pip and uv run the program keyring of PATH for an index that wants a password; t2-cred passes what is not for it to the next keyring. uv asks only for an index with a user in its URL, or with authenticate = \"always\"; pip before 26.2 only for the former.",
		edits: []*edit{pipEdit(pip), uvEdit(uv)},
		links: []string{e.linkNamed("keyring")},
	}, errors.Join(err1, err2)
}

// pipConfig is the file that pip config set writes to, or the one that stands in
// its place: https://pip.pypa.io/en/stable/topics/configuration/#location
func (e Env) pipConfig() (string, error) {
	switch f := e.Getenv("PIP_CONFIG_FILE"); {
	case f == "/dev/null" || f == "nul":
		return "", configError("PIP_CONFIG_FILE is "+f+", so pip reads no settings from a file", "unset PIP_CONFIG_FILE, or set PIP_KEYRING_PROVIDER=subprocess")
	case filepath.IsAbs(f) && isThere(f):
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
	if f := e.Getenv("UV_CONFIG_FILE"); filepath.IsAbs(f) {
		return f, nil
	}
	return e.configFile("uv", "uv.toml")
}

// pipEdit puts the line into the section that is there, which may be there once
// only, or makes one.
func pipEdit(file string) *edit {
	const line = "keyring-provider = subprocess"
	b := block{profile: "pip", lines: []string{"[global]", line}}
	header := regexp.MustCompile(`(?m)^\[global\][ \t\r]*(\n|$)`)
	provider := regexp.MustCompile(`(?mi)^keyring[-_]provider\s*[=:][ \t]*(.*?)[ \t\r]*$`)
	return &edit{file: file, lines: b.shown(""), cut: b.cut, put: func(text string, exists bool) (string, error) {
		outside, err := b.outside(text)
		if err == nil {
			err = checkINI(outside)
		}
		if err != nil {
			return "", err
		}
		sections := header.FindAllStringIndex(outside, -1)
		switch m := provider.FindAllStringSubmatch(outside, -1); {
		case len(sections) > 1:
			return "", errors.New("it has [global] twice")
		case len(m) == 1 && m[0][1] == "subprocess":
			return text, nil // by somebody else, who keeps it
		case len(m) > 0:
			return "", errors.New("it already has a keyring-provider, which is not t2-cred's")
		case len(sections) == 1:
			b.lines = []string{line}
			return b.putAt(text, sections[0][1], exists)
		}
		return b.put(text, exists)
	}}
}

// uvEdit puts the line at the top, before any table.
func uvEdit(file string) *edit {
	b := block{profile: "uv", lines: []string{`keyring-provider = "subprocess"`}}
	return &edit{file: file, lines: b.shown(""), cut: b.cut, put: func(text string, exists bool) (string, error) {
		var own struct {
			Provider string `toml:"keyring-provider"`
		}
		outside, err := b.outside(text)
		if err != nil {
			return "", err
		}
		if err := toml.Unmarshal([]byte(outside), &own); err != nil {
			return "", fmt.Errorf("not TOML: %w", err)
		}
		switch own.Provider {
		case "subprocess":
			return text, nil // by somebody else, who keeps it
		case "":
			return b.putAt(text, 0, exists)
		}
		return "", fmt.Errorf("it already has keyring-provider = %q, which is not t2-cred's", own.Provider)
	}}
}
