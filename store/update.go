package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
)

// saveLimit bounds everything that has to be done once f of Update has returned.
const saveLimit = 10 * time.Second

// state is what is known of an account while its lock is held.
type state struct {
	rec   Record        // with its cached token; zero when nothing is stored
	value secret.Secret // rec at rest
	base  string        // digest of what the backend holds, see recovery
	seq   int           // of the recovery copy
	// pending says that rec lies in the recovery copy and not in the backend.
	pending bool
	note    note
	noted   bool
	place   string // of rec's cached token
}

// Load returns the record with its cached access token, if there is one. It
// takes the lock only to repair: when an earlier save failed and its recovery copy
// has to be put in its place, or when the account's note does not tell of this
// record. The error wraps ErrNotFound, ErrLocked, ErrUnavailable,
// ErrCorrupt or ErrName.
func (s *Store) Load(ctx context.Context, k Key) (Record, error) {
	if err := k.Validate(); err != nil {
		return Record{}, err
	}
	if _, ok := s.recovery.get(k); ok {
		if release, err := s.lock(ctx, k.item(kindGrant)); err == nil {
			defer release()
			st, err := s.reload(ctx, k)
			return st.rec, err
		}
		// Its holder is about to do what we would, or nobody can write here.
	}
	value, err := s.backend.Load(ctx, k.item(kindGrant))
	if err != nil {
		return Record{}, err
	}
	rec, err := decodeFor(k, value)
	if err == nil {
		n, noteErr := s.notes.get(k)
		if noteErr != nil || !n.tells(rec) {
			s.renote(ctx, k)
			n, noteErr = s.notes.get(k)
		}
		rec.Token, _ = s.tokenOf(ctx, k, rec.Grant, n, noteErr == nil)
	}
	return rec, err
}

func decodeFor(k Key, value secret.Secret) (Record, error) {
	at, rec, err := decodeRecord(value)
	if err == nil && at != k {
		err = corrupt("the record is that of account " + at.String())
	}
	if err != nil {
		return Record{}, err
	}
	return rec, nil
}

// Update changes a record, and is the only way to. It takes the record's lock,
// loads the record afresh, gives it to f (the zero Record when nothing is
// stored), and keeps what f returns:
//
//   - a record that differs from the old one is saved and read back; one that
//     differs in its Token alone is not saved, only the token is cached;
//   - the zero Record without an error deletes the item, the token and the note;
//   - the zero Record with an error changes nothing;
//   - another record with an error is kept as if there were no error, and the
//     error returned: so f can mark a grant dead and say why, or keep a rotated
//     refresh token though the access token beside it was refused. Returning old
//     with an error therefore changes nothing either.
//
// f runs with the lock held and must not call Update or Refresh for the same key.
// What follows f cannot be cancelled by ctx, as a refresh token may have been
// spent by then; it has a deadline of its own.
//
// When saving fails for a record with a new refresh token, it is tried again for
// a few seconds, and then the record is kept in the kernel's keyring of this user
// or, where that is refused, in a file in RuntimeDir, from where the next Load or
// Update puts it in its place. A warning says so and there is no error. Only when
// that fails, too, or when no new refresh token was at stake, the error is
// returned, together with the record that could not be saved.
//
// The error wraps f's own, or ErrBusy (the lock was not got in time),
// ErrLocked, ErrUnavailable, ErrTooLarge, ErrCorrupt or ErrName.
func (s *Store) Update(ctx context.Context, k Key, f func(old Record) (Record, error)) (Record, error) {
	return s.change(ctx, k, nil, f)
}

// Refresh is Update for who wants an access token. When the cached token is
// enough once the lock is held, because another process has just refreshed, it
// returns Record{Token: …} and nothing else: the item is not loaded and f is not
// called. The token may also come with the whole record, when the note that says
// where to look was lost.
func (s *Store) Refresh(ctx context.Context, k Key, enough func(Token) bool, f func(old Record) (Record, error)) (Record, error) {
	return s.change(ctx, k, enough, f)
}

func (s *Store) change(ctx context.Context, k Key, enough func(Token) bool, f func(Record) (Record, error)) (Record, error) {
	if err := k.Validate(); err != nil {
		return Record{}, err
	}
	release, err := s.lock(ctx, k.item(kindGrant))
	if err != nil {
		return Record{}, err
	}
	defer release()
	ctx = holdingLock(ctx)
	if enough != nil {
		if t, err := s.Token(ctx, k); err == nil && enough(t) {
			return Record{Token: t}, nil
		}
		defer s.loadAhead(ctx, k.Profile)()
	}
	st, err := s.reload(ctx, k)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Record{}, err
	}
	if enough != nil && st.rec.Token.AccessToken != "" && enough(st.rec.Token) {
		s.takeNote(k, st, st.rec, st.place)
		return st.rec, nil
	}
	rec, ferr := f(st.rec)
	// From here on nobody may interrupt: rec may be all that is left of a grant.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveLimit)
	defer cancel()
	switch {
	case isZero(rec) && ferr != nil:
		return st.rec, ferr
	case isZero(rec):
		return Record{}, s.deleteAll(ctx, k)
	case rec.Grant == "":
		return rec, errors.Join(ferr, errors.New("store: a record must name its grant"))
	}
	err = s.keep(ctx, k, st, rec)
	return rec, errors.Join(ferr, err)
}

