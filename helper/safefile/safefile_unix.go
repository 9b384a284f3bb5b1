//go:build unix

package safefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Read returns the content of a file that meets the demands. It takes five system
// calls and no poller, as a cached get reads two files this way. Trust costs one
// more for each part of the path.
func Read(path string, w Want) ([]byte, error) {
	fd, st, err := open(path, w)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	buf := make([]byte, min(st.Size, w.Max)+1) // one more, to see the end
	n := 0
	for {
		got, err := again(func() (int, error) { return unix.Read(fd, buf[n:]) })
		switch {
		case err != nil:
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		case got == 0:
			return buf[:n], nil
		}
		if n += got; int64(n) > w.Max {
			return nil, &fs.PathError{Op: "read", Path: path, Err: ErrTooLarge}
		}
		if n == len(buf) { // it grows, or its size is not known, as in /proc
			buf = append(buf, make([]byte, len(buf)+512)...)
		}
	}
}

// open opens a file without waiting and checks what was opened, not its name.
func open(path string, w Want) (fd int, st unix.Stat_t, err error) {
	flags := unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY
	if w.NoLink {
		flags |= unix.O_NOFOLLOW
	}
	fd, err = again(func() (int, error) { return unix.Open(path, flags, 0) })
	if err != nil {
		return -1, st, err
	}
	err = unix.Fstat(fd, &st)
	switch {
	case err != nil:
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		err = ErrNotRegular
	case st.Size > w.Max:
		err = ErrTooLarge
	case w.Trust != Anyone:
		err = process().trusted(path, &st, w.Trust)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, st, err
	}
	return fd, st, nil
}

// again repeats a call that a signal interrupted.
func again[T any](call func() (T, error)) (T, error) {
	for {
		v, err := call()
		if !errors.Is(err, unix.EINTR) {
			return v, err
		}
	}
}

// lockWait bounds the wait for another writer of the same file, which takes
// milliseconds.
const lockWait = 5 * time.Second

func replace(path, tmp string, content []byte, w Write) (err error) {
	f, err := openTemporary(tmp)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // which also unlocks
	defer func() {
		if err != nil {
			_ = os.Remove(tmp)
		}
	}()
	if err := fill(f, content, w); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	if w.Durable {
		return syncDir(filepath.Dir(path))
	}
	return nil
}

// openTemporary makes the temporary file, empty, and locks it: its name is the same
// for all writers, and a lock keeps two of them apart. What a killed writer left, or
// what somebody linked there, is removed first.
func openTemporary(tmp string) (*os.File, error) {
	for deadline := time.Now().Add(lockWait); ; { //nolint:forbidigo // a wait, not a time that is kept
		fd, err := again(func() (int, error) {
			return unix.Open(tmp, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, uint32(FileMode))
		})
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: tmp, Err: err}
		}
		ours, err := lockTemporary(fd, tmp)
		if err == nil && ours {
			return os.NewFile(uintptr(fd), tmp), nil
		}
		_ = unix.Close(fd)
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: tmp, Err: err}
		}
		if time.Now().After(deadline) { //nolint:forbidigo // as above
			return nil, &fs.PathError{Op: "lock", Path: tmp, Err: unix.EBUSY}
		}
		time.Sleep(time.Millisecond)
	}
}

// lockTemporary reports whether fd is the one regular file of that name, is locked by
// us, and is empty. It is not when another writer was faster.
func lockTemporary(fd int, tmp string) (ours bool, err error) {
	_, err = again(func() (int, error) { return 0, unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		return false, nil
	case err != nil && !NoLocks(err):
		return false, err
	}
	var st, now unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false, err
	}
	if err := unix.Lstat(tmp, &now); err != nil || now.Ino != st.Ino || now.Dev != st.Dev {
		return false, nil // it was renamed or removed meanwhile
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink != 1 || int(st.Uid) != os.Geteuid() {
		return false, os.Remove(tmp) // not made by us: made anew
	}
	_, err = again(func() (int, error) { return 0, unix.Ftruncate(fd, 0) })
	return err == nil, err
}

// NoLocks reports whether an error says that the file system has no locks.
func NoLocks(err error) bool {
	return errors.Is(err, unix.ENOLCK) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS)
}

func unsupported(err error) bool { return errors.Is(err, errors.ErrUnsupported) }

// patiently is for other systems: here nobody is in the way of a file's next owner.
func patiently(do func() error) error { return do() }

// syncDir makes a rename or removal in dir last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (r *Reservation) move(path string) error { return os.Rename(r.tmp, path) }
