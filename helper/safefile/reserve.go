package safefile

import (
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
)

// A Reservation is a file whose place on disk is taken before its content is known,
// so that writing the content cannot fail for want of room. It is to be settled or
// dropped.
type Reservation struct {
	f    *os.File
	tmp  string // its name until it is settled
	head int64
}

// Reserve takes size bytes of disk, in a file at tmp. What a crash left there is removed.
// Its directory must exist, and the caller must exclude other writers. The bytes are
// random, as a file system that compresses would keep no room for others.
func Reserve(tmp string, size int) (*Reservation, error) {
	if err := Remove(tmp, false); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_EXCL, FileMode)
	if err != nil {
		return nil, err
	}
	var seed [32]byte
	_, _ = rand.Read(seed[:]) // never fails
	room := make([]byte, size)
	_, _ = mathrand.NewChaCha8(seed).Read(room)
	r := &Reservation{f: f, tmp: tmp}
	if _, err := f.Write(room); err != nil {
		r.Drop()
		return nil, err
	}
	return r, nil
}

// Settle writes the head over the first bytes, and moves the file to path. What was at
// path is there until then.
func (r *Reservation) Settle(path string, head []byte) error {
	r.head = int64(len(head))
	if err := r.Rewrite(head); err != nil {
		return err
	}
	if err := r.move(path); err != nil {
		return err
	}
	r.tmp = ""
	return nil
}

// Drop removes a reservation that was not settled.
func (r *Reservation) Drop() {
	if r.tmp != "" {
		_ = r.f.Close()
		_ = os.Remove(r.tmp)
	}
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
