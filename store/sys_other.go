//go:build !unix

package store

import (
	"errors"
	"io/fs"
	"time"
)

// patiently does something to a file again and again. Windows refuses to replace or
// remove one while somebody reads it, and to open one while it is replaced, all of
// which takes microseconds here, unless there is one reader after another.
func patiently(do func() error) error {
	var err error
	for range 200 {
		if err = do(); err == nil || errors.Is(err, fs.ErrNotExist) {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
	return err
}

func syncDir(string) error { return nil }

// TooOpen has nothing to say: the mode does not show what an ACL allows, and a
// profile's directories are the user's own by default.
func TooOpen(fs.FileInfo) string { return "" }

func ownDir(string) error { return nil }
