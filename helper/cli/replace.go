package cli

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// replaceFile puts content in the place of a file, readable by its owner alone
// whatever the umask is. A reader, or who looks after a crash, sees the old
// content or the new one, whole. The file itself is replaced: who has bound it,
// rather than its directory, into a container keeps the old one.
func replaceFile(path string, content []byte) (err error) {
	dir, base := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	sweep(dir, base)
	// A name of its own for each writer: two at once must not mix their bytes.
	f, err := os.CreateTemp(dir, temporary(base)+"*"+temporaryEnd)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if err := f.Chmod(0o600); err != nil && runtime.GOOS != "windows" {
		return err
	}
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := rename(f.Name(), path); err != nil {
		return err
	}
	// The content is safe; that the name is too is worth a try where it can be had.
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
	return nil
}

// rename replaces a file. Windows refuses that while somebody has the old one
// open, which readers mostly do for a moment.
func rename(from, to string) error {
	for try := 1; ; try++ {
		err := os.Rename(from, to)
		if err == nil || runtime.GOOS != "windows" || try == 20 {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

const temporaryEnd = ".t2-cred.tmp"

func temporary(base string) string { return "." + base + "." }

// sweep removes what writers of the same file left when they were killed half-way:
// a token must not lie about in files that nobody knows of.
func sweep(dir, base string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), temporary(base)) || !strings.HasSuffix(e.Name(), temporaryEnd) {
			continue
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > time.Minute {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
