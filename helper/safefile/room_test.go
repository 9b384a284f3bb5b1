package safefile

import (
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func TestWriteAdvice(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the root directory is another there, and so are its errors")
	}
	here := t.TempDir()
	for _, tt := range []struct {
		dir  string
		err  error
		want string
	}{
		{filepath.Join(here, "a", "b"), fs.ErrPermission, "make " + here + " writable for this user, or set X"},
		{here, fs.ErrPermission, "make " + here + " writable for this user, or set X"},
		{filepath.Join(here, "a"), &fs.PathError{Op: "write", Path: "f", Err: syscall.ENOSPC}, "make room on the disk of " + here},
		{filepath.Join(here, "a"), syscall.EDQUOT, "make room on the disk of " + here},
		{filepath.Join(here, "a"), syscall.EROFS, here + " is on a read-only file system; set X"},
		{"/no-such-place/of/mine", fs.ErrPermission, "there is no such directory as /no-such-place; set HOME to a directory of yours, or set X"},
	} {
		if got := WriteAdvice(tt.dir, "set X", tt.err); got != tt.want {
			t.Errorf("%s, %v: %q, not %q", tt.dir, tt.err, got, tt.want)
		}
	}
	if got := WriteAdvice("/", "set X", fs.ErrPermission); !strings.HasPrefix(got, "there is no such directory as /;") {
		t.Errorf("the root directory: %q", got)
	}
}
