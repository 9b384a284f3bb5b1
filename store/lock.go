package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// locker excludes others from one record, until release is called or the
// process ends. A backend that several machines share brings its own.
type locker interface {
	lock(ctx context.Context, name string) (release func(), err error)
}

// maxLockWait bounds the wait of who comes without a deadline.
const maxLockWait = 30 * time.Second

// fileLocks is a side file for each record: the data file itself cannot be the
// lock, since it is replaced and not changed. The files are never removed, as
// two processes could then hold locks on two files of one name.
type fileLocks struct {
	dir string
	now func() time.Time
}

// lock takes a record's lock, within the caller's deadline or ours.
func (s *Store) lock(ctx context.Context, name string) (release func(), err error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, maxLockWait)
		defer cancel()
	}
	return s.locks.lock(ctx, name)
}

// lock waits by trying again, as a blocking flock cannot be given up. The
// kernel releases the lock of a process that dies, so there is nothing to break.
func (l fileLocks) lock(ctx context.Context, name string) (func(), error) {
	path := filepath.Join(l.dir, name+".lock")
	if err := ensureDir(l.dir); err != nil {
		return nil, cannotLock(l.dir, err)
	}
	started := l.now()
	f := flock.New(path)
	for delay := time.Millisecond; ; delay = min(2*delay, 10*time.Millisecond) {
		if ctx.Err() != nil {
			return nil, busy(ctx, l.now().Sub(started), lockHolder(path))
		}
		ok, err := f.TryLock()
		if err != nil {
			return nil, cannotLock(path, err)
		}
		if ok {
			keepOpenable(path)
			return func() { _ = f.Unlock() }, nil
		}
		timer := time.NewTimer(delay/2 + rand.N(delay)) //nolint:gosec // only to wait apart from the others
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}

// keepOpenable gives a lock file that a strict umask left unreadable its mode.
func keepOpenable(path string) {
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&fileMode != fileMode {
		_ = os.Chmod(path, fileMode)
	}
}

func cannotLock(path string, err error) error {
	return &Error{
		Kind: ErrUnavailable, Detail: "cannot lock the record", Err: err,
		Remedy: "make " + filepath.Dir(path) + " writable, or set XDG_STATE_HOME to a directory that is",
	}
}

// busy says that the wait for a lock ended without it. An interrupt is not the
// holder's fault.
func busy(ctx context.Context, waited time.Duration, holder string) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	detail := fmt.Sprintf("waited %s for it", waited.Round(time.Millisecond))
	if holder != "" {
		detail += " (" + holder + ")"
	}
	return &Error{
		Kind:   ErrBusy,
		Detail: detail,
		Remedy: "try again, or give it longer with --timeout",
	}
}
