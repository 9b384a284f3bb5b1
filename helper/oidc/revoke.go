package oidc

import (
	"context"
	"errors"
	"net/url"

	"github.com/terradue/t2-cred/helper/secret"
)

// ErrNoRevocation says that the issuer names no revocation endpoint.
var ErrNoRevocation = errors.New("the issuer has no revocation endpoint")

// Revoke ends a refresh token at the issuer (RFC 7009). A token that the issuer
// does not know is revoked already: it answers 200 (§2.2).
func (i *Issuer) Revoke(ctx context.Context, c Client, token secret.Secret) error {
	meta, err := i.Metadata(ctx)
	if err != nil {
		return err
	}
	if meta.RevocationEndpoint == "" {
		return ErrNoRevocation
	}
	form := url.Values{
		"token":           {token.Reveal()}, // leaves in the form
		"token_type_hint": {"refresh_token"},
	}
	return i.retry(ctx, func() error {
		_, err := i.submit(ctx, "revoke", meta, authEndpoint{meta.RevocationEndpoint, meta.Aliases.RevocationEndpoint}, c, form, token)
		return err
	})
}
