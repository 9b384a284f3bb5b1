// Package safefile has the one way to open a file that is trusted and the one way
// to replace a file.
//
// A file is read only when it is a regular file, within a size limit, and never in
// a way that can wait: a pipe in the place of a file is refused, not waited for.
// A file is replaced as a whole: a reader sees the old content or the new one.
//
// The package is a leaf: it imports nothing of ours. Its Go API is internal to
// t2-cred and may change at any time.
package safefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Modes of new files and directories, whatever the umask is.
const (
	DirMode  fs.FileMode = 0o700
	FileMode fs.FileMode = 0o600
)

// Reasons why a file is refused. Errors of this package are *fs.PathError that wrap
// one of them, or the system's own error.
var (
	ErrNotRegular = errors.New("not a regular file")
	ErrTooLarge   = errors.New("file too large")
	// ErrNotOurs is of a file that another user can change, replace or, for
	// [Private], read.
	ErrNotOurs = errors.New("not safe from other users")
)

// A Want is what a reader demands of a file.
type Want struct {
	Max int64 // largest size in bytes; more is ErrTooLarge
	// NoLink refuses a path that is itself a symbolic link.
	NoLink bool
	// Trust is who may own and write the file, and for [Private] read it.
	Trust Trust
}

// A Trust says whose file may be read.
type Trust int

// Levels of trust. On Windows they do not differ: the mode does not show what an
// ACL allows, and the directories of a user's profile are that user's alone.
const (
	// Anyone reads any file: the caller checks the content by other means.
	Anyone Trust = iota
	// Ours demands that we or root own the file, that nobody else can write it, and
	// that nobody else can put another file in its place. The group may write if it
	// is its owner's private group.
	Ours
	// Private is Ours, and nobody else can read the file. The group may read a file
	// of root's: Kubernetes (fsGroup) and systemd (LoadCredential) give secrets to a
	// service in this way.
	Private
)

// A distrust is why a file is refused. It is ErrNotOurs.
type distrust struct {
	reason string
	repair []string
}

func (d *distrust) Error() string { return ErrNotOurs.Error() + ": " + d.reason }

func (d *distrust) Unwrap() error { return ErrNotOurs }

// Repair is the command that mends it, for package hint; nil when no command does.
func (d *distrust) Repair() []string { return d.repair }

// MakeDir makes a directory and those above it with DirMode. A directory that exists
// stays as it is.
func MakeDir(dir string) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: fs.ErrExist}
		}
		return nil
	}
	if parent := filepath.Dir(dir); parent != dir {
		if err := MakeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, DirMode); err != nil {
		if errors.Is(err, fs.ErrExist) { // another process was faster
			return nil
		}
		return err
	}
	return os.Chmod(dir, DirMode)
}

// Remove removes a file; a missing one is no error. With durable the removal is on
// disk when Remove returns.
func Remove(path string, durable bool) error {
	err := patiently(func() error { return os.Remove(path) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && durable {
		err = syncDir(filepath.Dir(path))
	}
	return err
}
