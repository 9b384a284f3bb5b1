package helper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store"
)

// A Helper gets credentials. All of its fields must be set, except Elsewhere
// and Near.
type Helper struct {
	Store  *store.Store
	Issuer func(Profile) *oidc.Issuer
	Now    func() time.Time
	Log    *slog.Logger
	Warn   func(msg string) // one line for the person
	// Elsewhere returns an error if an account that Store does not have lies in another
	// store of the same configuration.
	Elsewhere func(context.Context, store.Key) error
	// Near proposes another account for one that is not there, as words behind an error.
	Near func(store.Key) string
}

// Get returns an access token that serves the request: the cached one, without
// network and without D-Bus where the cache allows it, else one got with the
// refresh token. When the issuer, the lock or the store is in trouble, a token
// that is still valid is returned with a warning. Errors: ErrLoginRequired,
// ErrProfile, and those of store and oidc.
//
// A request for a narrower token gets that one and no other: by its Narrow, or by the
// profile's rule for its URL. Errors then are ErrNotGranted too.
func (h *Helper) Get(ctx context.Context, r Request) (Credential, error) {
	if r = r.narrowed(); !r.Narrow.IsZero() {
		return h.getNarrow(ctx, r)
	}
	binding := r.Profile.binding()
	enough := func(t store.Token) bool { return t.Binding == binding && r.serves(t, h.Now()) }
	cached, missed := h.Store.Token(ctx, r.key())
	if missed == nil && !r.Fresh && enough(cached) {
		return credential(r, cached), nil
	}
	want := store.Want{Enough: enough, Fresh: r.Fresh}
	var valid time.Duration
	if missed == nil && !r.Fresh && cached.Binding == binding {
		valid = max(0, cached.Expiry.Sub(h.Now()))
		want.Patience = patience(valid)
	}
	wait, cancel := lockTime(ctx, valid/2)
	defer cancel()
	issuer := h.Issuer(r.Profile)
	issuer.Recall(ctx) // while the store is asked
	defer issuer.LogHeld()
	rec, err := h.Store.Refresh(wait, r.key(), want, &refresher{h: h, request: r, issuer: issuer})
	if err != nil {
		if missed == nil && !r.Fresh && cached.Binding == binding && cached.Expiry.After(h.Now()) && isTrouble(err) {
			h.Warn(fmt.Sprintf("no new token (%v); this one is valid for %s more", err, left(cached, h.Now())))
			return credential(r, cached), nil
		}
		if errors.Is(err, store.ErrBusy) && errors.Is(missed, store.ErrUnavailable) {
			return Credential{}, missed // the store took all the time, and not the lock's holder
		}
		return Credential{}, err
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return Credential{}, ctx.Err() // stored, but whoever asked has gone
	}
	if !rec.Token.Expiry.After(h.Now()) {
		return Credential{}, &oidc.VerifyError{What: "access_token", Why: "it came expired; the clock may be wrong"}
	}
	if !r.serves(rec.Token, h.Now()) {
		h.Warn(fmt.Sprintf("the issuer's tokens live shorter than asked: this one is valid for %s", left(rec.Token, h.Now())))
	}
	return credential(r, rec.Token), nil
}

// patience is how long somebody else's refresh is waited for while there is a token that
// is still valid for that long, though not for as long as was asked. Zero is no bound.
func patience(valid time.Duration) time.Duration { return min(time.Second, max(0, valid)/2) }

// lockTime leaves a part of the deadline, ten seconds or a half of it, for the work under
// the lock: whoever gets the lock late must not spend a refresh token with no time left to
// read the answer. What may be waited for at most, if it is not zero, bounds it too.
func lockTime(ctx context.Context, most time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	switch reserve := min(10*time.Second, time.Until(deadline)/2); {
	case most > 0 && (!ok || most < time.Until(deadline)-reserve):
		return context.WithTimeout(ctx, most)
	case ok:
		return context.WithDeadline(ctx, deadline.Add(-reserve))
	}
	return context.WithCancel(ctx)
}

// isTrouble tells silence from refusal: nothing was decided about the grant.
func isTrouble(err error) bool {
	var refused *oidc.Error
	if errors.As(err, &refused) {
		return refused.Temporary()
	}
	if _, ok := errors.AsType[*secret.CommandError](err); ok { // a vault that is away
		return true
	}
	return errors.Is(err, ErrInDoubt) || errors.Is(err, oidc.ErrUnreachable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, store.ErrBusy) ||
		errors.Is(err, store.ErrConfig) || errors.Is(err, store.ErrLocked) || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrLost)
}

func left(t store.Token, now time.Time) time.Duration {
	return t.Expiry.Sub(now).Round(time.Second)
}

// uninterrupted keeps ctx's deadline and drops its cancellation, which is a
// signal's.
func uninterrupted(ctx context.Context) (context.Context, context.CancelFunc) {
	free := context.WithoutCancel(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(free, deadline)
	}
	return context.WithCancel(free)
}
