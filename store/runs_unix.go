//go:build unix

package store

import (
	"errors"

	"golang.org/x/sys/unix"
)

// runs reports whether a process of this machine runs, as far as we may know.
func runs(pid int) bool {
	err := unix.Kill(pid, 0)
	return pid > 0 && (err == nil || errors.Is(err, unix.EPERM))
}
