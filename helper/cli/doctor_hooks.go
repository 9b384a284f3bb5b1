package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/hook"
	"github.com/terradue/t2-cred/helper/setup"
)

// checkHooks looks for the names by which tools call t2-cred, and for its own.
func (d *doctor) checkHooks(context.Context) []finding {
	self, err := os.Executable()
	if err != nil {
		return []finding{failing("program", err)}
	}
	if linked, err := filepath.EvalSymlinks(self); err == nil {
		self = linked
	}
	onPath := d.searchPath()
	found := []finding{}
	if f, ok := (nameCheck{title: "program", name: "t2-cred"}).in(onPath, self); ok {
		found = append(found, f)
	} else {
		found = append(found, warning("program", "put its directory on PATH, for tools that look for it there", "%s %s is not on PATH", self, version()))
	}
	var missing []string
	for _, p := range hook.Protocols {
		if p.Alias == "" {
			continue
		}
		dirs := onPath
		if len(p.PluginDir) > 0 { // which the tool alone looks into
			if plugins, err := (setup.Env{Getenv: d.Getenv, GOOS: runtime.GOOS}).TerraformPlugins(); err == nil {
				dirs = plugins
			}
		}
		if f, ok := (nameCheck{title: "hook", name: p.Alias, shared: p.Shared}).in(dirs, self); ok {
			found = append(found, f)
		} else {
			missing = append(missing, p.Alias)
		}
	}
	if len(missing) > 0 {
		found = append(found, fine("hooks", "not installed, which is fine where they are not needed: %s", strings.Join(missing, " ")))
	}
	found = append(found, d.checkGitHelpers()...)
	return append(found, d.checkSetup(self)...)
}

// checkSetup looks at the lines that setup wrote for the profile: whether the tool can
// read them, and whether other settings win over them.
func (d *doctor) checkSetup(self string) (found []finding) {
	if !d.profiled {
		return nil
	}
	env := setup.Env{Getenv: d.Getenv, GOOS: runtime.GOOS, Program: filepath.ToSlash(self), BinDir: filepath.Dir(self)}
	of := d.request.Profile
	p := setup.Profile{Name: of.Name, Flags: []string{"--profile", of.Name}, Serves: of.Serves}
	for _, f := range setup.Check(env, p) {
		found = append(found, advice("setup "+f.Tool, f.Remedy, "%s: %s", f.File, f.Detail))
	}
	return found
}

// checkGitHelpers finds helper lines in git's configuration that run t2-cred without the
// word git: git then runs "t2-cred get".
func (d *doctor) checkGitHelpers() (found []finding) {
	lines, err := (setup.Env{Getenv: d.Getenv, GOOS: runtime.GOOS}).BareGitHelpers()
	if err != nil {
		return nil // git says so itself
	}
	named, _ := (setup.Env{Getenv: d.Getenv, GOOS: runtime.GOOS}).NamedGitHelpers()
	for _, line := range named {
		found = append(found, advice("hook", hint.Do(hint.Words("take that line out, and then: "), hint.Run("setup", "git", "--write")),
			"%s: git runs git-credential-t2-cred for it, which does not exist", line))
	}
	for _, line := range lines {
		found = append(found, warning("hook", "write git after t2-cred in that line", "%s: the helper runs t2-cred without the word git, so it refuses git's requests", line))
	}
	return found
}

// searchPath is PATH without what depends on the current directory.
func (d *doctor) searchPath() (dirs []string) {
	for _, dir := range filepath.SplitList(d.Getenv("PATH")) {
		if filepath.IsAbs(dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// A nameCheck looks for the program that is called by a name.
type nameCheck struct {
	title, name string
	shared      string // as in hook.Protocol
}

// in searches the directories in their order. Not ok when no program has the name.
func (n nameCheck) in(dirs []string, self string) (f finding, ok bool) {
	title := n.title
	var first, ours string
	for _, dir := range dirs {
		file := filepath.Join(dir, n.name)
		if runtime.GOOS == "windows" {
			file += ".exe"
		}
		info, err := os.Stat(file)
		if err != nil && isThere(file) {
			return warning(title, "remove it, or link it to "+self, "%s is a link to nowhere", file), true
		}
		if err != nil || info.IsDir() || runtime.GOOS != "windows" && info.Mode()&0o111 == 0 {
			continue
		}
		if first == "" {
			first = file
		}
		if me, err := os.Stat(self); err == nil && os.SameFile(info, me) && ours == "" {
			ours = file
		}
	}
	switch {
	case first == "":
		return finding{}, false
	case first == ours:
		return fine(title, "%s is this t2-cred %s", ours, version()), true
	case ours != "":
		return warning(title, "put its directory before the other's on PATH, or remove the other", "%s is shadowed by %s, another program", ours, first), true
	case n.shared != "":
		return fine(title, "%s is another program; %s", first, n.shared), true
	}
	return warning(title, "link it anew: ln -sf "+self+" "+first, "%s is another file than this %s, and may be of another version", first, self), true
}

// isThere is whether a name is taken, by a link to nowhere too.
func isThere(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
