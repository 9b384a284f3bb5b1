package helper

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store"
)

// getNarrow is Get for a narrower token: the cached one, or one that the issuer gives for
// our own access token. Whatever fails, no other token is returned.
func (h *Helper) getNarrow(ctx context.Context, r Request) (Credential, error) {
	name := r.Narrow.name(r.Profile)
	// The grant is noted before a token is got. If the account is given to another user
	// in between, the new token is kept for neither of them.
	note, noteErr := h.Store.Note(r.key())
	kept, missed := h.cachedNarrow(ctx, r, note.Grant, name)
	if missed == nil && !r.Fresh && r.serves(kept, h.Now()) {
		return credential(r, kept), nil
	}
	valid := time.Duration(0) // for how long what is kept is
	if missed == nil && !r.Fresh {
		valid = kept.Expiry.Sub(h.Now())
	}
	var made store.Token
	err := h.Store.Alone(ctx, r.key(), name, patience(valid), func() (err error) {
		// Another process may have got one while this one waited.
		found, gone := h.cachedNarrow(ctx, r, note.Grant, name)
		brought := !r.Fresh || missed == nil && found.AccessToken != kept.AccessToken || missed != nil
		if gone == nil && brought && r.serves(found, h.Now()) {
			made = found
			return nil
		}
		if made, err = h.makeNarrow(ctx, r, note, noteErr); err == nil {
			h.keepNarrow(ctx, r, note.Grant, name, made)
		}
		return err
	})
	switch {
	case err != nil && missed == nil && !r.Fresh && kept.Expiry.After(h.Now()) && isTrouble(err):
		h.Warn(fmt.Sprintf("no new token (%v); this one is valid for %s more", err, left(kept, h.Now())))
		return credential(r, kept), nil
	case err != nil:
		return Credential{}, err
	case errors.Is(ctx.Err(), context.Canceled):
		return Credential{}, ctx.Err() // kept, but whoever asked has gone
	case !made.Expiry.After(h.Now()):
		return Credential{}, &oidc.VerifyError{What: "access_token", Why: "it came expired; the clock may be wrong"}
	case !r.serves(made, h.Now()):
		h.Warn(fmt.Sprintf("the issuer's tokens live shorter than asked: this one is valid for %s", left(made, h.Now())))
	}
	return credential(r, made), nil
}

// clockStep is how far a clock may be set back without costing a cached token.
const clockStep = 5 * time.Second

// cachedNarrow reads what is kept for a grant under a name.
func (h *Helper) cachedNarrow(ctx context.Context, r Request, grant, name string) (store.Token, error) {
	found, err := h.Store.Secondary(ctx, r.key(), grant, name)
	if err != nil {
		return store.Token{}, err
	}
	if found.Obtained.After(h.Now().Add(clockStep)) {
		return store.Token{}, errNoNarrow // of a clock that was ahead: its expiry proves nothing
	}
	return decodeNarrow(found)
}

// keepNarrow caches a token. Failing to is no error: it costs the next caller a request.
func (h *Helper) keepNarrow(ctx context.Context, r Request, grant, name string, t store.Token) {
	value, err := encodeNarrow(t)
	if err == nil && grant != "" {
		err = h.Store.KeepSecondary(ctx, r.key(), grant, name, store.Secondary{Value: value, Obtained: t.Obtained, Expiry: t.Expiry})
	}
	if err != nil {
		h.Log.Debug("the narrower token is not kept", "error", err)
	}
}

// makeNarrow gets a new token in the way that this issuer has.
func (h *Helper) makeNarrow(ctx context.Context, r Request, note store.Note, noteErr error) (store.Token, error) {
	// A login may be needed, which is said first, and costs no request.
	if errors.Is(noteErr, store.ErrNotFound) || note.RevokedBy != "" && !r.Fresh {
		if _, err := h.Get(ctx, r.whole()); err != nil {
			return store.Token{}, err
		}
	}
	issuer := h.Issuer(r.Profile)
	meta, err := issuer.Metadata(ctx)
	if err != nil {
		return store.Token{}, err
	}
	atRefresh, err := r.narrowsHow(meta)
	if err != nil {
		return store.Token{}, err
	}
	if atRefresh {
		return h.narrowAtRefresh(ctx, r, issuer)
	}
	whole := r.whole()
	whole.Fresh = r.Fresh && note.RevokedBy != "" // else our own token may be a cached one
	t, err := h.narrowByExchange(ctx, r, whole, issuer, note)
	var refused *oidc.Error
	if errors.As(err, &refused) && refused.Means() == oidc.MeansUserTokenRefused && !whole.Fresh {
		// Our own token is no longer good there. A new one is, or says why not.
		h.Log.Debug("the issuer refuses the access token that it gave", "error", err)
		whole.Fresh = true
		t, err = h.narrowByExchange(ctx, r, whole, issuer, note)
	}
	return t, r.refusedNarrow(err)
}

// refusedNarrow is the error of an exchange that the issuer refused.
func (r Request) refusedNarrow(err error) error {
	var refused *oidc.Error
	if !errors.As(err, &refused) || !refused.Narrows() || refused.Temporary() {
		return err
	}
	remedy := refused.Hint()
	if len(remedy) == 0 {
		remedy = hint.Say(oidc.AskAdmin + "may this client exchange its own access tokens?")
	}
	return r.notNarrowed(remedy, "%v", refused)
}

// narrowByExchange gets our own access token and exchanges it.
func (h *Helper) narrowByExchange(ctx context.Context, r, whole Request, issuer *oidc.Issuer, note store.Note) (store.Token, error) {
	base, err := h.Get(ctx, whole)
	if err != nil {
		return store.Token{}, err
	}
	return h.narrowFrom(ctx, r, base, issuer, note)
}

