package safefile

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// WriteAdvice says what to do about a directory in which nothing could be made. It names
// the nearest directory that exists, since that is the one to look at. other is what
// names another place, as in "set XDG_DATA_HOME to another one".
func WriteAdvice(dir, other string, err error) string {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return "make room on the disk of " + standing(dir)
	}
	at := standing(dir)
	switch {
	case at == filepath.Dir(at): // no user has the root directory
		return "there is no such directory as " + firstMissing(dir) + "; set HOME to a directory of yours, or " + other
	case errors.Is(err, syscall.EROFS):
		return at + " is on a read-only file system; " + other
	}
	return "make " + at + " writable for this user, or " + other
}

// standing is the directory, or the nearest one above it that exists.
func standing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// firstMissing is the topmost directory of a path that does not exist.
func firstMissing(dir string) string {
	for dir != filepath.Dir(dir) && standing(filepath.Dir(dir)) != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
	}
	return dir
}
