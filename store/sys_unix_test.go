//go:build unix

package store

import (
	"io/fs"
	"syscall"
	"testing"
)

// strictUmask lets files be made without any right, where a mode is only asked for.
func strictUmask(t *testing.T) {
	old := syscall.Umask(0o777)
	t.Cleanup(func() { syscall.Umask(old) })
}

func TestReaders(t *testing.T) {
	for _, tt := range []struct {
		perm  fs.FileMode
		roots bool
		want  string
	}{
		{0o600, false, ""},
		{0o400, true, ""},
		{0o440, false, "its group"},
		{0o440, true, ""},
		{0o640, true, ""},
		{0o460, true, "its group"},
		{0o444, true, "everybody"},
		{0o604, false, "everybody"},
	} {
		if got := readers(tt.perm, tt.roots); got != tt.want {
			t.Errorf("%o, root's: %v: %q, want %q", tt.perm, tt.roots, got, tt.want)
		}
	}
}
