package store

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const (
	dirMode  = 0o700
	fileMode = 0o600
)

// ensureDir makes a directory and those above it, readable by their owner alone
// whatever the umask is. A directory that exists stays as it is.
func ensureDir(dir string) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: fs.ErrExist}
		}
		return nil
	}
	if parent := filepath.Dir(dir); parent != dir {
		if err := ensureDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, dirMode); err != nil {
		if errors.Is(err, fs.ErrExist) { // another process was faster
			return nil
		}
		return err
	}
	return os.Chmod(dir, dirMode)
}

// writeFile replaces a file whole: a reader sees the old or the new content.
// With durable it is on disk when writeFile returns, and a crash of the machine
// leaves the one or the other.
//
// The temporary name is always the same, so what a killed process left there is
// overwritten by the next. Two writers of one name must exclude each other; all
// of this package hold the record's lock.
func writeFile(path string, content []byte, durable bool) (err error) {
	dir := filepath.Dir(path)
	if err := ensureDir(dir); err != nil {
		return err
	}
	tmp := path + ".tmp"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(tmp)
		}
	}()
	if err := f.Chmod(fileMode); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	if _, err := f.Write(content); err != nil {
		return err
	}
	if durable {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := patiently(func() error { return os.Rename(tmp, path) }); err != nil {
		return err
	}
	if durable {
		return syncDir(dir)
	}
	return nil
}

// removeFile removes a file; that it is missing is no error.
func removeFile(path string, durable bool) error {
	err := patiently(func() error { return os.Remove(path) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && durable {
		err = syncDir(filepath.Dir(path))
	}
	return err
}

// ReadFile is os.ReadFile for a small file that is read by each cached get: that
// one asks whether the file can be polled, which sets up the poller and costs a
// hundredth of such a get.
func ReadFile(path string) ([]byte, error) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		var content []byte
		err := patiently(func() (err error) { content, err = os.ReadFile(path); return err })
		return content, err // os' says what is wrong
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	return io.ReadAll(f)
}
