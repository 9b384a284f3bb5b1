package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/safefile"
	"github.com/terradue/t2-cred/store/backend"
)

// maxLockWait bounds the wait of a caller without a deadline.
const maxLockWait = 30 * time.Second

// maxLockPause is the longest pause between two tries to get a lock.
const maxLockPause = 250 * time.Millisecond

// fileLocks is a side file for each record: the data file itself cannot be the
// lock, since it is replaced and not changed. The files are never removed, as
// two processes could then hold locks on two files of one name.
type fileLocks struct {
	dir string
	now func() time.Time
}

// A heldLock keeps all other processes from one record, until it is released or this
// process ends.
type heldLock struct {
	f    *flock.Flock
	path string
}

func (l *heldLock) release() { _ = l.f.Unlock() }

// lost says that the locked file is no longer the one at its path: somebody removed
// it, and another process may hold a lock on its successor.
func (l *heldLock) lost() error {
	held, err := l.f.Stat()
	if err != nil {
		return err
	}
	if !held.Mode().IsRegular() {
		return &fs.PathError{Op: "lock", Path: l.path, Err: safefile.ErrNotRegular}
	}
	now, err := os.Stat(l.path)
	if err == nil && !os.SameFile(held, now) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return &fs.PathError{Op: "lock", Path: l.path, Err: err}
	}
	return nil
}

// lock takes a record's lock, within the caller's deadline or ours.
func (s *Store) lock(ctx context.Context, name string) (*heldLock, error) {
	return s.lockUnless(ctx, name, func() bool { return false })
}

// lockUnless is lock, and gives up without an error and without the lock once needless
// says so: a waiter leaves as soon as the holder has brought what it wants.
func (s *Store) lockUnless(ctx context.Context, name string, needless func() bool) (*heldLock, error) {
	limit := maxLockWait
	if s.shared() { // its holder may wait for another machine's claim
		limit += s.claimWait()
	}
	ctx, cancel := s.bounded(ctx, limit)
	defer cancel()
	return s.locks.lock(ctx, name, needless)
}

// lock waits by trying again, as a blocking flock cannot be given up. The
// kernel releases the lock of a process that dies, so there is nothing to break.
func (l fileLocks) lock(ctx context.Context, name string, needless func() bool) (*heldLock, error) {
	path := filepath.Join(l.dir, name+".lock")
	started := l.now()
	held := &heldLock{path: path}
	// Whoever waits for long is one of many, or waits for a slow issuer: it asks less often.
	for delay := time.Millisecond; ; delay = min(2*delay, max(10*time.Millisecond, l.now().Sub(started)/20), maxLockPause) {
		if ctx.Err() != nil {
			return nil, busy(ctx, l.now().Sub(started), lockHolder(path))
		}
		if err := safefile.MakeDir(l.dir); err != nil {
			return nil, cannotLock(l.dir, err)
		}
		if held.f == nil {
			held.f = flock.New(path, flock.SetPermissions(safefile.FileMode), flock.SetFlag(lockFlags))
		}
		ok, err := held.f.TryLock()
		switch {
		case errors.Is(err, syscall.EINTR), errors.Is(err, fs.ErrNotExist): // tried again
		case err != nil:
			return nil, cannotLock(path, err)
		case ok && held.lost() == nil:
			keepOpenable(path)
			return held, nil
		case ok && errors.Is(held.lost(), safefile.ErrNotRegular):
			held.release()
			return nil, cannotLock(path, safefile.ErrNotRegular)
		case ok: // the file was removed while we waited: its successor is the lock
			held.release()
			held.f = nil
			continue
		}
		if delay > time.Millisecond && needless() {
			return nil, nil //nolint:nilnil // as the doc comment says
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
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&safefile.FileMode != safefile.FileMode {
		_ = os.Chmod(path, safefile.FileMode)
	}
}

func cannotLock(path string, err error) error {
	dir := filepath.Dir(path)
	remedy := hint.Say(safefile.WriteAdvice(dir, "set XDG_STATE_HOME to another one", err))
	if safefile.NoLocks(err) {
		remedy = hint.Say("this file system has no locks: set XDG_STATE_HOME to a directory on another one")
	}
	return backend.Errorf(ErrUnavailable, err, remedy, "cannot lock the record")
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
	return backend.Errorf(ErrBusy, nil, hint.Say("try again, or give it longer with --timeout"), "%s", detail)
}

// refreshes counts how often the issuer has answered a refresh of this record. It
// lies beside the lock and is read before waiting for it: a caller that wants a fresh
// token sees by it, and not by a clock, whether another process got one meanwhile.
func (l fileLocks) refreshes(name string) uint64 {
	text, err := safefile.Read(l.countPath(name), safefile.Want{Max: 64, Trust: safefile.Ours})
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// countRefresh is called under the lock. Failing costs a request of somebody who waits.
func (l fileLocks) countRefresh(name string) {
	next := strconv.FormatUint(l.refreshes(name)+1, 10)
	_ = safefile.Replace(l.countPath(name), []byte(next+"\n"), safefile.Write{})
}

func (l fileLocks) countPath(name string) string { return filepath.Join(l.dir, name+".count") }
