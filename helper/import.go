package helper

import (
	"context"
	"fmt"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store"
)

// An ImportRequest asks to keep a refresh token that the profile's client was given
// elsewhere.
type ImportRequest struct {
	Request
	RefreshToken secret.Secret
	// AllowOnline keeps a refresh token that ends with the user's session.
	AllowOnline bool
}

// Import proves a refresh token by one refresh and stores what came. There is room for the new token, and the issuer's keys are at hand, before the token is sent.
//
// An issuer that rotates takes the token that was brought out of use and answers
// with another: from then on that one is the grant. It is kept even when the access
// token beside it cannot be verified, or when it turns out to be an online one, since
// there would be none else left; the error says so. Errors: ErrSubjectToken,
// ErrLoginRequired (the issuer does not take the token), ErrNotGranted, ErrProfile, and
// those of store and oidc; in all other cases the store is as it was.
func (h *Helper) Import(ctx context.Context, r ImportRequest) (store.Record, error) {
	if err := checkRefreshToken(r, h.Now()); err != nil {
		return store.Record{}, err
	}
	wait, cancel := lockTime(ctx, 0)
	defer cancel()
	f := &importer{h: h, request: r, issuer: h.Issuer(r.Profile)}
	defer f.issuer.LogHeld()
	rec, err := h.Store.Refresh(wait, r.key(), store.Want{}, f)
	if err != nil {
		return rec, err
	}
	return h.learn(ctx, r.Request, f.issuer, f.client, rec), nil
}

// An importer is the issuer's side of an import. It implements store.Spender.
type importer struct {
	h       *Helper
	request ImportRequest
	issuer  *oidc.Issuer

	client  oidc.Client
	subject string // of the token that was brought, as it says itself
	old     store.Record
	answer  oidc.Response
}

// Prepare implements store.Spender. The record is the one that is to be made.
func (f *importer) Prepare(ctx context.Context, found store.Found) (store.Record, error) {
	f.old = found.Record
	if peek, ok := oidc.ParseUnverified(f.request.RefreshToken); ok {
		f.subject = peek.Claims.Subject
	}
	if who := (newcomer{subject: f.subject}); who.isAnother(f.old) {
		if err := f.request.mayReplace(hint.Run("import", "--token-file", "FILE"), f.old, who); err != nil {
			return store.Record{}, err
		}
	}
	var err error
	if f.client, err = f.h.client(ctx, f.request.Request); err != nil {
		return store.Record{}, err
	}
	if err := f.issuer.Ready(ctx); err != nil {
		return store.Record{}, err
	}
	return f.h.newRecord(f.request.Request, f.issuer, oidc.Response{}, store.Token{Subject: f.subject}, oidc.Claims{}), prepareOver(ctx.Err())
}

// Send implements store.Spender.
func (f *importer) Send(ctx context.Context, ready func() error) (store.Record, store.Verdict, error) {
	var err error
	brought := f.request.RefreshToken
	f.answer, err = f.issuer.Spend(ctx, f.client, oidc.RefreshGrant(brought), oidc.Spending{Before: ready})
	rotated := f.answer.RefreshToken != "" && f.answer.RefreshToken != brought
	if err != nil && !rotated {
		return f.failed(err)
	}
	if sameErr := sameSubject(f.answer.RefreshToken, f.subject); sameErr != nil {
		return store.Record{}, store.Refused, sameErr
	}
	if !rotated {
		// Nothing was spent, so nothing need be kept before it is verified.
		f.answer.RefreshToken = brought
		token, claims, err := f.h.accept(ctx, f.request.Request, f.issuer, f.answer, expected{subject: f.subject, first: true, refreshed: true})
		if err != nil {
			return store.Record{}, store.Refused, err
		}
		if who := (newcomer{subject: token.Subject, username: claims.Username}); who.isAnother(f.old) {
			if err := f.request.mayReplace(hint.Run("import", "--token-file", "FILE"), f.old, who); err != nil {
				return store.Record{}, store.Refused, err
			}
		}
		rec := f.h.newRecord(f.request.Request, f.issuer, f.answer, token, claims)
		if !rec.Offline && !f.request.AllowOnline {
			return store.Record{}, store.Refused, f.request.onlineImport("nothing was kept")
		}
	}
	if err != nil {
		err = importedAlthough(err)
	}
	rec := f.h.newRecord(f.request.Request, f.issuer, f.answer, store.Token{Subject: f.subject}, oidc.Claims{})
	return rec, store.Granted, err
}

