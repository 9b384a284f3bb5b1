package safefile

import (
	"crypto/rand"
	"errors"
	"os"
)

// A Reservation is a file whose place on disk is taken before its content is known,
// so that writing the content cannot fail for want of room.
type Reservation struct {
	f    *os.File
	head int64
}

// Reserve makes the file at path: the head, then size bytes to be overwritten. What
// was at path is replaced. Its directory must exist, and the caller must exclude
// other writers. The bytes are random, as a file system that compresses would keep
// no room for others.
func Reserve(path string, head []byte, size int) (*Reservation, error) {
	if err := Remove(path, false); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, FileMode)
	if err != nil {
		return nil, err
	}
	room := make([]byte, len(head)+size)
	copy(room, head)
	_, _ = rand.Read(room[len(head):]) // never fails
	if _, err := f.Write(room); err != nil {
		err = errors.Join(err, f.Close())
		_ = os.Remove(path)
		return nil, err
	}
	return &Reservation{f: f, head: int64(len(head))}, nil
}

// Fill puts the content behind the head and cuts off what is left of the room.
func (r *Reservation) Fill(content []byte) error {
	if _, err := r.f.WriteAt(content, r.head); err != nil {
		return err
	}
	return r.f.Truncate(r.head + int64(len(content)))
}

// Sync has the file on disk when it returns.
func (r *Reservation) Sync() error { return r.f.Sync() }

// Close closes the file and leaves it there.
func (r *Reservation) Close() error { return r.f.Close() }
