package oidc

import (
	"cmp"
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
)

// maxToken is the most that one token may measure, in bytes.
const maxToken = 64 << 10

// A Response is the token endpoint's answer (RFC 6749 §5.1, RFC 8693 §2.2.1),
// its tokens free of control characters but not yet verified.
type Response struct {
	AccessToken     secret.Secret
	RefreshToken    secret.Secret // empty when none was given
	IDToken         secret.Secret
	TokenType       string
	IssuedTokenType string
	Scopes          []string // nil when the issuer did not say
	Received        time.Time
	ExpiresIn       time.Duration // zero when the issuer did not say
	// RefreshExpiresIn is refresh_expires_in (Keycloak) or refresh_token_expires_in
	// (ADFS, Kakao). Zero means that no end is set; nil, that the issuer did not say.
	RefreshExpiresIn *time.Duration
	// ClientAuth is how the client proved itself, one of the Auth constants.
	ClientAuth string
}

// Expiry is when the answer's access token ends, by our clock: the earlier of expires_in
// and the claim exp. exp is by the issuer's clock, whose distance to ours the Date of its
// answers tells. It is zero when neither is known. claims are zero for an opaque token.
func (i *Issuer) Expiry(r Response, claims Claims) time.Time {
	var end time.Time
	if !claims.Expiry.IsZero() {
		skew, _ := i.Skew()
		end = claims.Expiry.Add(-skew)
	}
	if by := r.Received.Add(r.ExpiresIn); r.ExpiresIn > 0 && (end.IsZero() || by.Before(end)) {
		end = by
	}
	return end
}

// An ExchangeRequest is RFC 8693 §2.1's, for a subject token that is an access
// token.
type ExchangeRequest struct {
	SubjectToken secret.Secret
	Audience     []string
	Resource     []string
	Scopes       []string
	// SubjectTokenType is a token type URI; empty for an access token's.
	SubjectTokenType string
	// SubjectIssuer is Keycloak's: the alias of the identity provider that made the
	// subject token. Empty for the issuer itself.
	SubjectIssuer string
	// RequestedTokenType is a token type URI, or empty to leave it to the issuer.
	RequestedTokenType string
}

// Token type identifiers of RFC 8693 §3, and its grant type.
const (
	TypeAccessToken  = "urn:ietf:params:oauth:token-type:access_token"
	TypeRefreshToken = "urn:ietf:params:oauth:token-type:refresh_token"
	TypeIDToken      = "urn:ietf:params:oauth:token-type:id_token"
	TypeJWT          = "urn:ietf:params:oauth:token-type:jwt"
	TypeSAML2        = "urn:ietf:params:oauth:token-type:saml2"
	grantExchange    = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// Grant is the request as it is sent.
func (r ExchangeRequest) Grant() Grant {
	form := url.Values{
		"grant_type":         {grantExchange},
		"subject_token":      {r.SubjectToken.Reveal()}, // leaves in the form
		"subject_token_type": {cmp.Or(r.SubjectTokenType, TypeAccessToken)},
	}
	setOne(form, "subject_issuer", r.SubjectIssuer)
	setMany(form, "audience", r.Audience)
	setMany(form, "resource", r.Resource)
	setOne(form, "scope", strings.Join(r.Scopes, " "))
	setOne(form, "requested_token_type", r.RequestedTokenType)
	return Grant{op: opExchange, form: form, sent: []secret.Secret{r.SubjectToken}}
}

// NarrowGrant is Grant for a subject token of our own, in whose place less is asked for.
// What is refused of it has other reasons and other remedies.
func (r ExchangeRequest) NarrowGrant() Grant {
	g := r.Grant()
	g.op = opNarrow
	return g
}

// Narrows reports whether a [ExchangeRequest.NarrowGrant] was refused.
func (e *Error) Narrows() bool { return e.Op == opNarrow }

// What an exchange is called in an [Error]: of a user's token, or of our own.
const (
	opExchange = "exchange"
	opNarrow   = "narrow"
)

// Exchange trades a user's access token for the client's own tokens (RFC 8693).
// Errors: *Error, *VerifyError (a token that cannot be one), ErrUnreachable.
func (i *Issuer) Exchange(ctx context.Context, c Client, r ExchangeRequest) (Response, error) {
	return i.Spend(ctx, c, r.Grant(), Spending{})
}

// Refresh spends a refresh token. Response.RefreshToken is empty when the old one
// goes on.
func (i *Issuer) Refresh(ctx context.Context, c Client, token secret.Secret) (Response, error) {
	return i.Spend(ctx, c, RefreshGrant(token), Spending{})
}

func setMany(form url.Values, name string, values []string) {
	if len(values) > 0 {
		form[name] = values
	}
}

func setOne(form url.Values, name, value string) {
	if value != "" {
		form.Set(name, value)
	}
}
