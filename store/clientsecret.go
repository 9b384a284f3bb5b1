package store

import (
	"context"
	"sync"

	"github.com/terradue/t2-cred/helper/secret"
)

// ClientSecret returns the profile's client secret, an item of its own. The error
// wraps ErrNotFound, ErrLocked, ErrUnavailable, ErrCorrupt or ErrName.
func (s *Store) ClientSecret(ctx context.Context, profile string) (secret.Secret, error) {
	if err := validName("profile", profile); err != nil {
		return "", err
	}
	value, ok := s.ahead.take(profile)
	if !ok {
		var err error
		if value, err = s.backend.Load(ctx, itemName(kindClient, profile)); err != nil {
			return "", err
		}
	}
	return decodeClientSecret(profile, value)
}

// lookahead holds the client secrets that are being loaded while the record of a
// Refresh is, as what comes next will want them: a keyring that is asked two
// things at once answers sooner than one that is asked twice.
type lookahead struct{ m sync.Map } // profile to chan secret.Secret

// loadAhead begins to load the client secret, for f of a Refresh alone: what it
// does not take is forgotten when forget is called. It never asks a person.
func (s *Store) loadAhead(ctx context.Context, profile string) (forget func()) {
	if _, ok := s.backend.(slowBackend); !ok {
		return func() {}
	}
	c := make(chan secret.Secret, 1)
	if _, taken := s.ahead.m.LoadOrStore(profile, c); taken {
		return func() {}
	}
	go func() {
		if value, err := s.backend.Load(askingNobody(ctx), itemName(kindClient, profile)); err == nil {
			c <- value
		}
		close(c)
	}()
	return func() { s.ahead.m.CompareAndDelete(profile, c) }
}

// take returns what was loaded ahead; not ok is for who has to load it himself,
// also to learn why it failed.
func (l *lookahead) take(profile string) (secret.Secret, bool) {
	c, ok := l.m.LoadAndDelete(profile)
	if !ok {
		return "", false
	}
	value, ok := <-c.(chan secret.Secret)
	return value, ok
}

// SetClientSecret keeps the profile's client secret and reads it back; one that
// is kept already is not written again. Errors are those of ClientSecret, and
// ErrTooLarge and ErrBusy.
func (s *Store) SetClientSecret(ctx context.Context, profile string, value secret.Secret) error {
	if err := validName("profile", profile); err != nil {
		return err
	}
	name := itemName(kindClient, profile)
	release, err := s.lock(ctx, name)
	if err != nil {
		return err
	}
	defer release()
	s.ahead.m.Delete(profile)
	return s.replace(holdingLock(ctx), name, encodeClientSecret(profile, value))
}

// DeleteClientSecret removes it; that there is none is no error.
func (s *Store) DeleteClientSecret(ctx context.Context, profile string) error {
	if err := validName("profile", profile); err != nil {
		return err
	}
	name := itemName(kindClient, profile)
	release, err := s.lock(ctx, name)
	if err != nil {
		return err
	}
	defer release()
	return s.backend.Delete(ctx, name)
}
