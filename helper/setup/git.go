package setup

import (
	"fmt"
	"path/filepath"
)

// planGit makes a section a host. The empty helper comes first: git offers what
// worked to all helpers, and one of them would keep our token in a file.
func planGit(e Env, p Profile, o Options) (Plan, error) {
	file, err := e.gitConfig()
	if err != nil {
		return Plan{}, err
	}
	var lines []string
	for _, host := range p.Hosts {
		for _, u := range urls(host) {
			lines = append(lines, fmt.Sprintf("[credential %q]", u), "\thelper =", fmt.Sprintf("\thelper = %s git %s", e.Program, p.words()))
		}
	}
	return Plan{
		why:   "git asks t2-cred for these hosts. The empty helper ends the list of others, which would keep the token in their own place.",
		edits: []*edit{blockEdit(file, p.Name, lines, checkINI, nil)},
	}, p.someHosts(o)
}

// gitConfig is the file that git config --global writes to.
func (e Env) gitConfig() (string, error) {
	if f := e.Getenv("GIT_CONFIG_GLOBAL"); filepath.IsAbs(f) {
		return f, nil
	}
	own, err := e.homeFile("", ".gitconfig")
	if err != nil || isThere(own) {
		return own, err
	}
	other, err := e.homeFile("XDG_CONFIG_HOME", ".config/git/config", "git", "config")
	if e.Getenv("XDG_CONFIG_HOME") == "" {
		other, err = e.homeFile("", ".config", "git", "config")
	}
	if err == nil && isThere(other) {
		return other, nil
	}
	return own, nil
}
