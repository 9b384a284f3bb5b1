//go:build !unix

package safefile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// Read returns the content of a file that meets the demands.
func Read(path string, w Want) (content []byte, err error) {
	err = patiently(func() error { content, err = read(path, w); return err })
	return content, err
}

func read(path string, w Want) ([]byte, error) {
	info, err := os.Lstat(path)
	if err == nil && info.Mode().Type() == fs.ModeSymlink && !w.NoLink {
		info, err = os.Stat(path)
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: path, Err: ErrNotRegular}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, w.Max+1))
	if err == nil && int64(len(content)) > w.Max {
		err = &fs.PathError{Op: "read", Path: path, Err: ErrTooLarge}
	}
	return content, err
}

// replace uses the way in which Windows shares files: while one writer has the
// temporary file open, no other can remove or rename it.
func replace(path, tmp string, content []byte, w Write) (err error) {
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, FileMode)
	if err != nil {
		return err
	}
	if err := errors.Join(fill(f, content, w), f.Close()); err != nil {
		_ = os.Remove(tmp)
		return err
	}
	return os.Rename(tmp, path)
}

// NoLocks reports whether an error says that the file system has no locks.
func NoLocks(error) bool { return false }

func unsupported(err error) bool { return errors.Is(err, errors.ErrUnsupported) }

// patiently does something to a file again and again. Windows refuses to replace or
// remove a file while somebody reads it, and to open one while it is replaced. Both
// take microseconds here.
func patiently(do func() error) error {
	var err error
	for range 200 {
		err = do()
		if err == nil || errors.Is(err, ErrNotRegular) || errors.Is(err, ErrTooLarge) {
			return err
		}
		if path, ok := errors.AsType[*fs.PathError](err); ok && errors.Is(path.Err, fs.ErrNotExist) {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
	return err
}

func syncDir(string) error { return nil }

// move closes the file meanwhile: Windows does not rename an open one.
func (r *Reservation) move(path string) error {
	if err := r.f.Close(); err != nil {
		return err
	}
	if err := patiently(func() error { return os.Rename(r.tmp, path) }); err != nil {
		return err
	}
	return patiently(func() (err error) {
		r.f, err = os.OpenFile(path, os.O_RDWR, FileMode)
		return err
	})
}
