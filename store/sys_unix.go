//go:build unix

package store

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// patiently is for other systems: here nobody is in the way of a file's next owner.
func patiently(do func() error) error { return do() }

// syncDir makes a rename or removal in dir last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// TooOpen says who else may read a file, or "" when only its owner may.
func TooOpen(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	return readers(info.Mode().Perm(), ok && st.Uid == 0 && os.Geteuid() != 0)
}

// readers are those besides the owner who may read a file. What is root's and not ours
// may be readable for a group: so Kubernetes mounts a Secret for a user who is not root
// (fsGroup), who has no other way to it. libpq has the same rule for its keys.
func readers(perm fs.FileMode, roots bool) string {
	switch {
	case perm&0o007 != 0:
		return "everybody"
	case roots && perm&0o070 == 0o040:
		return ""
	case perm&0o070 != 0:
		return "its group"
	}
	return ""
}

// ownDir refuses a directory where somebody else could put or swap files.
func ownDir(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || int(st.Uid) != os.Geteuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s is not a directory that is yours alone", dir)
	}
	return nil
}
