package syscalls

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// numbers of the calls that can be supervised. What a Go program never does
// (open, rename) is left out, because arm64 does not have it.
func numbers() map[string]uint32 {
	return map[string]uint32{
		"openat": unix.SYS_OPENAT, "read": unix.SYS_READ, "write": unix.SYS_WRITE,
		"pread64": unix.SYS_PREAD64, "pwrite64": unix.SYS_PWRITE64,
		"fsync": unix.SYS_FSYNC, "fdatasync": unix.SYS_FDATASYNC, "ftruncate": unix.SYS_FTRUNCATE, "fallocate": unix.SYS_FALLOCATE,
		"renameat": unix.SYS_RENAMEAT, "renameat2": unix.SYS_RENAMEAT2, "unlinkat": unix.SYS_UNLINKAT,
		"linkat": unix.SYS_LINKAT, "symlinkat": unix.SYS_SYMLINKAT, "mkdirat": unix.SYS_MKDIRAT,
		"flock": unix.SYS_FLOCK, "fchmod": unix.SYS_FCHMOD, "fchmodat": unix.SYS_FCHMODAT,
		"connect": unix.SYS_CONNECT, "sendto": unix.SYS_SENDTO, "sendmsg": unix.SYS_SENDMSG,
		"recvfrom": unix.SYS_RECVFROM, "recvmsg": unix.SYS_RECVMSG,
		"add_key": unix.SYS_ADD_KEY, "keyctl": unix.SYS_KEYCTL,
	}
}

// Names are all calls that can be supervised.
func Names() []string {
	all := make([]string, 0, 32)
	for name := range numbers() {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// number is a call's number on this machine.
func number(name string) (uint32, error) {
	n, ok := numbers()[name]
	if !ok {
		return 0, fmt.Errorf("no call %q can be supervised", name)
	}
	return n, nil
}

// nameOf is the name of a call's number.
func nameOf(nr uint32) string {
	for name, n := range numbers() {
		if n == nr {
			return name
		}
	}
	return fmt.Sprintf("call %d", nr)
}
