package safefile

import "golang.org/x/sys/unix"

func setACL(path string, acl []byte) error {
	return unix.Setxattr(path, "system.posix_acl_access", acl, 0)
}
