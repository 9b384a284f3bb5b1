//go:build unix

package store

import (
	"syscall"
	"testing"
)

// strictUmask lets files be made without any right, where a mode is only asked for.
func strictUmask(t *testing.T) {
	old := syscall.Umask(0o777)
	t.Cleanup(func() { syscall.Umask(old) })
}

func makePipe(path string) error { return syscall.Mkfifo(path, 0o600) }
