package oidc

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/terradue/t2-cred/helper/secret"
)

// ErrNoRevocation says that the issuer names no revocation endpoint.
var ErrNoRevocation = errors.New("the issuer has no revocation endpoint")

// unknownToken are codes of servers that refuse the revocation of a token that has ended,
// where RFC 7009 §2.2 has a success. Keycloak does so with the status of a success.
var unknownToken = []string{"invalid_token", "invalid_grant"}

// Revoke ends a refresh token at the issuer (RFC 7009). known is false when the issuer
// says that it does not know the token: that is a success too (section 2.2), and no grant
// was ended by it.
func (i *Issuer) Revoke(ctx context.Context, c Client, token secret.Secret) (known bool, err error) {
	meta, err := i.Metadata(ctx)
	if err != nil {
		return false, err
	}
	if meta.RevocationEndpoint == "" {
		return false, ErrNoRevocation
	}
	form := url.Values{
		"token":           {token.Reveal()}, // leaves in the form
		"token_type_hint": {"refresh_token"},
	}
	err = i.retry(ctx, func() error {
		_, err := i.submit(ctx, "revoke", meta, authEndpoint{meta.RevocationEndpoint, meta.Aliases.RevocationEndpoint}, c, form, token)
		return err
	})
	var refused *Error
	if errors.As(err, &refused) && refused.Status <= http.StatusBadRequest && slices.Contains(unknownToken, refused.Code) {
		return false, nil
	}
	return err == nil, err
}
