//go:build !unix

package store

import (
	"io/fs"
	"os"
	"time"
)

// rename replaces a file. Windows refuses that while somebody has the old one
// open, which readers here do for microseconds.
func rename(from, to string) error {
	var err error
	for range 20 {
		if err = os.Rename(from, to); err == nil {
			return nil
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
