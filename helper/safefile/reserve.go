package safefile

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
)

// A Reservation is a file whose place on disk is taken before its content is known,
// so that writing the content cannot fail for want of room.
type Reservation struct {
	f    *os.File
	head int64
}

// Reserve makes the file at path: the head, then size bytes to be overwritten. What
// was at path is there until the new file is whole. Its directory must exist, and the
// caller must exclude other writers. The bytes are random, as a file system that
// compresses would keep no room for others.
func Reserve(path string, head []byte, size int) (*Reservation, error) {
	tmp := reserveName(path)
	if err := Remove(tmp, false); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_EXCL, FileMode)
	if err != nil {
		return nil, err
	}
	room := make([]byte, len(head)+size)
	copy(room, head)
	_, _ = rand.Read(room[len(head):]) // never fails
	_, err = f.Write(room)
	if err == nil {
		err = settle(tmp, path)
	}
	if err != nil {
		err = errors.Join(err, f.Close())
		_ = os.Remove(tmp)
		return nil, err
	}
	return &Reservation{f: f, head: int64(len(head))}, nil
}

// Rewrite writes another head over the first one. It must be as long.
func (r *Reservation) Rewrite(head []byte) error {
	if int64(len(head)) != r.head {
		return errors.New("safefile: a head of another length")
	}
	_, err := r.f.WriteAt(head, 0)
	return err
}

// Fill puts the content behind the head, in one system call. Random bytes follow it, to
// the end of the room: the content must say itself where it ends.
func (r *Reservation) Fill(content []byte) error {
	_, err := r.f.WriteAt(content, r.head)
	return err
}

// Sync has the file on disk when it returns.
func (r *Reservation) Sync() error { return r.f.Sync() }

// Close closes the file and leaves it there.
func (r *Reservation) Close() error { return r.f.Close() }

// Create makes a file that must not be there yet, durably. The error wraps
// fs.ErrExist when it is.
func Create(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, FileMode)
	if err != nil {
		return err
	}
	if err := errors.Join(fill(f, content, Write{Mode: FileMode, Durable: true}), f.Close()); err != nil {
		_ = os.Remove(path)
		return err
	}
	return syncDir(filepath.Dir(path))
}
