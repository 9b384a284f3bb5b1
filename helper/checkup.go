package helper

import (
	"context"

	"github.com/terradue/t2-cred/helper/secret"
)

// ProveClient has the profile's client prove itself to the issuer; no token is at
// stake. It returns the way it did so. Errors: ErrProfile when its secret is missing,
// and those of store and oidc.
func (h *Helper) ProveClient(ctx context.Context, r Request) (way string, err error) {
	client, err := h.client(ctx, r)
	if err != nil {
		return "", err
	}
	return h.Issuer(r.Profile).ProveClient(ctx, client)
}

// ProveClientWith is ProveClient with a secret, or a key, that is not stored yet. It
// stands for the one in the store. A profile that names a file or a command for it has
// that read.
func (h *Helper) ProveClientWith(ctx context.Context, p Profile, value secret.Secret) (way string, err error) {
	client, err := h.clientWith(ctx, p, func(string) (secret.Secret, error) { return value, nil })
	if err != nil {
		return "", err
	}
	return h.Issuer(p).ProveClient(ctx, client)
}

// ProbeExchange asks whether the issuer would do an exchange for the profile's client.
// Errors: as ProveClient's.
func (h *Helper) ProbeExchange(ctx context.Context, r Request) error {
	client, err := h.client(ctx, r)
	if err != nil {
		return err
	}
	return h.Issuer(r.Profile).ProbeExchange(ctx, client)
}
