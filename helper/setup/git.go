package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/safefile"
)

// planGit adds a section for each host. The empty helper comes first: git offers a
// credential that worked to all helpers, and another one could keep it in a file.
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
	b := block{profile: p.Name, lines: lines}
	change := func(file string) *edit {
		one := b.edit(file, readGitConfig, func(says []setting) error { return e.refuseGit(p, file, says) })
		one.notice = func(says []setting) []string {
			return slices.Concat(p.noticeGit(says), e.noticeGitParts(p, file, says))
		}
		return one
	}
	return Plan{
		why:   "git asks t2-cred for these hosts. The empty helper ends the list of others, which would keep the token in their own place.",
		edits: append([]*edit{change(file)}, elsewhere(o, file, change, e.gitConfigs()[1:]...)...),
	}, p.someHosts(o)
}

// gitConfig is the file to which git config --global writes.
func (e Env) gitConfig() (string, error) {
	if f, err := e.namedFile("GIT_CONFIG_GLOBAL"); err != nil || f != "" {
		return f, err
	}
	own, err := e.homeFile("", ".gitconfig")
	if err != nil || isThere(own) {
		return own, err
	}
	other, err := e.gitXDG()
	if err == nil && isThere(other) {
		return other, nil
	}
	return own, nil
}

// refuseGit looks into the file and into all that git reads beside it.
func (e Env) refuseGit(p Profile, file string, says []setting) error {
	if err := p.refuseGitFile("it", says); err != nil {
		return err
	}
	for _, part := range e.gitParts(file, says) {
		if err := p.refuseGitFile(part.file, part.says); err != nil && !part.maybe {
			return err
		}
	}
	return nil
}

// noticeGitParts warns of files that git includes under a condition.
func (e Env) noticeGitParts(p Profile, file string, says []setting) (notices []string) {
	for _, part := range e.gitParts(file, says) {
		if err := p.refuseGitFile(part.file, part.says); err != nil && part.maybe {
			notices = append(notices, err.Error()+"; git reads that file under a condition")
		}
	}
	return notices
}

// refuseGitFile finds a helper line that lacks the word git, and a header that git would
// send beside ours.
func (p Profile) refuseGitFile(where string, says []setting) error {
	for _, s := range says {
		name := s.section + "." + s.key
		if isBareHelper(s) {
			return bareHelper(where, name, s.value)
		}
		place, ok := strings.CutPrefix(s.section, "http.")
		if ok && s.key == "extraheader" && strings.HasPrefix(strings.ToLower(s.value), "authorization:") && p.servesAddress(place) {
			return errors.New(where + " already has " + name + " with an authorization, which git sends whatever a helper says") // its value is a secret
		}
	}
	return nil
}

func bareHelper(where, name, value string) error {
	if where == "it" {
		return configRemedy(fmt.Sprintf("%s = %s lacks the word git, so git would get a bare token, for any host", name, helper.Clean(value)),
			hint.Words("take it out, or add the word: "), hint.Shell("git", "config", "--global", name, value+" git"))
	}
	return configRemedy(fmt.Sprintf("%s: %s = %s lacks the word git, so git would get a bare token, for any host", where, name, helper.Clean(value)),
		hint.Words("take it out, or add the word: "), hint.Shell("git", "config", "--file", where, name, value+" git"))
}

// noticeGit warns of another profile for the same host.
func (p Profile) noticeGit(says []setting) (notices []string) {
	for _, s := range says {
		if isNamedHelper(s) {
			notices = append(notices, fmt.Sprintf("%s.helper = %s is for a program git-credential-t2-cred, which does not exist; take that line out", s.section, helper.Clean(s.value)))
		}
		place, ok := strings.CutPrefix(s.section, "credential.")
		if other := profileIn(s.value); ok && s.key == "helper" && other != "" && other != p.Name && p.servesAddress(place) {
			notices = append(notices, fmt.Sprintf("the profile %s has lines for %s too; git asks the last helper of the file", other, place))
		}
	}
	return notices
}

func (p Profile) servesAddress(address string) bool {
	u, err := url.Parse(address)
	return err == nil && p.Serves != nil && p.Serves(u)
}

// isBareHelper reports whether a helper line runs t2-cred without the word git. git puts
// git-credential- before a helper that is neither a path nor a shell command.
func isBareHelper(s setting) bool {
	if s.key != "helper" || s.section != "credential" && !strings.HasPrefix(s.section, "credential.") {
		return false
	}
	command, shell := strings.CutPrefix(s.value, "!")
	words := strings.Fields(strings.ReplaceAll(command, `\`, "/"))
	if len(words) == 0 || !shell && !strings.Contains(words[0], "/") || strings.TrimSuffix(path.Base(words[0]), ".exe") != "t2-cred" {
		return false
	}
	return !slices.Contains(words[1:], "git")
}

// isNamedHelper reports whether a helper line names t2-cred as git names helpers: git
// would run git-credential-t2-cred.
func isNamedHelper(s setting) bool {
	program, _, _ := strings.Cut(s.value, " ")
	return s.key == "helper" && program == "t2-cred" && (s.section == "credential" || strings.HasPrefix(s.section, "credential."))
}

// BareGitHelpers are the lines of the user's git configuration that run t2-cred as a
// credential helper without the word git, each with its file.
func (e Env) BareGitHelpers() (found []string, err error) { return e.gitHelpers(isBareHelper) }

// NamedGitHelpers are the lines whose helper is t2-cred without a path or a "!" before it,
// each with its file.
func (e Env) NamedGitHelpers() (found []string, err error) { return e.gitHelpers(isNamedHelper) }

// gitHelpers are the lines of the user's git configuration that are meant.
func (e Env) gitHelpers(meant func(setting) bool) (found []string, err error) {
	for _, file := range e.gitConfigs() {
		text, err := safefile.Read(file, safefile.Want{Max: maxFile})
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		says, err := readGitConfig(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, s := range says {
			if meant(s) {
				found = append(found, fmt.Sprintf("%s: %s.%s = %s", file, s.section, s.key, helper.Clean(s.value)))
			}
		}
	}
	return found, nil
}

// gitConfigs are the files that git may read for this user: git-config(1), "FILES".
func (e Env) gitConfigs() (files []string) {
	files = append(files, "/etc/gitconfig")
	if f := e.Getenv("GIT_CONFIG_GLOBAL"); filepath.IsAbs(f) {
		return append(files, f)
	}
	for _, file := range []func() (string, error){
		e.gitXDG, func() (string, error) { return e.homeFile("", ".gitconfig") },
	} {
		if f, err := file(); err == nil {
			files = append(files, f)
		}
	}
	return files
}

// gitXDG is the file that git has beside ~/.gitconfig.
func (e Env) gitXDG() (string, error) {
	if e.Getenv("XDG_CONFIG_HOME") == "" {
		return e.homeFile("", ".config", "git", "config")
	}
	return e.homeFile("XDG_CONFIG_HOME", ".config", "git", "config")
}
