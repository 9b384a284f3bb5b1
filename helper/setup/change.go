package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/terradue/t2-cred/helper/safefile"
)

// An edit is a change of one file that it can also take back, to the byte.
type edit struct {
	file  string
	lines []string // what is added, for people
	// whole is that the edit may rewrite lines that are not ours. They are not
	// shown, as they may hold secrets.
	whole bool
	// quiet is of a file that is only changed to take out what was written there
	// before; such an edit has no put.
	quiet bool
	read  grammar
	// refuse, where it is set, looks for settings of somebody else that would win
	// over ours. rest is the file without our lines.
	refuse func(says []setting) error
	// notice, where it is set, names what else a person should know of.
	notice func(says []setting) []string
	// want is what we add to what the file says.
	want func(rest string, says []setting) []setting
	put  func(text string, exists bool) (string, error)
	cut  func(text string) (rest string, keep bool, err error)
}

// A change is what an edit makes of its file, not yet made.
type change struct {
	file string // as people call it
	path string // where it really lies, since many keep links to such files in their home
	old  string
	text string
	// exists is whether it is there, keep whether it is to be.
	exists, keep, quiet bool
	attributes          []attribute
	notices             []string
}

// maxFile bounds what is read of a tool's file.
const maxFile = 16 << 20

func (e *edit) plan(undo bool) (*change, error) {
	c := &change{file: e.file, path: e.file, keep: true, quiet: e.quiet}
	if _, err := os.Lstat(c.path); err == nil {
		if c.path, err = filepath.EvalSymlinks(c.path); err != nil {
			return nil, err
		}
	}
	b, err := safefile.Read(c.path, safefile.Want{Max: maxFile})
	c.old, c.exists = string(b), err == nil
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case undo && !c.exists:
		c.keep = false
		return c, nil
	case undo:
		err = e.planUndo(c)
	default:
		err = e.planWrite(c)
	}
	if err == nil && !c.idle() {
		err = c.mayReplace()
	}
	return c, err
}

// planWrite has the tool's grammar read the file before and after: the tool must
// understand it, and all else that it says must stay the same.
func (e *edit) planWrite(c *change) (err error) {
	rest := ""
	if c.exists {
		if rest, _, err = e.cut(c.old); err != nil {
			return err
		}
	}
	before, err := e.read(rest)
	if err != nil {
		return err
	}
	if e.refuse != nil {
		if err := e.refuse(before); err != nil {
			return err
		}
	}
	if e.notice != nil {
		c.notices = e.notice(before)
	}
	if e.put == nil {
		c.keep = c.exists
		if !c.exists {
			return nil
		}
		return e.planUndo(c)
	}
	if c.text, err = e.put(c.old, c.exists); err != nil {
		return err
	}
	after, err := e.read(c.text)
	if err != nil {
		return fmt.Errorf("with the lines of t2-cred the tool could not read it: %w", err)
	}
	return compare(before, after, e.want(rest, before))
}

// planUndo takes the change back. What cannot be read is no reason to keep our
// lines, but the file must not become worse.
func (e *edit) planUndo(c *change) (err error) {
	if c.text, c.keep, err = e.cut(c.old); err != nil {
		return err
	}
	before, err := e.read(c.old)
	if err != nil {
		return nil
	}
	after, err := e.read(c.text)
	if err != nil || !within(after, before) {
		return errLean
	}
	return nil
}

var errLean = errors.New("lines of somebody else rest on those of t2-cred; take both out by hand")

// idle is whether the file is as it should be.
func (c *change) idle() bool {
	return !c.keep && !c.exists || c.keep && c.exists && c.old == c.text || c.text == "" && !c.exists
}

// save writes the file, with the mode that it had, unless it is already so.
func (c *change) save() (changed bool, err error) {
	switch {
	case c.idle():
		return false, nil
	case !c.keep:
		if err := c.unchanged(); err != nil {
			return false, err
		}
		return true, os.Remove(c.path)
	}
	mode := safefile.FileMode
	if info, err := os.Stat(c.path); err == nil {
		mode = info.Mode().Perm()
	}
	if err := safefile.MakeDir(filepath.Dir(c.path)); err != nil {
		return false, err
	}
	if err := c.unchanged(); err != nil {
		return false, err
	}
	if err := safefile.Replace(c.path, []byte(c.text), safefile.Write{Mode: mode, Durable: true, Prepare: c.keepAttributes}); err != nil {
		return false, err
	}
	return true, nil
}

// unchanged looks again, since the tool may have written meanwhile. What it writes
// between this and the replacing is lost even so: tools have no lock in common.
func (c *change) unchanged() error {
	switch b, err := safefile.Read(c.path, safefile.Want{Max: maxFile}); {
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
	return configError(fmt.Sprintf("%s: %v", c.file, err), remedy)
}

// An attribute is an extended attribute of a file: an ACL, a label, or a user's own.
type attribute struct {
	name  string
	value []byte
}
