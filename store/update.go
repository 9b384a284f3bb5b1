package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/terradue/t2-cred/helper/safefile"
	"github.com/terradue/t2-cred/store/backend"
)

// Load returns the record with its cached access token, if there is one. It takes the
// lock only to repair: when a copy waits to be put in its place, or when the account's
// note is not of this record. The error wraps ErrNotFound, ErrLocked, ErrUnavailable,
// ErrCorrupt or ErrName.
func (s *Store) Load(ctx context.Context, k Key) (Record, error) {
	if err := k.Validate(); err != nil {
		return Record{}, err
	}
	if s.shared() {
		return s.loadShared(ctx, k)
	}
	value, _, err := s.backend.Load(ctx, k.item(kindGrant))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Record{}, damagedRecord(k, err)
	}
	var rec Record
	if err == nil {
		if rec, err = decodeFor(k, value); err != nil {
			return Record{}, err
		}
	}
	n, noteErr := s.notes.get(k)
	_, old := s.findOldCopy(k)
	copies, copyErr := s.findCopies(k, rec.Grant)
	if copyErr != nil {
		return Record{}, copyErr
	}
	if old || noteErr == nil && err != nil || len(copies) > 0 || err == nil && (noteErr != nil || !n.matches(rec)) {
		// A refresh under way holds the lock for as long as its issuer takes.
		wait, cancel := context.WithTimeout(ctx, rescueWait)
		defer cancel()
		if lock, lockErr := s.lock(wait, k.item(kindGrant)); lockErr == nil {
			defer lock.release()
			st, err := s.look(ctx, k)
			if err == nil && (!st.noted || !st.note.matches(st.rec)) {
				s.writeNote(k, st, st.rec, st.place)
			}
			return st.rec, err
		}
		// Its holder is about to do what we would, or nobody can write here.
	}
	if err != nil {
		return Record{}, err
	}
	rec.Token, _ = s.tokenOf(ctx, k, rec.Grant, n, noteErr == nil)
	return rec, nil
}

// Pending returns the earlier refresh of an account that got no answer, or nil, without
// a lock. It says what the next refresh will find.
func (s *Store) Pending(k Key, grant string) *Doubt {
	for _, c := range s.findCopy(k, grant) {
		if c.state == stateSent && c.grant == grant && s.opt.Now().Sub(c.since).Abs() >= inFlight {
			return &Doubt{Since: c.since, PID: c.pid, Elsewhere: !s.isOurs(c)}
		}
	}
	return nil
}

// Update changes a record. It takes the record's lock, loads the record afresh, gives
// it to f (the zero Record when nothing is stored), and keeps what f returns:
//
//   - a record that differs from the old one is saved and read back; one that
//     differs in its Token alone is not saved, only the token is cached;
//   - the zero Record without an error deletes the item, the token and the note;
//   - the zero Record with an error changes nothing;
//   - another record with an error is kept as if there were no error, and the
//     error returned.
//
// f runs with the lock held and must not call Update, Obtain or Refresh for the same
// key. It must bring no new refresh token, for which there is Obtain.
//
// The error wraps f's own, or ErrBusy (the lock was not got in time), ErrLocked,
// ErrUnavailable, ErrTooLarge, ErrCorrupt or ErrName.
func (s *Store) Update(ctx context.Context, k Key, f func(old Record) (Record, error)) (Record, error) {
	return s.change(ctx, k, false, f)
}

// Obtain is Update for an f that brings a new refresh token. Room for it is made before
// f is called; when the item cannot be saved after, a sealed copy is kept and a warning
// says where.
func (s *Store) Obtain(ctx context.Context, k Key, f func(old Record) (Record, error)) (Record, error) {
	return s.change(ctx, k, true, f)
}

func (s *Store) change(ctx context.Context, k Key, room bool, f func(Record) (Record, error)) (Record, error) {
	if err := k.Validate(); err != nil {
		return Record{}, err
	}
	r := &spending{s: s, k: k, name: k.item(kindGrant)}
	lock, err := s.lock(ctx, r.name)
	if err != nil {
		return Record{}, err
	}
	r.lock = lock
	defer lock.release()
	if s.shared() {
		if _, err := r.takeClaim(ctx, false, nil); err != nil {
			return Record{}, err
		}
		defer r.giveUp(ctx)
	} else if r.st, err = s.look(ctx, k); err != nil && !errors.Is(err, ErrNotFound) {
		return Record{}, err
	}
	if w := r.st.waiting; room && w != nil {
		return Record{}, stillWaits(k, w)
	}
	if room {
		defer r.needs.drop()
		if r.room, err = s.makeRoom(ctx, k, copyHead{grant: newGrant, base: r.st.base}, backend.MaxValue/16, &r.needs); err != nil {
			return Record{}, err
		}
	}
	rec, ferr := f(r.st.rec)
	// From here on nobody may interrupt: rec may be all that is left of a grant.
	ctx, cancel := r.saving(ctx)
	defer cancel()
	switch {
	case isZero(rec) && ferr != nil:
		return r.st.rec, errors.Join(ferr, r.settled())
	case isZero(rec):
		return Record{}, errors.Join(r.deleteAll(ctx), r.settled())
	case rec.Grant == "":
		return rec, errors.Join(ferr, errors.New("store: a record must name its grant"), r.settled())
	}
	return rec, errors.Join(ferr, r.keep(ctx, rec))
}

