package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/terradue/t2-cred/helper/safefile"
)

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
	if err := safefile.Replace(c.path, []byte(c.text), safefile.Write{Mode: mode, Durable: true}); err != nil {
		return false, err
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
	return configError(fmt.Sprintf("%s: %v", c.file, err), remedy)
}
