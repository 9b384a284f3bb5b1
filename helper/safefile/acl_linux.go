package safefile

import "golang.org/x/sys/unix"

// hasACL reports whether a file has access entries beside those of its mode. The
// group's bits are then the mask of all of them (acl(5)): they may stand for another
// user. A file system without such entries has none.
func hasACL(path string) bool {
	size, err := unix.Getxattr(path, "system.posix_acl_access", nil)
	return err == nil && size > 0
}
