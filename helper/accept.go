package helper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store"
)

// assumedLife is what is taken for the life of an opaque token whose issuer
// does not tell it (expires_in is only RECOMMENDED, RFC 6749 §5.1).
const assumedLife = time.Minute

// accept verifies an answer's access token and makes it a Token. The subject,
// when it is known already, must not change. An opaque token is taken as it is,
// its subject from the ID token where one came along.
func (h *Helper) accept(ctx context.Context, r Request, issuer *oidc.Issuer, answer oidc.Response, subject string) (store.Token, oidc.Claims, error) {
	want := oidc.Expect{What: "access_token", ClientID: r.Profile.ClientID, Audience: r.Profile.Audience, Subject: subject}
	claims, err := issuer.Verify(ctx, answer.AccessToken, want)
	if errors.Is(err, oidc.ErrOpaque) {
		claims, err = oidc.Claims{Subject: subject}, nil
		if answer.IDToken != "" {
			want.What, want.IDToken = "id_token", true
			claims, err = issuer.Verify(ctx, answer.IDToken, want)
			claims.JSON = nil
			claims.Expiry = time.Time{} // the ID token's, not the access token's
		}
	}
	if err != nil {
		return store.Token{}, claims, err
	}
	t := store.Token{
		AccessToken: answer.AccessToken, Type: "Bearer", Obtained: answer.Received,
		Scopes: answer.Scopes, Subject: claims.Subject, Binding: r.Profile.binding(),
	}
	if t.Subject == "" {
		t.Subject = subject
	}
	if t.Scopes == nil {
		t.Scopes = claims.Scopes
	}
	skew, _ := issuer.Skew() // zero where the issuer does not tell its time
	t.Expiry = expiry(answer, claims, skew)
	return t, claims, nil
}

// expiry is the earlier of what expires_in and exp say. expires_in counts on our clock,
// exp on the issuer's, which is skew ahead of ours.
func expiry(answer oidc.Response, claims oidc.Claims, skew time.Duration) time.Time {
	var ends []time.Time
	if answer.ExpiresIn > 0 {
		ends = append(ends, answer.Received.Add(answer.ExpiresIn))
	}
	if !claims.Expiry.IsZero() {
		ends = append(ends, claims.Expiry.Add(-skew))
	}
	if len(ends) == 0 {
		return answer.Received.Add(assumedLife)
	}
	return slices.MinFunc(ends, time.Time.Compare)
}

// kind tells an offline refresh token from an online one by what it says of
// itself, and when it ends: Keycloak's typ is "Offline" or "Refresh"; a token
// that is opaque, or has no typ, is offline when no end is set for it.
func kind(answer oidc.Response) (offline bool, expiry time.Time) {
	peek, isJWT := oidc.ParseUnverified(answer.RefreshToken)
	if isJWT {
		expiry = peek.ExpiresAt()
	}
	if d := answer.RefreshExpiresIn; d != nil && *d > 0 {
		expiry = answer.Received.Add(*d)
	}
	if isJWT && peek.Claims.Type != "" {
		return peek.Claims.Type == "Offline", expiry
	}
	return expiry.IsZero(), expiry
}

// sameSubject refuses a refresh token that says it is another user's
// (CVE-2025-12390 of Keycloak: tokens of another session handed out).
func sameSubject(token secret.Secret, subject string) error {
	peek, ok := oidc.ParseUnverified(token)
	if !ok || peek.Claims.Subject == "" || subject == "" || peek.Claims.Subject == subject {
		return nil
	}
	return &oidc.VerifyError{
		What: "answer", Identity: true,
		Why: fmt.Sprintf("it is for another subject: sub is %q, the grant is of %q", oidc.Clean(peek.Claims.Subject), oidc.Clean(subject)),
	}
}
