//go:build unix

package setup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

var errOwner = errors.New("it belongs to another user, who would not own it any more; run setup as that user")

// mayReplace refuses to give a file to us: a replaced file is its writer's. A new
// file of root's in the directory of another user would be in that user's way.
func (c *change) mayReplace() error {
	path := c.path
	if !c.exists {
		if os.Geteuid() != 0 {
			return nil
		}
		for path = filepath.Dir(path); ; path = filepath.Dir(path) {
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) || path == filepath.Dir(path) {
				break
			}
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int64(st.Uid) != int64(os.Geteuid()) {
		return errOwner
	}
	if c.exists {
		c.attributes, err = attributesOf(path)
	}
	return err
}

// keepAttributes gives a file the group and the extended attributes of the one
// that it replaces, ACLs and labels among them.
func (c *change) keepAttributes(f *os.File) error {
	if old, err := os.Stat(c.path); err == nil {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		was, ok1 := old.Sys().(*syscall.Stat_t)
		is, ok2 := info.Sys().(*syscall.Stat_t)
		if ok1 && ok2 && was.Gid != is.Gid {
			mode := info.Mode().Perm()
			if err := f.Chown(-1, int(was.Gid)); err != nil {
				return err
			}
			if err := f.Chmod(mode); err != nil {
				return err
			}
		}
	}
	return setAttributes(f, c.attributes)
}
