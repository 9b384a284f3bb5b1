package cli

import "golang.org/x/sys/unix"

// stdoutClosed reports whether the program was started without a standard output.
// Go's runtime then opens /dev/null in its place, for reading and writing. A shell
// opens it for writing alone, other programs with O_CLOEXEC, and a daemon has it as
// standard input too.
func stdoutClosed() bool { return isRuntimesNull(1) && !isRuntimesNull(0) }

func isRuntimesNull(fd int) bool {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(1, 3) {
		return false
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_ACCMODE == unix.O_RDWR && flags&unix.O_CLOEXEC == 0
}