// ProveNarrow tries whether the issuer gives the narrower token of the request. A cached
// access token is exchanged, which spends nothing. tried is false where there is none, or
// where it would take a refresh; then it was only looked whether the issuer has a way.
// Nothing is kept. Errors: ErrNotGranted, and those of store and oidc.
func (h *Helper) ProveNarrow(ctx context.Context, r Request) (tried bool, err error) {
	issuer := h.Issuer(r.Profile)
	meta, err := issuer.Metadata(ctx)
	if err != nil {
		return false, err
	}
	atRefresh, err := r.narrowsHow(meta)
	if err != nil {
		return false, err
	}
	note, err := h.Store.Note(r.key())
	if err != nil {
		return false, nil //nolint:nilerr // nothing is stored yet
	}
	if atRefresh {
		return false, r.within(note.Scopes)
	}
	cached, err := h.Store.Token(ctx, r.key())
	if err != nil || cached.Binding != r.Profile.binding() || !r.serves(cached, h.Now()) {
		return false, nil //nolint:nilerr // a new one would cost a refresh
	}
	_, err = h.narrowFrom(ctx, r, credential(r, cached), issuer, note)
	return true, r.refusedNarrow(err)
}

// narrowFrom exchanges our own access token (RFC 8693). The refresh token has no part in
// it.
func (h *Helper) narrowFrom(ctx context.Context, r Request, base Credential, issuer *oidc.Issuer, note store.Note) (store.Token, error) {
	if err := r.within(base.Scopes); err != nil {
		return store.Token{}, err
	}
	client, err := h.client(ctx, r)
	if err != nil {
		return store.Token{}, err
	}
	if client.Auth == "" {
		client.Auth = note.ClientAuth
	}
	if err := issuer.Ready(ctx); err != nil {
		return store.Token{}, err
	}
	answer, err := issuer.Spend(ctx, client, oidc.ExchangeRequest{
		SubjectToken: base.Token, SubjectTokenType: oidc.TypeAccessToken, RequestedTokenType: oidc.TypeAccessToken,
		Scopes: r.Narrow.Scopes, Audience: r.Narrow.Audience,
	}.NarrowGrant(), oidc.Spending{})
	h.warnUnasked(answer)
	if err != nil {
		return store.Token{}, err
	}
	return h.acceptNarrow(ctx, r, issuer, answer, expected{subject: base.Subject, verified: note.Verified}, seenWhole(base))
}

// seenWhole is what the whole token has, which was verified when it was cached.
func seenWhole(base Credential) seen {
	peek, ok := oidc.ParseUnverified(base.Token)
	return seen{scopes: base.Scopes, audience: peek.Claims.Audience, looked: ok}
}

// warnUnasked names a grant that nobody asked for. It is not revoked: that might end the
// session that our own grant is of.
func (h *Helper) warnUnasked(answer oidc.Response) {
	if answer.RefreshToken != "" {
		h.Warn("the issuer gave a refresh token beside the narrower token; it is not kept, and lives on there until it ends or an admin ends it")
	}
}

// acceptNarrow verifies a narrower token as any access token, and compares it with the
// request.
func (h *Helper) acceptNarrow(ctx context.Context, r Request, issuer *oidc.Issuer, answer oidc.Response, e expected, base seen) (store.Token, error) {
	for _, token := range []secret.Secret{answer.RefreshToken, answer.IDToken} {
		if err := sameSubject(token, e.subject); err != nil {
			return store.Token{}, err
		}
	}
	reader := r
	reader.Profile.Audience = append(r.Profile.Audience[:len(r.Profile.Audience):len(r.Profile.Audience)], r.Narrow.Audience...)
	t, claims, err := h.accept(ctx, reader, issuer, answer, e)
	if err != nil {
		return store.Token{}, err
	}
	got := seenIn(answer, claims)
	if err := r.checkNarrow(got, base); err != nil {
		return store.Token{}, err
	}
	if t.Scopes = got.scopes; len(t.Scopes) == 0 {
		t.Scopes = nil
	}
	return t, nil
}

// narrowAtRefresh spends the refresh token with fewer scopes (RFC 6749 §6), on a server
// that was tested for it. All rules of a refresh hold; what comes for the refresh token
// is stored, and the record's own access token stays.
func (h *Helper) narrowAtRefresh(ctx context.Context, r Request, issuer *oidc.Issuer) (store.Token, error) {
	wait, cancel := lockTime(ctx, 0)
	defer cancel()
	defer issuer.LogHeld()
	f := &refresher{h: h, request: r, issuer: issuer}
	if _, err := h.Store.Refresh(wait, r.key(), store.Want{Fresh: r.Fresh}, f); err != nil {
		return store.Token{}, err
	}
	if f.narrow.AccessToken == "" {
		return store.Token{}, &hint.Error{Kind: ErrNotGranted, Detail: "the refresh brought no narrower token"}
	}
	return f.narrow, nil
}

// verifyNarrow is Verify for a refresh that narrows. The record keeps the token and the
// scopes that it has.
func (f *refresher) verifyNarrow(ctx context.Context, stored store.Record) (store.Record, error) {
	base := seen{scopes: stored.Scopes}
	if peek, ok := oidc.ParseUnverified(stored.Token.AccessToken); ok {
		base.audience, base.looked = peek.Claims.Audience, true
	}
	t, err := f.h.acceptNarrow(ctx, f.request, f.issuer, f.answer, expected{subject: stored.Subject, verified: stored.Verified, refreshed: true}, base)
	if err != nil {
		return stored, keptAlthough(err)
	}
	f.narrow = t
	return stored, nil
}
