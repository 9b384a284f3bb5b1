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

// assumedLife is what is taken for the life of an opaque token whose issuer
// does not tell it (expires_in is only RECOMMENDED, RFC 6749 §5.1).
const assumedLife = time.Minute

// What an answer has to agree with.
type expected struct {
	subject  string // of the grant, when it is known already
	verified bool   // an access token of this grant was verified before
	first    bool   // the answer begins a grant: what is odd is said to the person
	// refreshed is of a refresh, which may bring the first ID token again.
	refreshed bool
}

// accept verifies an answer's access token and makes it a Token. The subject, when it
// is known, must not change. An opaque token is taken as it is, its subject from the
// ID token where one came along. A grant that had tokens to verify takes no opaque one,
// unless the profile says so: else whoever can change an answer could leave the check out.
func (h *Helper) accept(ctx context.Context, r Request, issuer *oidc.Issuer, answer oidc.Response, e expected) (store.Token, oidc.Claims, error) {
	want := oidc.Expect{What: "access_token", ClientID: r.Profile.ClientID, Audience: r.Profile.Audience, Subject: e.subject}
	var claims oidc.Claims
	err := error(oidc.ErrOpaque)
	if r.Profile.AccessToken != opaqueTokens {
		claims, err = issuer.Verify(ctx, answer.AccessToken, want)
	}
	if why := opaque(err, issuer.Product(), answer); why != "" {
		want.Unproven = errors.Is(err, oidc.ErrOpaque) // beside a JWT, the ID token proves whose it is
		if err = opaqueAllowed(r.Profile, e, why); err == nil {
			claims, err = h.unread(ctx, issuer, answer, want, e)
		}
		if err == nil && e.first {
			h.Warn("the access token is opaque: " + why + "; it is kept without a look into it")
		}
	}
	if err != nil {
		return store.Token{}, claims, maybeOpaque(err, issuer.Product(), answer)
	}
	t := store.Token{
		AccessToken: answer.AccessToken, Type: "Bearer", Obtained: answer.Received,
		Scopes: answer.Scopes, Subject: claims.Subject, Binding: r.Profile.binding(),
	}
	if t.Subject == "" {
		t.Subject = e.subject
	}
	if t.Subject == "" {
		t.Subject = h.idSubject(ctx, issuer, answer, want)
	}
	if t.Scopes == nil {
		t.Scopes = claims.Scopes
	}
	if t.Expiry = issuer.Expiry(answer, claims); t.Expiry.IsZero() {
		t.Expiry = answer.Received.Add(assumedLife)
	}
	return t, claims, nil
}

// Values of Profile.AccessToken.
const (
	jwtTokens    = "jwt"
	opaqueTokens = "opaque"
)

// opaque says why an access token is opaque to the client (RFC 6749 §1.4); empty when
// it is not. Keycloak gives its clients no tokens for other readers.
func opaque(err error, product oidc.Product, answer oidc.Response) string {
	var refused *oidc.VerifyError
	switch {
	case errors.Is(err, oidc.ErrOpaque):
		return "there is nothing in it that this client can verify"
	case errors.As(err, &refused) && refused.OtherReader && answer.IDToken != "" && product != oidc.Keycloak:
		return "it is for another reader (" + refused.Why + ")"
	}
	return ""
}

// maybeOpaque adds to a refused access token that it may be for another reader. Entra's
// for Microsoft Graph and those of Okta's org server have signatures that a client cannot
// check. A token for the issuer's own eyes need not have an end.
func maybeOpaque(err error, product oidc.Product, answer oidc.Response) error {
	var refused *oidc.VerifyError
	if errors.As(err, &refused) && (refused.Signature || refused.Endless) && refused.What == "access_token" && refused.Remedy == nil && answer.IDToken != "" && product != oidc.Keycloak {
		refused.Remedy = hint.Say(fmt.Sprintf("if this issuer signs access tokens for another reader, set access_token = %q in the profile", opaqueTokens))
	}
	return err
}

// opaqueAllowed refuses an opaque token where one that can be verified is due.
func opaqueAllowed(p Profile, e expected, why string) error {
	refuse := func(words string) error {
		return &oidc.VerifyError{
			What: "access_token", Why: words + ": " + why,
			Remedy: hint.Say(fmt.Sprintf("if this issuer's tokens are opaque by now, set access_token = %q in the profile", opaqueTokens)),
		}
	}
	switch {
	case p.AccessToken == opaqueTokens:
		return nil
	case p.AccessToken == jwtTokens:
		return refuse("the profile wants a JWT")
	case e.verified:
		return refuse("earlier tokens of this grant could be verified, and this one cannot")
	}
	return nil
}

