package store

import (
	"context"
	"errors"
	mathrand "math/rand/v2"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/store/backend"
)

// A delete on a shared store has no check-and-set, and must not pass over another machine's
// claim. So an empty item with a new claim is saved first, over the version of our own
// claim. That proves that nobody has taken the claim over. The delete then arrives while
// the new claim counts, or is not sent.

// deleteEmpty removes the item that empty has made.
func (r *spending) deleteEmpty(ctx context.Context) error {
	left := r.claim.until - r.s.boot() - r.s.saveTime
	if left <= 0 {
		return r.notDeleted()
	}
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	if err := r.s.backend.Delete(ctx, r.name); err != nil {
		return err
	}
	r.claim = nil // it went with the item
	return nil
}

// claimToDelete claims an item also if it cannot be read. One of a newer program is left
// alone, as its claim cannot be read either.
func (r *spending) claimToDelete(ctx context.Context) error {
	for {
		_, _, err := r.waitForClaim(ctx, false, nil)
		if !errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNewer) {
			return err
		}
		next := item{Claim: r.s.newClaim(false)}
		begun := r.s.boot()
		rev, err := r.s.backend.Save(ctx, r.name, next.encode(), r.st.rev)
		if errors.Is(err, backend.ErrConflict) && sleep(ctx, mathrand.N(maxPoll)) { //nolint:gosec // only to wait apart from the others
			continue
		}
		if err == nil {
			r.st.rev, r.claim = rev, &heldClaim{item: next, until: begun + r.s.terms.Lease}
		}
		return err
	}
}

// empty replaces the item by one that has a new claim and nothing else. It claims the item
// first, if that is not done. The error is ErrBusy when somebody else has taken the claim
// over.
func (r *spending) empty(ctx context.Context) error {
	if r.claim == nil {
		if err := r.claimToDelete(ctx); err != nil {
			return err
		}
	}
	next := item{Claim: r.s.newClaim(false)}
	begun := r.s.boot()
	rev, err := r.s.backend.Save(ctx, r.name, next.encode(), r.st.rev)
	if errors.Is(err, backend.ErrConflict) {
		return r.notDeleted()
	}
	if err != nil {
		return err
	}
	r.st.rev, r.claim = rev, &heldClaim{item: next, until: begun + r.s.terms.Lease}
	return nil
}

// notDeleted is the error of a delete whose claim may be somebody else's by now.
func (r *spending) notDeleted() error {
	r.claim = nil
	return backend.Errorf(ErrBusy, errClaimOver, hint.Do(hint.Words("look what is there: "), hint.Run("status").For(r.k.Profile, r.k.Account)),
		"another process may have changed account %v in the %s store meanwhile, so it is not removed there", r.k, r.s.Name())
}
