package helper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store"
)

// A refresher is the issuer's side of one refresh, under the account's lock. It
// implements store.Spender.
type refresher struct {
	h       *Helper
	request Request
	issuer  *oidc.Issuer

	client oidc.Client
	found  store.Found
	answer oidc.Response
	// spent says in words that the refresh token may have been spent before.
	spent string
	// narrow is the token of a refresh that asks for fewer scopes; see verifyNarrow.
	narrow store.Token
}

// Prepare implements store.Spender: the client's secret and the issuer's documents are
// at hand, and an earlier refresh without an answer is looked into.
func (f *refresher) Prepare(ctx context.Context, found store.Found) (store.Record, error) {
	f.found = found
	if err := f.usable(ctx); err != nil {
		return store.Record{}, err
	}
	var err error
	if f.client, err = f.h.client(ctx, f.request); err != nil {
		return store.Record{}, err
	}
	if f.client.Auth == "" {
		f.client.Auth = found.ClientAuth // the one that was accepted before
	}
	if err := f.issuer.Ready(ctx); err != nil {
		return store.Record{}, err
	}
	if err := ctx.Err(); err != nil {
		return store.Record{}, prepareOver(err)
	}
	switch {
	case found.Doubt == nil && !found.Elsewhere:
		f.issuer.Connect(ctx, f.client) // while room is made for the answer
		return found.Record, nil
	case found.Doubt != nil && found.Doubt.Node != "":
		return f.askShared(ctx)
	}
	return f.ask(ctx)
}

// prepareOver is the error of a caller whose time was up before anything was sent.
func prepareOver(err error) error {
	return hint.TimeUp(err, "before the refresh token was to be sent, so nothing was spent")
}

// usable says why a record cannot be refreshed, before anything is asked. A grant that
// was revoked is tried again with Fresh, unless another process just did.
func (f *refresher) usable(ctx context.Context) error {
	r, old := f.request, f.found.Record
	switch {
	case old.Grant == "":
		return f.h.nothingStored(ctx, r, f.h.beginAgain(r))
	case old.Issuer != r.Profile.Issuer || old.ClientID != r.Profile.ClientID:
		return f.h.loginRequired(r, fmt.Sprintf("what is stored is for client %s at %s, but the profile says %s at %s",
			oidc.Clean(old.ClientID), oidc.Clean(old.Issuer), r.Profile.ClientID, r.Profile.Issuer), nil)
	case old.RevokedBy != "" && (!r.Fresh || f.found.Asked):
		return f.h.revoked(r, fmt.Sprintf("the issuer ended the grant on %s: %s", old.RevokedAt.UTC().Format("2006-01-02 15:04Z"), oidc.Clean(old.RevokedBy)), nil)
	case old.RefreshToken == "":
		return f.h.loginRequired(r, "the stored record has no refresh token", nil)
	}
	return r.within(old.Scopes)
}

// ask looks into a refresh token that may have been spent: by a refresh that got no
// answer, or on another machine whose store was copied. The issuer is asked by
// introspection (RFC 7662), and believed only where it has called this grant active
// before. What it does not tell is tried once.
func (f *refresher) ask(ctx context.Context) (store.Record, error) {
	rec := f.found.Record
	f.spent = doubtWords(f.found)
	active, known, err := f.issuer.Introspect(ctx, f.client, rec.RefreshToken)
	switch {
	case err != nil || !known || !active && !rec.Introspects:
		f.h.Log.Debug("the issuer does not tell whether the refresh token was spent", "known", known, "error", err)
	case active:
		f.spent, f.found.Introspects = "", true // from now on its "inactive" is believed
	default:
		words := "the refresh token is spent: " + f.spent
		rec.RevokedBy, rec.RevokedAt = words, f.h.Now()
		return rec, f.h.revoked(f.request, "refresh: "+words, nil)
	}
	if f.found.Elsewhere {
		f.h.Warn("this store was last used on another machine; a copied store ends grants where refresh tokens rotate")
	}
	return rec, nil
}

// doubtWords say why a refresh token may have been spent.
func doubtWords(found store.Found) string {
	if d := found.Doubt; d != nil {
		where := ""
		switch {
		case d.Node != "":
			where = " on machine " + oidc.Clean(d.Node)
		case d.Elsewhere:
			where = " on another machine"
		}
		return fmt.Sprintf("the refresh of %s%s got no answer, and the issuer may have replaced the token", d.Since.UTC().Format("2006-01-02 15:04Z"), where)
	}
	return "the store was copied from another machine, which may have used it"
}

// Send implements store.Spender.
func (f *refresher) Send(ctx context.Context, ready func() error) (store.Record, store.Verdict, error) {
	old := f.found.Record
	var err error
	f.answer, err = f.issuer.Spend(ctx, f.client, oidc.RefreshGrant(old.RefreshToken, f.request.Narrow.Scopes...),
		oidc.Spending{Before: ready, Known: slices.Concat(old.Asked, old.Scopes)})
	if err == nil || f.answer.RefreshToken != "" {
		return f.next(err)
	}
	if refused, words := revokes(err); refused {
		old.RevokedBy, old.RevokedAt = words, f.h.Now()
		detail := "refresh: the issuer ended the grant"
		if f.spent != "" {
			detail += " (" + f.spent + ")"
		}
		return old, store.Refused, f.h.revoked(f.request, detail, err)
	}
	if old.ClientAuth != "" && oidc.RefusesClient(err) {
		old.ClientAuth = "" // the next command finds out anew how the issuer takes the secret
		f.issuer.ForgetClientAuth(f.client)
		return old, store.Refused, err
	}
	return store.Record{}, verdictOf(err), f.explain(err)
}

