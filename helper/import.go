package helper

import (
	"context"
	"errors"
	"fmt"
	"time"

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

// Import proves a refresh token by one refresh and stores what came. The store is
// proven writable, and the issuer's keys are at hand, before the token is sent.
//
// An issuer that rotates takes the token that was brought out of use and answers
// with another: from then on that one is the grant. It is kept even when the access
// token beside it does not serve yet or cannot be verified now, or when it turns out to
// be an online one, since there would be none else left; the error says so. Errors:
// ErrSubjectToken, ErrLoginRequired (the issuer does not take the token), ErrNotGranted,
// ErrProfile, and those of store and oidc; but for the cases above, the store is as it
// was.
func (h *Helper) Import(ctx context.Context, r ImportRequest) (store.Record, error) {
	if err := checkRefreshToken(r, h.Now()); err != nil {
		return store.Record{}, err
	}
	issuer, client, err := h.ready(ctx, r.Request)
	if err != nil {
		return store.Record{}, err
	}
	return h.replace(ctx, r.Request, func() (store.Record, error) {
		return h.importToken(ctx, r, issuer, client)
	})
}

func (h *Helper) importToken(ctx context.Context, r ImportRequest, issuer *oidc.Issuer, client oidc.Client) (store.Record, error) {
	spending, cancel := whileSpending(ctx)
	defer cancel()
	answer, err := issuer.Refresh(spending, client, r.RefreshToken)
	if dead, _ := isDead(err); dead {
		return store.Record{}, loginRequired(r.Request, "import: the issuer does not take this refresh token", err)
	}
	var subject string
	if peek, ok := oidc.ParseUnverified(r.RefreshToken); ok {
		subject = peek.Claims.Subject
	}
	if err := sameSubject(answer.RefreshToken, subject); err != nil {
		return store.Record{}, err
	}
	rotated := answer.RefreshToken != "" && answer.RefreshToken != r.RefreshToken
	if answer.RefreshToken == "" {
		answer.RefreshToken = r.RefreshToken
	}
	var token store.Token
	var claims oidc.Claims
	if err == nil {
		token, claims, err = h.accept(spending, r.Request, issuer, answer, subject)
	}
	var unfit *oidc.VerifyError
	if alien := errors.As(err, &unfit) && unfit.Identity; err != nil && rotated && !alien {
		token.Subject = subject
		return h.newRecord(r.Request, answer, token, claims), fmt.Errorf("import: the refresh token is kept, but %w", err)
	}
	if err != nil {
		return store.Record{}, err
	}
	rec := h.newRecord(r.Request, answer, token, claims)
	if rec.Offline || r.AllowOnline {
		return rec, nil
	}
	if !rotated {
		return store.Record{}, onlineImport("nothing was kept")
	}
	return rec, onlineImport("it is kept, since the one that was brought may be spent")
}

func onlineImport(kept string) error {
	return &Problem{
		Kind: ErrNotGranted, Detail: "import: it is an online refresh token, which ends with the user's session; " + kept,
		Remedy: fmt.Sprintf("get one with the scope %s, as t2-cred login does; or keep the online token: --allow-online", offlineAccess),
	}
}

// checkRefreshToken looks at a refresh token before it is sent, as checkSubjectToken
// does at an access token.
func checkRefreshToken(r ImportRequest, now time.Time) error {
	refuse := func(remedy, format string, args ...any) error {
		return &Problem{Kind: ErrSubjectToken, Detail: "the token cannot be imported: " + fmt.Sprintf(format, args...), Remedy: remedy}
	}
	if err := checkAlone(r.RefreshToken, "t2-cred import", refuse); err != nil {
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
		return refuse(take+", not the id_token", "it is an ID token")
	case c.Type == "Bearer" || peek.Header.Type == "at+jwt":
		return refuse(take+"; an access token is for: t2-cred exchange"+r.flags()+" --token-file FILE", "it is an access token")
	case c.Issuer != "" && c.Issuer != r.Profile.Issuer:
		return refuse("choose another --profile, or take a token of this one's issuer",
			"it is of another issuer: iss is %s, the profile's issuer is %s", oidc.Clean(c.Issuer), r.Profile.Issuer)
	case c.Azp != "" && c.Azp != r.Profile.ClientID:
		return refuse("only the client that it was given to can use it: choose another --profile",
			"it was given to client %s, and the profile's is %s", oidc.Clean(c.Azp), r.Profile.ClientID)
	case !peek.ExpiresAt().IsZero() && !now.Before(peek.ExpiresAt()):
		return refuse("get a new one: t2-cred login"+r.flags(), "it expired %s ago, at %s",
			now.Sub(peek.ExpiresAt()).Round(time.Second), peek.ExpiresAt().UTC().Format(time.RFC3339))
	case c.Type == "Refresh" && !r.AllowOnline:
		return onlineImport("it was not sent, and nothing was kept")
	}
	return nil
}
