package store

import (
	"context"
	"errors"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
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
	lock, err := from.lock(ctx, k.item(kindGrant))
	if err != nil {
		return err
	}
	defer lock.release()
	old, err := from.hold(ctx, k)
	defer old.giveUp(ctx)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	there, err := to.hold(ctx, k)
	defer there.giveUp(ctx)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if err == nil && there.st.rec.Grant != old.st.rec.Grant {
		return backend.Errorf(ErrMoved, nil,
			hint.Do(hint.Run("erase", "--local-only", "--store", to.Name()).For(k.Profile, k.Account)), "account %v", k)
	}
	absent := err != nil
	if !absent && there.refreshed().After(old.refreshed()) {
		// An earlier move was interrupted, and the grant has been used there since: what
		// is here may be spent.
		return old.deleteMoved(context.WithoutCancel(ctx))
	}
	if old.st.waiting != nil || old.st.doubt != nil {
		return backend.Errorf(ErrUnavailable, nil, hint.Do(hint.Run("get", "--fresh").For(k.Profile, k.Account)),
			"account %v has a refresh without an outcome, which belongs to the %s store", k, from.Name())
	}
	rec := old.st.rec
	if from.shared() != to.shared() {
		rec.Machine = "" // one that is shared is of no machine
	}
	if err := there.saveItem(ctx, rec); err != nil { // a person may be asked for a password
		return err
	}
	// What follows is short, and half of it done is worse than all of it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveLimit)
	defer cancel()
	there.st.note.Refreshed = old.refreshed()
	to.keepRest(ctx, k, there.st, rec)
	err = old.deleteMoved(ctx) // and of the kernel's keys those of the OS keyring alone
	if errors.Is(err, ErrBusy) && absent {
		err = errors.Join(err, there.deleteAll(ctx)) // its refresh token may be spent by now
	}
	return err
}

// deleteMoved removes an account that is in the other store by now.
func (r *spending) deleteMoved(ctx context.Context) error {
	return r.deleteAll(ctx)
}

// hold looks at an account whose lock is held and, in a shared store, claims it. The
// caller gives the claim up. The error wraps ErrNotFound for an account that is not there,
// which is claimed all the same.
func (s *Store) hold(ctx context.Context, k Key) (r *spending, err error) {
	r = &spending{s: s, k: k, name: k.item(kindGrant)}
	if !s.shared() {
		r.st, err = s.look(ctx, k)
		return r, err
	}
	if _, err = r.takeClaim(ctx, false, nil); err == nil && r.st.rec.Grant == "" {
		err = backend.NotFound()
	}
	return r, err
}

// refreshed is when the grant was last refreshed, as far as is known.
func (r *spending) refreshed() time.Time {
	at := r.st.note.Refreshed
	if r.claim != nil {
		if _, t, err := decodeToken(secret.Secret(r.claim.item.Token)); err == nil && t.Obtained.After(at) {
			at = t.Obtained
		}
	}
	return at
}

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
	lock, err := from.lock(ctx, name)
	if err != nil {
		return err
	}
	defer lock.release()
	value, _, err := from.backend.Load(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return to.saveAny(ctx, to.backend, name, value)
}

// canMove holds for two stores of one configuration.
func canMove(from, to *Store) error {
	switch {
	case from.ns != to.ns:
		return errors.New("store: the two are not of one configuration")
	case from.is.Volatile || to.is.Volatile:
		return errors.New("store: one of the two ends with the process")
	case from.Name() == to.Name():
		return errors.New("store: from and to are the same")
	}
	return nil
}
