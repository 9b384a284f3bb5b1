package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/terradue/t2-cred/helper/safefile"
)

// An edit is a change of one file that it can also take back, to the byte.
type edit struct {
	file  string
	lines []string // what is added, for people
	// whole: the edit may rewrite lines that are not ours. They are not shown, as they
	// may hold secrets.
	whole bool
	// quiet: the edit only removes lines that an older t2-cred wrote. It has no put.
	quiet bool
	read  grammar
	// refuse, if set, looks for settings that the tool would prefer to ours. says is
	// the file without our lines.
	refuse func(says []setting) error
	// notice, if set, returns warnings about the file.
	notice func(says []setting) []string
	// want is the settings that we add. rest is the file without our lines.
	want func(rest string, says []setting) []setting
	put  func(text string, exists bool) (string, error)
	cut  func(text string) (rest string, keep bool, err error)
}

// A change is the new content of a file, not yet written.
type change struct {
	file string // as people call it
	path string // with links resolved, since many people link such files
	old  string
	text string
	// exists: the file exists now. keep: it exists after the change.
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

// planWrite reads the file by the tool's grammar before and after the change. All
// other settings must stay the same.
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
		return fmt.Errorf("the tool could not read the result: %w", err)
	}
	return compare(before, after, e.want(rest, before))
}

// planUndo removes our lines, also from a file that the tool cannot read. A file that it
// can read must keep all other settings.
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

var errLean = errors.New("lines below those of t2-cred belong to its section; take both out by hand")

// idle reports whether there is nothing to write.
func (c *change) idle() bool {
	return !c.keep && !c.exists || c.keep && c.exists && c.old == c.text || c.text == "" && !c.exists
}

// save writes the file with its old mode, unless there is nothing to write.
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

// unchanged reads the file again, as the tool may have written it meanwhile. A write
// between this check and the replacement is lost: tools have no common lock.
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
	switch {
	case errors.Is(err, errChanged):
		remedy = "run it again"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		remedy = "make room on the disk of " + filepath.Dir(c.file)
	}
	return configError(fmt.Sprintf("%s: %v", c.file, err), remedy)
}

// An attribute is an extended attribute of a file: an ACL, a label, or a user's own.
type attribute struct {
	name  string
	value []byte
}
