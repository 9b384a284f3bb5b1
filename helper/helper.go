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

// A Helper gets credentials. All of its fields must be set.
type Helper struct {
	Store  *store.Store
	Issuer func(Profile) *oidc.Issuer
	Now    func() time.Time
	Log    *slog.Logger
	Warn   func(msg string) // one line for the person
}

// Get returns an access token that serves the request: the cached one, without
// network and without D-Bus where the cache allows it, else one got with the
// refresh token. When the issuer, the lock or the store is in trouble, a token
// that is still valid is returned with a warning. Errors: ErrLoginRequired,
// ErrProfile, and those of store and oidc.
func (h *Helper) Get(ctx context.Context, r Request) (Credential, error) {
	asked := h.Now()
	binding := r.Profile.binding()
	enough := func(t store.Token) bool {
		if t.Binding != binding {
			return false
		}
		if r.Fresh { // somebody else's will do when it is younger than the question
			return t.Obtained.After(asked)
		}
		return r.serves(t, h.Now())
	}
	var cached store.Token
	missed := error(store.ErrNotFound)
	if !r.Fresh {
		if cached, missed = h.Store.Token(ctx, r.key()); missed == nil && enough(cached) {
			return credential(r, cached), nil
		}
	}

	issuer := h.Issuer(r.Profile)
	issuer.Recall(ctx) // while the store is asked
	wait, cancel := lockTime(ctx)
	defer cancel()
	rec, err := h.Store.Refresh(wait, r.key(), enough, func(old store.Record) (store.Record, error) {
		return h.refresh(ctx, r, issuer, old, asked)
	})
	if err != nil {
		if missed == nil && cached.Binding == binding && cached.Expiry.After(h.Now()) && isTrouble(err) {
			h.Warn(fmt.Sprintf("no new token (%v); this one is valid for %s more", err, left(cached, h.Now())))
			return credential(r, cached), nil
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

// lockTime leaves a part of the deadline, ten seconds or a half of it, for what
// is done under the lock: whoever gets the lock late must not spend a refresh
// token with no time left to read the answer.
func lockTime(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	reserve := min(10*time.Second, time.Until(deadline)/2)
	return context.WithDeadline(ctx, deadline.Add(-reserve))
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
	return errors.Is(err, oidc.ErrUnreachable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, store.ErrBusy) ||
		errors.Is(err, store.ErrLocked) || errors.Is(err, store.ErrUnavailable)
}

func left(t store.Token, now time.Time) time.Duration {
	return t.Expiry.Sub(now).Round(time.Second)
}

// spendTime is what a refresh is given at the least, whatever is left of the
// deadline when it begins.
const spendTime = 5 * time.Second

// refresh spends old's refresh token. It runs under the account's lock, after
// the record was reloaded. What it returns is kept even beside an error: a
// rotated refresh token, or the mark that the grant is dead.
func (h *Helper) refresh(ctx context.Context, r Request, issuer *oidc.Issuer, old store.Record, asked time.Time) (store.Record, error) {
	if err := usable(r, old, asked); err != nil {
		return store.Record{}, err
	}
	client, err := h.client(ctx, r)
	if err != nil {
		return store.Record{}, err
	}
	if err := issuer.Ready(ctx); err != nil {
		return store.Record{}, err
	}
	if err := ctx.Err(); err != nil {
		return store.Record{}, err
	}
	spending, cancel := whileSpending(ctx)
	defer cancel()
	answer, err := issuer.Refresh(spending, client, old.RefreshToken)
	if dead, words := isDead(err); dead {
		old.Dead, old.DeadAt = words, h.Now()
		return old, ended(r, "refresh: the issuer ended the grant", err)
	}
	var unfit *oidc.VerifyError
	if errors.As(err, &unfit) && !unfit.Identity {
		next, dropped := h.rotated(old, answer)
		return next, errors.Join(err, dropped)
	}
	if err != nil {
		return store.Record{}, err
	}
	return h.renewed(spending, r, issuer, old, answer)
}

// rotated is old with the refresh token that an answer brought, if it brought one.
func (h *Helper) rotated(old store.Record, answer oidc.Response) (store.Record, error) {
	next := old
	next.Dead, next.DeadAt = "", time.Time{} // the issuer has just taken it
	if answer.RefreshToken == "" {
		return next, nil
	}
	if err := sameSubject(answer.RefreshToken, old.Subject); err != nil {
		return store.Record{}, err
	}
	next.RefreshToken = answer.RefreshToken
	next.Offline, next.RefreshExpiry = kind(answer)
	if old.Offline && !next.Offline {
		h.Warn("the issuer has changed the offline token into an online one; it will end with the user's session")
	}
	return next, nil
}

// renewed is the record after a refresh that the issuer granted.
func (h *Helper) renewed(ctx context.Context, r Request, issuer *oidc.Issuer, old store.Record, answer oidc.Response) (store.Record, error) {
	next, err := h.rotated(old, answer)
	if err != nil {
		return store.Record{}, err
	}
	token, _, err := h.accept(ctx, r, issuer, answer, old.Subject)
	if err != nil {
		var refused *oidc.VerifyError
		if errors.As(err, &refused) && refused.Identity {
			return store.Record{}, err
		}
		return next, err
	}
	next.Token = token
	return next, nil
}

// whileSpending is for the way from sending a refresh token to the store, which no
// signal interrupts. The deadline still holds, but for the time that a server needs
// to answer: a refresh token is not spent into an answer that nobody reads.
func whileSpending(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < spendTime {
		return context.WithTimeout(context.WithoutCancel(ctx), spendTime)
	}
	return uninterrupted(ctx)
}

// usable says why a record cannot be refreshed, before anything is asked. A dead
// one is tried again for who says --fresh, unless another has tried since then.
func usable(r Request, old store.Record, asked time.Time) error {
	switch {
	case old.Grant == "":
		return loginRequired(r, fmt.Sprintf("nothing is stored for %s/%s", r.Profile.Name, r.Account), nil)
	case old.Issuer != r.Profile.Issuer || old.ClientID != r.Profile.ClientID:
		return loginRequired(r, fmt.Sprintf("what is stored is for client %s at %s, but the profile says %s at %s",
			oidc.Clean(old.ClientID), oidc.Clean(old.Issuer), r.Profile.ClientID, r.Profile.Issuer), nil)
	case old.Dead != "" && (!r.Fresh || !old.DeadAt.Before(asked)):
		return ended(r, fmt.Sprintf("the issuer ended the grant on %s: %s", old.DeadAt.UTC().Format("2006-01-02 15:04Z"), oidc.Clean(old.Dead)), nil)
	case old.RefreshToken == "":
		return loginRequired(r, "the stored record has no refresh token", nil)
	}
	return nil
}

// isDead reports whether the issuer refused a refresh token for good
// (RFC 6749 §5.2 invalid_grant), with its words.
func isDead(err error) (bool, string) {
	var refused *oidc.Error
	if errors.As(err, &refused) && refused.Op == "refresh" && refused.Code == "invalid_grant" {
		return true, refused.Error()
	}
	return false, ""
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
