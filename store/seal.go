package store

import (
	"context"
	"errors"

	"filippo.io/age"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

// Copies of records are age files, sealed to an identity of this namespace, which is an
// item of the store itself. It is read each time that room is made: a copy that is
// sealed to an identity that the store no longer has would be lost.

// sealOverhead is more than age adds to a value for one X25519 recipient, in bytes.
const sealOverhead = 512

// recipient is what copies are sealed to. Its identity is made at the first use.
func (s *Store) recipient(ctx context.Context) (*age.X25519Recipient, error) {
	id, err := s.sealIdentity(ctx)
	if errors.Is(err, ErrNotFound) {
		id, err = s.makeSealIdentity(ctx)
	}
	if err != nil {
		return nil, err
	}
	return id.Recipient(), nil
}

// sealIdentity is the identity that opens copies; the error wraps ErrNotFound when the
// store has none.
func (s *Store) sealIdentity(ctx context.Context) (*age.X25519Identity, error) {
	value, err := s.loadAhead(ctx, kindSeal)
	if err != nil {
		return nil, withRemedy(err, sealRemedy())
	}
	return parseSeal(value)
}

// sealRemedy is what to do about an identity that cannot be read. It is never replaced
// unasked: a copy that waits would be lost, where a backup of the identity may open it.
func sealRemedy() hint.Remedy {
	return hint.Say("put the store's item " + kindSeal + " back from a backup; without one, move it away, and the next refresh makes another")
}

func parseSeal(value secret.Secret) (*age.X25519Identity, error) {
	id, err := age.ParseX25519Identity(value.Reveal()) // parsed, not passed on
	if err != nil {
		return nil, backend.Errorf(ErrCorrupt, nil, sealRemedy(), "the identity for copies is damaged")
	}
	return id, nil
}

// resealIdentity writes the identity for copies again, if there is one.
func (s *Store) resealIdentity(ctx context.Context) error {
	lock, err := s.lock(ctx, kindSeal)
	if err != nil {
		return err
	}
	defer lock.release()
	id, err := s.sealIdentity(ctx)
	if err != nil {
		return ignore(err, ErrNotFound)
	}
	return s.saveAgain(ctx, s.backend, kindSeal, secret.Secret(id.String()))
}

func (s *Store) makeSealIdentity(ctx context.Context) (*age.X25519Identity, error) {
	lock, err := s.lock(ctx, kindSeal)
	if err != nil {
		return nil, err
	}
	defer lock.release()
	value, rev, err := s.backend.Load(ctx, kindSeal)
	if !errors.Is(err, ErrNotFound) { // another process was faster, or it cannot be read
		if err != nil {
			return nil, err
		}
		return parseSeal(value)
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	_, err = s.saveTo(ctx, s.backend, kindSeal, secret.Secret(id.String()), rev)
	if errors.Is(err, backend.ErrConflict) { // another machine was faster
		return s.sealIdentity(ctx)
	}
	return id, err
}