// isZero says that f wants no record.
func isZero(r Record) bool {
	return r.Grant == "" && r.RefreshToken == "" && r.Issuer == "" && r.Token.AccessToken == ""
}

// reload reads all that is known of an account, with the lock held, and first
// puts the recovery copy of an earlier failed save in its place.
func (s *Store) reload(ctx context.Context, k Key) (state, error) {
	name := k.item(kindGrant)
	n, noteErr := s.notes.get(k)
	st := state{note: n, noted: noteErr == nil}
	c, recovering := s.recovery.get(k)
	value, err := s.backend.Load(ctx, name)
	if err == nil || errors.Is(err, ErrNotFound) {
		st.base = digest(value)
	}
	if recovering {
		value, err = s.recover(ctx, k, c, &st, value, err)
	}
	if errors.Is(err, ErrNotFound) && st.noted {
		s.forget(ctx, k, st) // somebody deleted it in the keyring's own program
	}
	if err != nil {
		return st, err
	}
	st.value = value
	if st.rec, err = decodeFor(k, value); err != nil {
		return st, err
	}
	st.rec.Token, st.place = s.tokenOf(ctx, k, st.rec.Grant, st.note, st.noted)
	return st, nil
}

// forget drops the token and the note of an account without a record.
func (s *Store) forget(ctx context.Context, k Key, st state) {
	_ = s.cacheToken(ctx, k, "", Token{}, st)
	_ = s.dropDerived(ctx, k)
	_ = s.notes.remove(k)
}

// keep makes rec what is stored, and the item first: the token and the note that
// go with a new grant must not be there before it. Those of the grant that is there
// need not wait for a keyring to write: they are kept at the same time.
func (s *Store) keep(ctx context.Context, k Key, st state, rec Record) error {
	renewed := !rec.Token.equal(st.rec.Token)
	value := encodeRecord(k, rec)
	if value == st.value {
		if renewed || !st.noted {
			s.keepRest(ctx, k, st, rec)
		}
		return nil
	}
	_, slow := s.backend.(slowBackend)
	early := slow && renewed && rec.Grant == st.rec.Grant && st.note.place == placeKernel
	err := s.keepItem(ctx, k, st, rec, value, func() {
		if early {
			s.keepRest(ctx, k, st, rec)
		}
	})
	switch {
	case err != nil && rec.Grant != st.rec.Grant:
		return notStored(k, err) // its record is not there, so neither may its token be
	case err != nil:
		// The access token is good all the same, and the rest is as it was.
		old := st.rec
		old.Token = rec.Token
		s.keepRest(ctx, k, st, old)
		return notStored(k, err)
	case !early:
		s.keepRest(ctx, k, st, rec)
	}
	return nil
}

func notStored(k Key, err error) error {
	return fmt.Errorf("store the credential of account %v: %w", k, err)
}

// keepRest caches the token of a record and writes its note.
func (s *Store) keepRest(ctx context.Context, k Key, st state, rec Record) {
	place := st.place
	if !rec.Token.equal(st.rec.Token) || rec.Grant != st.rec.Grant {
		place = s.cacheToken(ctx, k, rec.Grant, rec.Token, st)
	}
	s.takeNote(k, st, rec, place)
}

// takeNote writes the account's note. Without it the cached token is not found,
// which costs a request and no more.
func (s *Store) takeNote(k Key, st state, rec Record, place string) {
	n := note{Note: noteOf(k, s.Name(), rec), place: place}
	n.Refreshed = st.note.Refreshed
	if rec.Token.AccessToken != "" {
		n.Refreshed = rec.Token.Obtained
	}
	if err := s.notes.put(n); err != nil {
		s.opt.Warn("cannot write the note of account " + k.String() + ": " + err.Error())
	}
}

func noteOf(k Key, backend string, r Record) Note {
	return Note{
		Key: k, Backend: backend, Grant: r.Grant, Issuer: r.Issuer, ClientID: r.ClientID,
		Subject: r.Subject, Username: r.Username, Scopes: r.Scopes, Offline: r.Offline,
		Session: r.Session, Created: r.Created, RefreshExpiry: r.RefreshExpiry, TokenExpiry: r.Token.Expiry,
		Dead: r.Dead, DeadAt: r.DeadAt,
	}
}

// Delete removes an account without looking at it, also one whose record cannot
// be read; Update with a zero Record is the way to look at it first. That nothing
// is stored is no error.
func (s *Store) Delete(ctx context.Context, k Key) error {
	if err := k.Validate(); err != nil {
		return err
	}
	release, err := s.lock(ctx, k.item(kindGrant))
	if err != nil {
		return err
	}
	defer release()
	return s.deleteAll(ctx, k)
}

// deleteAll removes the token first, as it works without the rest, and the note
// last, as a note without its item is found and removed by Accounts.
func (s *Store) deleteAll(ctx context.Context, k Key) error {
	s.kernel.remove(s.kernelName(k))
	if err := s.backend.Delete(ctx, k.item(kindToken)); err != nil {
		return err
	}
	if err := s.dropDerived(ctx, k); err != nil {
		return err
	}
	if err := s.recovery.remove(k); err != nil {
		return err
	}
	if err := s.backend.Delete(ctx, k.item(kindGrant)); err != nil {
		return err
	}
	return s.notes.remove(k)
}
