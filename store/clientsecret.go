package store

import (
	"context"

	"github.com/terradue/t2-cred/helper/secret"
)

// ClientSecret returns the profile's client secret, an item of its own. The error
// wraps ErrNotFound, ErrLocked, ErrUnavailable, ErrCorrupt or ErrName.
func (s *Store) ClientSecret(ctx context.Context, profile string) (secret.Secret, error) {
	if err := validName("profile", profile); err != nil {
		return "", err
	}
	value, err := s.loadAhead(ctx, itemName(kindClient, profile))
	if err != nil {
		return "", damagedSecret(profile, err)
	}
	return decodeClientSecret(profile, value)
}

// SetClientSecret keeps the profile's client secret and reads it back. One that is kept
// already is not written again, but in files: their identity may be another by now.
// Errors are those of ClientSecret, and ErrTooLarge and ErrBusy.
func (s *Store) SetClientSecret(ctx context.Context, profile string, value secret.Secret) error {
	if err := validName("profile", profile); err != nil {
		return err
	}
	name := itemName(kindClient, profile)
	lock, err := s.lock(ctx, name)
	if err != nil {
		return err
	}
	defer lock.release()
	s.ahead.m.Delete(name)
	if s.is.Dir != "" {
		return s.saveAgain(ctx, s.backend, name, encodeClientSecret(profile, value))
	}
	return s.saveAny(ctx, s.backend, name, encodeClientSecret(profile, value))
}

// DeleteClientSecret removes it; that there is none is no error.
func (s *Store) DeleteClientSecret(ctx context.Context, profile string) error {
	if err := validName("profile", profile); err != nil {
		return err
	}
	name := itemName(kindClient, profile)
	lock, err := s.lock(ctx, name)
	if err != nil {
		return err
	}
	defer lock.release()
	return s.backend.Delete(ctx, name)
}
