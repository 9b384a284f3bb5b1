package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// stdoutClosed reports whether the program was started without a standard output.
// Go's runtime then opens /dev/null in its place, for reading and writing. A shell
// opens it for writing alone, and a daemon has it as standard input too. Python's
// DEVNULL and Node's ignore are as the runtime's, so the parent tells.
func stdoutClosed() bool {
	return isRuntimesNull(1) && !isRuntimesNull(0) && !opensNullBothWays(os.Getppid())
}

func isRuntimesNull(fd int) bool {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(1, 3) {
		return false
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_ACCMODE == unix.O_RDWR && flags&unix.O_CLOEXEC == 0
}

// opensNullBothWays reports whether a process is one of those that give a child /dev/null
// for reading and writing.
func opensNullBothWays(pid int) bool {
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	name := filepath.Base(exe)
	return err == nil && (strings.HasPrefix(name, "python") || strings.HasPrefix(name, "pypy") || strings.HasPrefix(name, "node"))
}
