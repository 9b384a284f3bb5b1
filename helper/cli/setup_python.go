package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"runtime"

	"github.com/pelletier/go-toml/v2"
)

// setupPip is for pip and uv, and of no profile: they run whatever is called
// keyring, and t2-cred finds the profile by the host that they name.
func setupPip(a *app, _ setupProfile, o setupOptions) (setup, error) {
	pip, err1 := a.pipConfig()
	uv, err2 := a.uvConfig()
	return setup{
		why:   "pip and uv run the program keyring of PATH for an index that wants a password; t2-cred passes what is not for it to the next keyring. uv asks only for an index with a user in its URL, or with authenticate = \"always\"; pip before 26.2 only for the former.",
		edits: []*edit{pipEdit(pip), uvEdit(uv)},
		links: []string{o.linkNamed("keyring")},
	}, errors.Join(err1, err2)
}

// configFile is a tool's file of the user's: in XDG_CONFIG_HOME or ~/.config, and
// in AppData on Windows.
func (a *app) configFile(rest ...string) (string, error) {
	switch {
	case runtime.GOOS == "windows":
		return a.homeFile("AppData", `AppData\Roaming`, rest...)
	case a.Getenv("XDG_CONFIG_HOME") != "":
		return a.homeFile("XDG_CONFIG_HOME", ".config", rest...)
	}
	return a.homeFile("", ".config", rest...)
}

// pipConfig is the file that pip config set writes to, or the one that stands in
// its place: https://pip.pypa.io/en/stable/topics/configuration/#location
func (a *app) pipConfig() (string, error) {
	switch f := a.Getenv("PIP_CONFIG_FILE"); {
	case f == "/dev/null" || f == "nul":
		return "", &configError{detail: "PIP_CONFIG_FILE is " + f + ", so pip reads no settings from a file", remedy: "unset PIP_CONFIG_FILE, or set PIP_KEYRING_PROVIDER=subprocess"}
	case filepath.IsAbs(f) && isThere(f):
		return f, nil
	case runtime.GOOS == "windows":
		return a.configFile("pip", "pip.ini")
	case runtime.GOOS == "darwin":
		if dir, err := a.homeFile("", "Library/Application Support/pip"); err == nil && isThere(dir) {
			return filepath.Join(dir, "pip.conf"), nil
		}
		return a.homeFile("", ".config", "pip", "pip.conf")
	}
	return a.configFile("pip", "pip.conf")
}

// uvConfig is https://docs.astral.sh/uv/concepts/configuration-files/.
func (a *app) uvConfig() (string, error) {
	if f := a.Getenv("UV_CONFIG_FILE"); filepath.IsAbs(f) {
		return f, nil
	}
	return a.configFile("uv", "uv.toml")
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