// keep makes rec what is stored, and the item first: the token and the note that go
// with a new grant must not be there before it.
func (r *spending) keep(ctx context.Context, rec Record) error {
	renewed := !rec.Token.equal(r.st.rec.Token)
	if encodeRecord(r.k, rec) == encodeRecord(r.k, r.st.rec) && (r.claim == nil || !renewed) {
		if renewed || !r.st.noted {
			r.s.keepRest(ctx, r.k, r.st, rec)
		}
		return r.settled()
	}
	r.keepsDoubt = rec.Grant == r.st.rec.Grant // no refresh token was sent
	var err error
	if r.room != nil {
		noCopy := r.mark()
		if noCopy == nil {
			noCopy = r.seal(rec)
		}
		err = r.save(ctx, rec, noCopy)
	} else if err = r.saveItem(ctx, rec); err != nil {
		err = fmt.Errorf("store the credential of account %v: %w", r.k, err)
	}
	if err != nil {
		return err
	}
	if rec.Grant != r.st.rec.Grant {
		r.dropCopies(r.st.rec.Grant)
	}
	r.s.keepRest(ctx, r.k, r.st, rec)
	return nil
}

// dropCopies removes the copies of a grant that the account no longer has.
func (r *spending) dropCopies(grant string) {
	if grant == "" {
		return
	}
	for _, c := range r.s.findCopy(r.k, grant) {
		c.remove()
	}
}

// isZero says that f wants no record.
func isZero(r Record) bool {
	return r.Grant == "" && r.RefreshToken == "" && r.Issuer == "" && r.Token.AccessToken == ""
}

// keepRest caches the token of a record and writes its note.
func (s *Store) keepRest(ctx context.Context, k Key, st known, rec Record) {
	if s.shared() {
		s.keepHere(k, st, rec)
		return
	}
	place := st.place
	if !rec.Token.equal(st.rec.Token) || rec.Grant != st.rec.Grant {
		place = s.cacheToken(ctx, k, rec.Grant, rec.Token, st)
	}
	s.writeNote(k, st, rec, place)
}

// writeNote writes the account's note. Without it the cached token is not found,
// which costs a request and no more.
func (s *Store) writeNote(k Key, st known, rec Record, place string) {
	n := note{Note: Note{Key: k, Backend: s.Name(), GrantInfo: rec.GrantInfo, TokenExpiry: rec.Token.Expiry}, place: place}
	// A refresh may have left the token as it is. A time to come is of a clock that was ahead.
	n.Refreshed = st.note.Refreshed
	if rec.Token.AccessToken != "" && (rec.Token.Obtained.After(n.Refreshed) || n.Refreshed.After(s.opt.Now())) {
		n.Refreshed = rec.Token.Obtained
	}
	if err := s.notes.put(n); err != nil {
		s.opt.Warn("cannot write the note of account " + k.String() + ": " + err.Error())
	}
}

// Delete removes an account without looking at it, also one whose record cannot
// be read; Update with a zero Record is the way to look at it first. That nothing
// is stored is no error.
func (s *Store) Delete(ctx context.Context, k Key) error {
	if err := k.Validate(); err != nil {
		return err
	}
	lock, err := s.lock(ctx, k.item(kindGrant))
	if err != nil {
		return err
	}
	defer lock.release()
	r := &spending{s: s, k: k, name: k.item(kindGrant)}
	return r.deleteAll(ctx)
}

// deleteAll removes the token first, as it works without the rest, and the note
// last, as a note without its item is found and removed by Accounts. The item of a shared
// store is made empty before that, under a claim.
func (r *spending) deleteAll(ctx context.Context) error {
	s, k := r.s, r.k
	n, _ := s.notes.get(k)
	if s.shared() { // this tells whether it may be removed
		defer r.giveUp(ctx)
		if err := r.empty(ctx); err != nil {
			return err
		}
	}
	s.kernel.remove(s.kernelName(k))
	if err := s.dropSecondary(ctx, k); err != nil {
		return err
	}
	if !s.shared() { // whose item has the token, and which 3f78ee2 does not know
		if err := errors.Join(s.backend.Delete(ctx, k.item(kindToken)), s.dropOldCopy(k)); err != nil {
			return err
		}
	}
	copies, err := s.findCopies(k, n.Grant)
	if err != nil {
		return err
	}
	for _, c := range copies {
		c.remove()
	}
	_ = safefile.Remove(s.placePath(k), false) // random bytes, under the account's name
	remove := r.deleteEmpty
	if !s.shared() {
		remove = func(ctx context.Context) error { return s.backend.Delete(ctx, r.name) }
	}
	if err := remove(ctx); err != nil {
		return err
	}
	return s.notes.remove(k)
}
