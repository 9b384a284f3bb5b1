package store

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

// maxCached is how long a token without a known end stays in the kernel.
const maxCached = 24 * time.Hour

// Token returns the cached access token, without a lock, and for the OS keyring
// without D-Bus where the kernel's keyring works. The error wraps ErrNotFound
// when there is none: none was kept, it has expired, it is of another grant than
// the account's note says, or there is no note. What is cached may be less fresh
// than the caller wants, and of another configuration: see Token.Binding.
//
// A copy of a record that waits to be stored is put in its place on the way, or a
// warning says that it waits.
func (s *Store) Token(ctx context.Context, k Key) (Token, error) {
	if err := k.Validate(); err != nil {
		return Token{}, err
	}
	grant, place, err := s.notes.place(k)
	if err != nil {
		return Token{}, noToken(k)
	}
	s.rescue(ctx, k, grant)
	return s.tokenIn(ctx, place, k, grant)
}

// cachedToken is Token for the holder of the lock.
func (s *Store) cachedToken(ctx context.Context, k Key) (Token, error) {
	grant, place, err := s.notes.place(k)
	if err != nil {
		return Token{}, noToken(k)
	}
	return s.tokenIn(ctx, place, k, grant)
}

// rescueWait is how long a cached get waits for the lock of a record whose copy waits
// to be stored.
const rescueWait = 200 * time.Millisecond

// sharedRescueWait is how long it then waits for the engine of a shared store.
const sharedRescueWait = time.Second

func (s *Store) rescue(ctx context.Context, k Key, grant string) {
	copies := append(s.findCopy(k, grant), s.findCopy(k, newGrant)...)
	waits := slices.IndexFunc(copies, foundCopy.holdsRecord)
	if waits < 0 {
		return
	}
	wait, cancel := context.WithTimeout(ctx, rescueWait)
	defer cancel()
	lock, err := s.lock(wait, k.item(kindGrant))
	if err != nil {
		return // its holder is about to store it, or nobody can write here
	}
	defer lock.release()
	if s.shared() { // an engine that is away must not hold up a cached token
		ctx, cancel = context.WithTimeout(ctx, sharedRescueWait)
		defer cancel()
	}
	if _, err := s.look(ctx, k); err != nil {
		s.opt.Warn("the renewed credential of account " + k.String() + " still waits " + copies[waits].where + ": " + err.Error())
	}
}

func noToken(k Key) error {
	return backend.Errorf(ErrNotFound, nil, nil, "no token of account %v is cached", k)
}

// tokenOf looks for the token of a record. Where no note says where it is, it
// may be in either place, if another process died between two steps.
func (s *Store) tokenOf(ctx context.Context, k Key, grant string, n note, noted bool) (t Token, place string) {
	places := []string{n.place}
	if !noted {
		places = []string{placeKernel, placeItem}
	}
	for _, place := range places {
		if t, err := s.tokenIn(ctx, place, k, grant); err == nil {
			return t, place
		}
	}
	return Token{}, n.place
}

func (s *Store) tokenIn(ctx context.Context, place string, k Key, grant string) (Token, error) {
	none := noToken(k)
	value, err := s.cached(ctx, place, k)
	if err != nil {
		// A kernel that refuses has none for us, and a damaged one is renewed.
		if place != placeItem || errors.Is(err, ErrCorrupt) {
			err = none
		}
		return Token{}, err
	}
	of, t, err := decodeToken(value)
	if err != nil || of != grant || t.AccessToken == "" || expired(t, s.opt.Now()) || s.ofTheFuture(t) {
		return Token{}, none // damaged or old: a new one will take its place
	}
	return t, nil
}

// cached returns what one of the places holds for an account.
func (s *Store) cached(ctx context.Context, place string, k Key) (secret.Secret, error) {
	switch place {
	case placeKernel:
		v, err := s.kernel.get(s.kernelName(k))
		return secret.Secret(v), err
	case placeItem:
		if s.shared() {
			i, _, err := s.loadItem(ctx, k)
			return secret.Secret(i.Token), err
		}
		value, _, err := s.backend.Load(ctx, k.item(kindToken))
		return value, err
	}
	return "", errors.ErrUnsupported
}

// clockStep is how far a clock may be set back without costing a cached token.
const clockStep = 5 * time.Second

// ofTheFuture says that a token was obtained while the clock was ahead of what it is
// now. Its expiry then proves nothing, if it is not in the token itself. Clocks of
// machines differ by more than one clock is set back.
func (s *Store) ofTheFuture(t Token) bool {
	step := clockStep
	if s.shared() {
		step = maxSkew
	}
	return t.Obtained.After(s.opt.Now().Add(step))
}

func expired(t Token, now time.Time) bool { return !t.Expiry.IsZero() && !now.Before(t.Expiry) }

// cacheToken keeps t in the first place that takes it and clears the other, so
// that a note that is out of date leads to no token rather than to an old one. It
// returns the place. Failing to cache is no error: it costs the next caller a
// request.
func (s *Store) cacheToken(ctx context.Context, k Key, grant string, t Token, st known) string {
	dropItem := func() {
		if st.note.place == placeItem || !st.noted {
			_ = s.backend.Delete(ctx, k.item(kindToken))
		}
	}
	now := s.opt.Now()
	if t.AccessToken == "" || expired(t, now) {
		s.kernel.remove(s.kernelName(k))
		dropItem()
		return placeNone
	}
	ttl := maxCached
	if !t.Expiry.IsZero() {
		ttl = t.Expiry.Sub(now)
	}
	value := encodeToken(grant, t)
	if s.kernel.put(s.kernelName(k), value.Reveal(), ttl) == nil {
		dropItem()
		return placeKernel
	}
	if s.saveAny(ctx, s.backend, k.item(kindToken), value) == nil {
		return placeItem
	}
	dropItem()
	return placeNone
}

func (t Token) equal(o Token) bool {
	return t.AccessToken == o.AccessToken && t.Type == o.Type &&
		t.Obtained.Equal(o.Obtained) && t.Expiry.Equal(o.Expiry) &&
		slices.Equal(t.Scopes, o.Scopes) && t.Subject == o.Subject && t.Binding == o.Binding
}

func (s *Store) kernelName(k Key) string { return "t2-cred:" + s.ns + ":" + k.item(kindToken) }

// Note returns what is known of an account without any secret, from its file
// alone: no keyring is asked. The error wraps ErrNotFound or ErrUnavailable.
func (s *Store) Note(k Key) (Note, error) {
	if err := k.Validate(); err != nil {
		return Note{}, err
	}
	n, err := s.notes.get(k)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Note{}, backend.Errorf(ErrNotFound, nil, nil, "account %v", k)
	case err != nil:
		return Note{}, backend.Errorf(ErrUnavailable, err, nil, "cannot read the account's note")
	}
	return n.Note, nil
}
