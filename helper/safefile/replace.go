package safefile

import (
	"io/fs"
	"os"
	"path/filepath"
)

// A Write says how a file is replaced.
type Write struct {
	Mode fs.FileMode // permission bits; 0 for FileMode
	// Durable has the content and the name on disk when Replace returns. A crash of
	// the machine then leaves the old content or the new one.
	Durable bool
	// Prepare, where it is set, is given the filled temporary file before it takes the
	// place of the old one. On an error the old one stays.
	Prepare func(*os.File) error
}

// Temporary is the name of the file that Replace fills before it renames it. It is
// the same for every writer of path, so a killed writer leaves at most one, and the
// next writer overwrites it.
func Temporary(path string) string {
	dir, base := filepath.Split(path)
	return dir + "." + base + ".t2-cred.tmp"
}

// Replace puts content in the place of a file. Its directory must exist. A symbolic
// link at path is itself replaced. Writers of one path exclude each other.
//
// On an error the old content is still there, unless the error is of the directory's
// fsync.
func Replace(path string, content []byte, w Write) error {
	if w.Mode == 0 {
		w.Mode = FileMode
	}
	tmp := Temporary(path)
	return patiently(func() error { return replace(path, tmp, content, w) })
}

// fill writes the content of the temporary file f.
func fill(f *os.File, content []byte, w Write) error {
	if err := f.Chmod(w.Mode); err != nil && !unsupported(err) {
		return err
	}
	if _, err := f.Write(content); err != nil {
		return err
	}
	if w.Prepare != nil {
		if err := w.Prepare(f); err != nil {
			return err
		}
	}
	if w.Durable {
		return f.Sync()
	}
	return nil
}