// next is the record after an answer with a refresh token, or without one where the
// old one goes on. Tokens of another subject are never adopted.
func (f *refresher) next(unfit error) (store.Record, store.Verdict, error) {
	next := f.found.Record
	next.RevokedBy, next.RevokedAt = "", time.Time{} // the issuer has just taken it
	if f.answer.ClientAuth != "" {
		next.ClientAuth = f.answer.ClientAuth
	}
	if f.answer.RefreshToken == "" {
		return next, store.Granted, unfit
	}
	if err := f.sameSubject(next.Subject); err != nil {
		return store.Record{}, store.Unanswered, err
	}
	next.RefreshToken = f.answer.RefreshToken
	if unfit != nil {
		unfit = keptAlthough(unfit)
	}
	answer := f.answer
	if !f.request.Narrow.IsZero() {
		answer.Scopes = nil // they are the access token's, not the grant's
	}
	next.Offline, next.RefreshExpiry = kind(answer, f.issuer.Product(), next.Asked, next.Scopes)
	return next, store.Granted, unfit
}

// sameSubject refuses an answer of which any token names another user. Nothing of it is
// verified yet, and nothing need be: such an answer is not this user's.
func (f *refresher) sameSubject(subject string) error {
	all := []secret.Secret{f.answer.RefreshToken, f.answer.IDToken}
	if f.request.Profile.AccessToken != opaqueTokens { // another reader may know the user by another subject
		all = append(all, f.answer.AccessToken)
	}
	for _, token := range all {
		err := sameSubject(token, subject)
		if refused, ok := errors.AsType[*oidc.VerifyError](err); ok {
			refused.Remedy = newSubjectRemedy(f.request)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// newSubjectRemedy is for a user whom the issuer gives another subject than before, as it
// does once an admin makes the subjects of a client pairwise.
func newSubjectRemedy(r Request) hint.Remedy {
	return hint.Do(hint.Words(oidc.AskAdmin+"have this client's subjects changed (pairwise)? Then begin a new grant for the user: "),
		r.command("exchange").With("--token-file", "FILE", "--replace"))
}

// verdictOf says what became of a refresh token whose request failed.
func verdictOf(err error) store.Verdict {
	var refused *oidc.Error
	switch outcome := oidc.OutcomeOf(err); {
	case outcome == oidc.NotSent:
		return store.NotSent
	case outcome == oidc.Answered && errors.As(err, &refused) && !refused.Temporary():
		return store.Refused
	}
	return store.Unanswered
}

// explain says of a request without an answer that it may have spent the token.
func (f *refresher) explain(err error) error {
	if verdictOf(err) != store.Unanswered {
		return err
	}
	remedy := hint.Of(err)
	if remedy == nil {
		remedy = hint.Do(hint.Words("try again later: "), hint.Run("get").For(f.request.Profile.Name, f.request.Account))
	}
	return &hint.Error{Kind: oidc.ErrUnreachable, Detail: "the refresh token may have been spent", Err: err, Remedy: remedy}
}

// Verify implements store.Spender: the access token of an answer whose refresh token is
// sealed by now. What is shown of the user is what the last verified token says.
func (f *refresher) Verify(ctx context.Context, stored store.Record) (store.Record, error) {
	if f.found.Offline && !stored.Offline { // said while it is stored, as standard error may block
		f.h.Warn("the issuer has changed the offline token into an online one; it will end with the user's session")
	}
	if !f.request.Narrow.IsZero() {
		return f.verifyNarrow(ctx, stored)
	}
	token, claims, err := f.h.accept(ctx, f.request, f.issuer, f.answer, expected{subject: stored.Subject, verified: stored.Verified})
	if err != nil {
		return stored, keptAlthough(err)
	}
	asked, before := f.request.Profile.Scopes, stored.Asked
	if len(before) == 0 { // of a version that did not keep it
		before = asked
	}
	known := NotGranted(before, stored.Scopes)
	missing := lacks(asked, token.Scopes, f.answer, stored.Offline || !slices.Contains(f.request.Profile.RequiredScopes, offlineAccess))
	if err := f.h.checkScopes("refresh", f.request.Profile, missing, known, "the grant is kept"); err != nil {
		return stored, err
	}
	if len(token.Scopes) == 0 { // they are what they were (RFC 6749 §5.1, §6)
		token.Scopes = stored.Scopes
	}
	return withClaims(stored, token, claims), nil
}

// withClaims is a record with a verified token and what it tells.
func withClaims(rec store.Record, token store.Token, claims oidc.Claims) store.Record {
	rec.Token = token
	if claims.Username != "" {
		rec.Username = claims.Username
	}
	if rec.Subject == "" {
		rec.Subject = token.Subject
	}
	if len(token.Scopes) > 0 {
		rec.Scopes = token.Scopes
	}
	rec.Verified = rec.Verified || claims.JSON != nil
	return rec
}

// keptAlthough says that a refused access token has cost nothing.
func keptAlthough(err error) error {
	return fmt.Errorf("%w (the grant is kept: its refresh token is stored)", err)
}

// revokes reports whether the issuer refused a refresh token for good, with its words
// as they may be stored.
func revokes(err error) (bool, string) {
	var refused *oidc.Error
	if !errors.As(err, &refused) || refused.Op != "refresh" || refused.Means() != oidc.MeansGrantEnded {
		return false, ""
	}
	if refused.Redacted { // what is left of a secret is not stored
		return true, fmt.Sprintf("HTTP %d, in words that repeated a secret", refused.Status)
	}
	return true, refused.Error()
}