// unread are the claims for an access token that is not looked into: those of the ID
// token beside it. One that cannot be verified says nothing, and neither does one that has
// ended: it was not made for this answer. All are refused for what they contradict.
func (h *Helper) unread(ctx context.Context, issuer *oidc.Issuer, answer oidc.Response, want oidc.Expect, e expected) (oidc.Claims, error) {
	if answer.IDToken == "" {
		return oidc.Claims{Subject: e.subject}, nil
	}
	want.What, want.IDToken, want.Repeated = "id_token", true, e.refreshed
	claims, err := issuer.Verify(ctx, answer.IDToken, want)
	ended := e.refreshed && err == nil && !h.Now().Before(claims.Expiry)
	if errors.Is(err, oidc.ErrOpaque) || claims.Unproven || ended {
		return oidc.Claims{Subject: e.subject}, nil
	}
	claims.JSON, claims.Scopes = nil, nil
	claims.Expiry = time.Time{} // the ID token's, not the access token's
	return claims, err
}

// idSubject is the subject of the ID token beside an access token that names none, as
// Keycloak 26 gives to a client without the scope basic. Empty when there is none that can
// be verified.
func (h *Helper) idSubject(ctx context.Context, issuer *oidc.Issuer, answer oidc.Response, want oidc.Expect) string {
	if answer.IDToken == "" {
		return ""
	}
	want.What, want.IDToken, want.Unproven = "id_token", true, false
	claims, err := issuer.Verify(ctx, answer.IDToken, want)
	if err != nil {
		h.Log.Debug("the ID token is not taken for its subject", "error", err)
		return ""
	}
	return claims.Subject
}

// kind tells an offline refresh token, which outlives the user's session, from an
// online one, and says when it ends (zero: not known). Keycloak says it by its own claim
// typ. Elsewhere the granted scope offline_access counts; an end alone does not make a
// token an online one. granted are the scopes where the answer names none.
func kind(answer oidc.Response, product oidc.Product, asked, granted []string) (offline bool, end time.Time) {
	peek, isJWT := oidc.ParseUnverified(answer.RefreshToken)
	if isJWT {
		end = peek.ExpiresAt()
	}
	if d := answer.RefreshExpiresIn; d != nil && *d > 0 {
		end = answer.Received.Add(*d)
	}
	if len(answer.Scopes) > 0 {
		granted = answer.Scopes
	}
	if len(granted) == 0 { // no answer has named any, so all were granted (RFC 6749 §5.1)
		granted = asked
	}
	switch {
	case product == oidc.Keycloak && isJWT && peek.Claims.Type != "":
		return peek.Claims.Type == "Offline", end
	case slices.Contains(granted, offlineAccess), end.IsZero():
		return true, end
	case product == oidc.Keycloak:
		return false, end
	}
	// Asked for and not granted, with an end: it is the session's. Where the scope was
	// not asked for, the issuer gives refresh tokens by another rule (Google, GitLab).
	return !slices.Contains(asked, offlineAccess), end
}

// answerSubject is whom an answer of the exchange has to be for. The subjects of two
// clients may differ (OpenID Connect Core §8.1, pairwise), so the subject token's counts
// only where it was given to our client, by our issuer. Else it is the refresh token's.
func answerSubject(r ExchangeRequest, refresh secret.Secret) string {
	if peek, ok := oidc.ParseUnverified(r.SubjectToken); ok && !r.foreign(peek) && peek.GivenTo(r.Profile.ClientID) {
		return peek.Claims.Subject
	}
	if peek, ok := oidc.ParseUnverified(refresh); ok {
		return peek.Claims.Subject
	}
	return ""
}

// sameSubject refuses a refresh token that says it is another user's
// (CVE-2025-12390 of Keycloak: tokens of another session handed out).
func sameSubject(token secret.Secret, subject string) error {
	peek, ok := oidc.ParseUnverified(token)
	if !ok || peek.Claims.Subject == "" || subject == "" || peek.Claims.Subject == subject {
		return nil
	}
	return &oidc.VerifyError{
		What: "answer", Identity: true, OtherSubject: true,
		Why: fmt.Sprintf("it is for another subject: sub is %q, the grant is of %q", oidc.Clean(peek.Claims.Subject), oidc.Clean(subject)),
	}
}