// importedAlthough says that a refused access token has cost nothing.
func importedAlthough(err error) error {
	return fmt.Errorf("import: the refresh token is kept, but %w", err)
}

// failed says what became of the token that was brought.
func (f *importer) failed(err error) (store.Record, store.Verdict, error) {
	if refused, _ := revokes(err); refused {
		return store.Record{}, store.Refused, f.h.loginRequired(f.request.Request, "import: the issuer does not take this refresh token", err)
	}
	if verdictOf(err) == store.Unanswered {
		err = fmt.Errorf("import: the refresh token may have been spent: %w", err)
	}
	// The mark is of a grant that is not stored, so it is not left behind.
	return store.Record{}, store.Refused, err
}

// Verify implements store.Spender.
func (f *importer) Verify(ctx context.Context, stored store.Record) (store.Record, error) {
	token, claims, err := f.h.accept(ctx, f.request.Request, f.issuer, f.answer, expected{subject: f.subject, first: true, refreshed: true})
	if err != nil {
		return stored, importedAlthough(err)
	}
	stored = withClaims(stored, token, claims)
	f.h.warnReplaced(f.old, stored)
	if !stored.Offline && !f.request.AllowOnline {
		return stored, f.request.onlineImport("it is kept, since the one that was brought may be spent")
	}
	return stored, nil
}

func (r Request) onlineImport(kept string) error {
	return &hint.Error{
		Kind: ErrNotGranted, Detail: "import: it is an online refresh token, which ends with the user's session; " + kept,
		Remedy: hint.Do(hint.Words("get one with the scope "+offlineAccess+": "), r.command("login"), hint.Words("; or keep the online token: "), r.command("import").With("--token-file", "FILE", "--allow-online")),
	}
}

// checkRefreshToken looks at a refresh token before it is sent, as checkSubjectToken
// does at an access token.
func checkRefreshToken(r ImportRequest, now time.Time) error {
	refuse := func(remedy hint.Remedy, format string, args ...any) error {
		return &hint.Error{Kind: ErrSubjectToken, Detail: "the token cannot be imported: " + fmt.Sprintf(format, args...), Remedy: remedy}
	}
	if err := checkAlone(r.RefreshToken, "refresh_token", r.command("import"), refuse); err != nil {
		return err
	}
	peek, ok := oidc.ParseUnverified(r.RefreshToken)
	if !ok {
		return nil // an opaque one is the issuer's to judge
	}
	c := peek.Claims
	const take = "take the refresh_token of the answer"
	switch {
	case c.Type == "ID" || c.Type == "" && peek.Header.Type != "at+jwt" && c.ATHash != "":
		return refuse(hint.Say(take+", not the id_token"), "it is an ID token")
	case c.Type == "Bearer" || peek.Header.Type == "at+jwt":
		return refuse(hint.Do(hint.Words(take+"; an access token is for: "), r.command("exchange").With("--token-file", "FILE")), "it is an access token")
	case c.Issuer != "" && c.Issuer != r.Profile.Issuer:
		return refuse(hint.Say("choose another --profile, or take a token of this one's issuer"),
			"it is of another issuer: iss is %s, the profile's issuer is %s", oidc.Clean(c.Issuer), r.Profile.Issuer)
	case c.Azp != "" && c.Azp != r.Profile.ClientID:
		return refuse(hint.Say("only the client that it was given to can use it: choose another --profile"),
			"it was given to client %s, and the profile's is %s", oidc.Clean(c.Azp), r.Profile.ClientID)
	case !peek.ExpiresAt().IsZero() && !now.Before(peek.ExpiresAt()):
		return refuse(hint.Do(hint.Words("get a new one: "), r.command("login")), "it expired %s ago, at %s",
			now.Sub(peek.ExpiresAt()).Round(time.Second), peek.ExpiresAt().UTC().Format(time.RFC3339))
	case c.Type == "Refresh" && !r.AllowOnline:
		return r.onlineImport("it was not sent, and nothing was kept")
	}
	return nil
}
