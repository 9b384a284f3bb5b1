package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/terradue/t2-cred/helper/secret"
)

// Move takes an account from one store of a configuration to another. It holds the
// account's lock, which both stores share, and deletes the record in the one only
// after it was read back from the other: at no moment is it in neither. What was
// derived is left behind, and got again. That there is nothing to move is no error.
//
// The error wraps ErrBusy, what either store says, or ErrMoved when the other store
// has a credential of that account already, which is not this one.
func Move(ctx context.Context, from, to *Store, k Key) error {
	if err := canMove(from, to); err != nil {
		return err
	}
	if err := k.Validate(); err != nil {
		return err
	}
	release, err := from.lock(ctx, k.item(kindGrant))
	if err != nil {
		return err
	}
	defer release()
	fromCtx, toCtx := holdingLock(ctx), holdingLock(ctx)
	old, err := from.reload(fromCtx, k)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	there, err := to.reload(toCtx, k)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if err == nil && there.rec.Grant != old.rec.Grant {
		return &Error{
			Kind: ErrMoved, Detail: "account " + k.String(),
			Remedy: fmt.Sprintf("t2-cred erase --local-only --store %s --profile %s --account %s", to.Name(), k.Profile, k.Account),
		}
	}
	if err == nil && there.note.Refreshed.After(old.note.Refreshed) {
		// An earlier move was interrupted, and the grant has been used there since: what
		// is here may be spent.
		return from.deleteAll(context.WithoutCancel(ctx), k)
	}
	if err := to.save(toCtx, k.item(kindGrant), old.value); err != nil {
		return err
	}
	// What follows is short, and half of it done is worse than all of it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveLimit)
	defer cancel()
	there.note.Refreshed = old.note.Refreshed
	to.takeNote(k, there, old.rec, to.cacheToken(ctx, k, old.rec.Grant, old.rec.Token, there))
	return from.deleteAll(ctx, k) // and of the kernel's keys those of the OS keyring alone
}

// ErrMoved says that the store that something is to be moved to has another.
var ErrMoved = errors.New("the other store holds another credential")

// CopyClientSecret brings a profile's client secret into the other store; in this one
// it stays, for whoever uses it until all is moved. One that the other store has is
// replaced: the newest is the one of the store that is in use.
func CopyClientSecret(ctx context.Context, from, to *Store, profile string) error {
	if err := canMove(from, to); err != nil {
		return err
	}
	if err := validName("profile", profile); err != nil {
		return err
	}
	name := itemName(kindClient, profile)
	release, err := from.lock(ctx, name)
	if err != nil {
		return err
	}
	defer release()
	value, err := from.backend.Load(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return to.replace(holdingLock(ctx), name, value)
}

// replace saves a value after looking at what is there, as a keyring demands.
func (s *Store) replace(ctx context.Context, name string, value secret.Secret) error {
	old, err := s.backend.Load(ctx, name)
	if err == nil && old == value {
		return nil
	}
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCorrupt) {
		return err
	}
	return s.save(ctx, name, value)
}

// canMove holds for two stores of one configuration that both keep what they get.
func canMove(from, to *Store) error {
	switch {
	case from.ns != to.ns:
		return errors.New("store: the two are not of one configuration")
	case from.Name() == to.Name():
		return errors.New("store: from and to are the same")
	case !from.Keeps() || !to.Keeps():
		return errors.New("store: one of the two keeps nothing")
	}
	return nil
}

// Keeps reports whether the store outlives the process.
func (s *Store) Keeps() bool {
	_, volatile := s.backend.(volatileBackend)
	return !volatile
}

// Check says whether the store can be read now, without a dialog. The error wraps
// ErrLocked or ErrUnavailable.
func (s *Store) Check(ctx context.Context) error {
	_, err := s.backend.Load(askingNobody(ctx), kindProof)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// Where says for people where the backend keeps its items.
func (s *Store) Where() string {
	switch b := s.backend.(type) {
	case fileBackend:
		return b.dir + ", encrypted to " + sourceOf(b.opt).String()
	case *keyring:
		return "the OS keyring, service " + b.vault.service
	}
	return "this process alone"
}
