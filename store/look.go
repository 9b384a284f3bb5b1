package store

import (
	"context"
	"errors"
	"os"
	"strconv"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/agefile"
	"github.com/terradue/t2-cred/store/backend"
)

// known is what is known of an account while its lock is held.
type known struct {
	rec   Record           // with its cached token; zero when nothing is stored
	rev   backend.Revision // of the item
	base  string           // digest of the item's value
	note  note
	noted bool
	place string // of rec's cached token
	// waiting is a sealed copy that is newer than the item and could not be saved.
	waiting *foundCopy
	// doubt is an earlier refresh without an outcome, and mark its trace on this machine.
	// On a store of one machine they are the same.
	doubt, mark *Doubt
}

// A Doubt is an earlier refresh whose refresh token may have been sent and whose
// answer nobody has kept.
type Doubt struct {
	Since time.Time // by the clock of the process that sent it
	PID   int
	// Elsewhere says that another machine sent it.
	Elsewhere bool

	// The rest is of a shared store.

	Node string        // the machine that held the claim; empty on a store of one machine
	Age  time.Duration // since the doubt was written down, by clocks that nobody sets
	Lost bool          // no machine can have the answer
	Ask  bool          // the issuer may be asked whether the token was spent
}

// inFlight is for how long a mark of a process that runs is taken for a refresh under
// way.
const inFlight = 45 * time.Second

// look reads all that is known of an account, with the lock held. What an earlier
// process left is settled first: the copies of 3f78ee2, then our own.
func (s *Store) look(ctx context.Context, k Key) (known, error) {
	if s.shared() { // whoever changes it claims it
		rec, err := s.repairShared(ctx, k)
		n, noteErr := s.notes.get(k)
		return known{rec: rec, note: n, noted: noteErr == nil}, err
	}
	for {
		st, err := s.lookOnce(ctx, k)
		if !errors.Is(err, errLookAgain) {
			return st, err
		}
	}
}

// errLookAgain says that another process has changed what was looked at.
var errLookAgain = errors.New("store: look again")

func (s *Store) lookOnce(ctx context.Context, k Key) (known, error) {
	name := k.item(kindGrant)
	n, noteErr := s.notes.get(k)
	st := known{note: n, noted: noteErr == nil}
	value, rev, err := s.backend.Load(ctx, name)
	value, rev, err = s.takeOldCopy(ctx, k, value, rev, err)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return st, damagedRecord(k, err)
	}
	st.rev, st.base = rev, digest(value)
	missing := err
	if missing == nil {
		if st.rec, err = decodeFor(k, value); err != nil {
			return st, err
		}
	}
	if err := s.settle(ctx, k, &st, value); err != nil {
		return st, err
	}
	if st.rec.Grant == "" {
		if st.noted {
			s.forget(ctx, k, st) // somebody deleted it in the keyring's own program
		}
		return st, missing
	}
	st.rec.Token, st.place = s.tokenOf(ctx, k, st.rec.Grant, st.note, st.noted)
	return st, nil
}

// settle goes through the copies of an account. One that holds a record newer than the
// item is saved; a mark without an outcome becomes the doubt.
func (s *Store) settle(ctx context.Context, k Key, st *known, value secret.Secret) error {
	grant := st.rec.Grant
	if grant == "" {
		grant = st.note.Grant
	}
	copies, err := s.findCopies(k, grant)
	if err != nil {
		return err
	}
	for _, c := range copies {
		if err := s.awaitSender(ctx, k, &c); err != nil {
			return err
		}
		newer, err := s.openCopy(ctx, k, &c)
		if err != nil {
			return err
		}
		opened := newer != ""
		same := c.grant == st.rec.Grant && c.state == stateSent
		switch {
		case opened && c.base == st.base && newer != value:
			value = s.adopt(ctx, k, st, c, newer)
		case opened && (newer == value || same):
			c.remove() // it was saved, or a later one was
		case opened: // of another grant, which is not ours to judge
		case c.state == stateRoom && s.isOurs(c), c.grant == newGrant && s.isOurs(c):
			c.remove() // nothing was sent, or no refresh token was at stake
		case same && c.base == st.base && st.waiting == nil:
			st.doubt = &Doubt{Since: c.since, PID: c.pid, Elsewhere: !s.isOurs(c)}
			st.mark = st.doubt
		case same && c.base != st.base:
			c.remove() // a later record was saved since
		}
	}
	return nil
}

func (s *Store) isOurs(c foundCopy) bool { return c.machine == s.machine() }

// awaitSender waits while a process that runs is sending the refresh token. Its lock
// file was removed, or it would not be here. What it left is read again.
func (s *Store) awaitSender(ctx context.Context, k Key, c *foundCopy) error {
	for c.state == stateSent && c.pid != os.Getpid() && s.isOurs(*c) && s.opt.Now().Sub(c.since).Abs() < inFlight && runs(c.pid) {
		if !sleep(ctx, 20*time.Millisecond) {
			return busy(ctx, s.opt.Now().Sub(c.since), "process "+strconv.Itoa(c.pid)+" waits for the issuer")
		}
		again := s.findCopy(k, c.grant)
		if len(again) == 0 {
			return errLookAgain // it had an outcome
		}
		*c = again[0]
	}
	return nil
}

// openCopy unseals a copy, and learns the grant of one that was obtained. The value is
// empty for a mark, for a copy that was not written whole, and for one that is sealed
// to an identity that this store does not have.
func (s *Store) openCopy(ctx context.Context, k Key, c *foundCopy) (value secret.Secret, err error) {
	if !c.holdsRecord() {
		return "", nil
	}
	id, err := s.sealIdentity(ctx)
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if value, err = agefile.Unseal(c.sealed, id); err != nil {
		return "", nil //nolint:nilerr // it cannot be used, and so is a mark
	}
	rec, err := decodeFor(k, value)
	if err != nil || c.grant != newGrant && c.grant != rec.Grant {
		return "", nil //nolint:nilerr // as above
	}
	c.grant = rec.Grant
	return value, nil
}

// adopt puts the record of a copy in the place of the item that it was to replace. It
// is the newest there is, also where it cannot be saved now.
func (s *Store) adopt(ctx context.Context, k Key, st *known, c foundCopy, newer secret.Secret) secret.Secret {
	rec, err := decodeFor(k, newer)
	if err != nil {
		return ""
	}
	st.rec = rec
	rev, err := s.save(ctx, k.item(kindGrant), newer, st.rev)
	if err != nil {
		st.waiting = &c
		s.opt.Warn("the renewed credential of account " + k.String() + " still waits " + c.where + ", as it cannot be stored: " + err.Error())
		return newer
	}
	st.rev, st.base = rev, digest(newer)
	c.remove()
	s.writeNote(k, *st, rec, st.note.place)
	return newer
}

// forget drops the token and the note of an account without a record.
func (s *Store) forget(ctx context.Context, k Key, st known) {
	_ = s.cacheToken(ctx, k, "", Token{}, st)
	_ = s.dropSecondary(ctx, k)
	_ = s.notes.remove(k)
}

// sleep returns false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
