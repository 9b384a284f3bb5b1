package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// makeSetup makes the change or takes it back. All is looked at before anything is
// changed; links come before the files that name them, and go after them.
func (a *app) makeSetup(name string, s setup, o setupOptions) error {
	var plans []*change
	for _, e := range s.edits {
		c, err := e.plan(o.undo)
		if err != nil {
			remedy := fmt.Sprintf("mend it, or do by hand what t2-cred setup %s shows", name)
			if o.undo {
				remedy = "mend it, or take out by hand what names t2-cred"
			}
			return &configError{detail: fmt.Sprintf("%s: %v; it was left as it is", e.file, err), remedy: remedy}
		}
		plans = append(plans, c)
	}
	if o.undo {
		return a.undoSetup(s, o, plans)
	}
	for _, l := range s.links {
		if err := checkLink(l, o.program); err != nil {
			return err
		}
	}
	for _, l := range s.links {
		if err := makeLink(l, o.program); err != nil {
			return err
		}
	}
	for _, c := range plans {
		changed, err := c.save()
		switch {
		case err != nil:
			return c.failed(err, "do by hand what t2-cred setup "+name+" shows")
		case changed:
			fmt.Fprintf(a.Stderr, "%s tells the tool to ask t2-cred\n", c.file)
		default:
			fmt.Fprintf(a.Stderr, "%s says so already\n", c.file)
		}
	}
	for _, l := range s.links {
		a.warnOfPath(l, o)
	}
	fmt.Fprint(a.Stderr, s.show)
	return nil
}

func (a *app) undoSetup(s setup, o setupOptions, plans []*change) error {
	used := false
	for _, c := range plans {
		changed, err := c.save()
		switch {
		case err != nil:
			return c.failed(err, "take it out by hand, between the comments of t2-cred")
		case changed:
			fmt.Fprintf(a.Stderr, "%s is as it was without t2-cred\n", c.file)
		default:
			fmt.Fprintf(a.Stderr, "%s has nothing that t2-cred wrote for this; it was left as it is\n", c.file)
		}
		used = used || s.used != nil && s.used(c.text)
	}
	for _, l := range s.links {
		if target, err := os.Readlink(l); used || err != nil || filepath.ToSlash(target) != o.program {
			continue // wanted yet, or not ours
		}
		if err := os.Remove(l); err != nil {
			return err
		}
		fmt.Fprintf(a.Stderr, "removed the link %s\n", l)
	}
	return nil
}

// warnOfPath tells when a tool will not find our link by its name. The link of a
// plugin directory is found otherwise.
func (a *app) warnOfPath(link string, o setupOptions) {
	if filepath.Dir(link) != o.binDir {
		return
	}
	path := filepath.SplitList(a.Getenv("PATH"))
	if !slices.Contains(path, o.binDir) {
		a.warn(o.binDir + " is not on PATH, where the tool looks for t2-cred; name one that is: --bin-dir DIR")
		return
	}
	for _, dir := range path {
		first := filepath.Join(dir, filepath.Base(link))
		if first == link {
			return
		}
		if isProgram(first) {
			a.warn(fmt.Sprintf("%s comes before %s on PATH, so the tool runs that; name a directory that comes earlier: --bin-dir DIR", first, o.binDir))
			return
		}
	}
}

func isProgram(path string) bool {
	if !filepath.IsAbs(path) {
		return false
	}
	_, err := exec.LookPath(path)
	return err == nil
}

// A change is what an edit makes of its file, not yet made.
type change struct {
	file string // as people call it
	path string // where it really lies, since many keep links to such files in their home
	old  string
	text string
	// exists is whether it is there, keep whether it is to be.
	exists, keep bool
}

func (e *edit) plan(undo bool) (*change, error) {
	c := &change{file: e.file, path: e.file, keep: true}
	if _, err := os.Lstat(c.path); err == nil {
		if c.path, err = filepath.EvalSymlinks(c.path); err != nil {
			return nil, err
		}
	}
	b, err := os.ReadFile(c.path)
	c.old, c.exists = string(b), err == nil
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case undo && !c.exists:
		c.keep = false
		return c, nil
	case undo:
		c.text, c.keep, err = e.cut(c.old)
	default:
		c.text, err = e.put(c.old, c.exists)
	}
	return c, err
}

// save writes the file, with the mode that it had, unless it is already so.
func (c *change) save() (changed bool, err error) {
	switch {
	case !c.keep && !c.exists, c.keep && c.exists && c.old == c.text, c.text == "" && !c.exists:
		return false, nil
	case !c.keep:
		if err := c.unchanged(); err != nil {
			return false, err
		}
		return true, os.Remove(c.path)
	}
	mode := fs.FileMode(0o600)
	if info, err := os.Stat(c.path); err == nil {
		mode = info.Mode().Perm()
	}
	if err := os.MkdirAll(filepath.Dir(c.path), 0o700); err != nil {
		return false, err
	}
	if err := c.unchanged(); err != nil {
		return false, err
	}
	if err := replaceFile(c.path, []byte(c.text)); err != nil {
		return false, err
	}
	if mode != 0o600 && runtime.GOOS != "windows" {
		return true, os.Chmod(c.path, mode)
	}
	return true, nil
}

// unchanged looks again, since the tool may have written meanwhile. What it writes
// between this and the replacing is lost even so: tools have no lock in common.
func (c *change) unchanged() error {
	switch b, err := os.ReadFile(c.path); {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case (err == nil) != c.exists || string(b) != c.old:
		return errChanged
	}
	return nil
}

var errChanged = errors.New("it has just changed; run it again")

func (c *change) failed(err error, remedy string) error {
	if errors.Is(err, errChanged) {
		remedy = "run it again"
	}
	return &configError{detail: fmt.Sprintf("%s: %v", c.file, err), remedy: remedy}
}

// linkNamed is the path of the link by which a tool finds us on PATH.
func (o setupOptions) linkNamed(name string) string {
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(o.binDir, name)
}

// checkLink refuses when something else has the name.
func checkLink(path, program string) error {
	if !isThere(path) {
		return nil
	}
	target, err := os.Readlink(path)
	if err == nil && !filepath.IsAbs(target) { // as a package makes it
		target = filepath.Join(filepath.Dir(path), target)
	}
	if err == nil && filepath.ToSlash(target) == program {
		return nil
	}
	return &configError{
		detail: fmt.Sprintf("%s is there already and is not a link to %s; it was left as it is", path, program),
		remedy: "move it away, or name another directory on PATH: --bin-dir DIR",
	}
}

func makeLink(path, program string) error {
	if isThere(path) {
		return nil // checked before
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.Symlink(program, path); err != nil {
		return &configError{detail: fmt.Sprintf("link: %v", err), remedy: "name a directory on PATH that you may write to: --bin-dir DIR"}
	}
	return nil
}

// eolOf is how the lines of a text end.
func eolOf(text string) string {
	if strings.Contains(text, "\r\n") {
		return "\r\n"
	}
	return "\n"
}
