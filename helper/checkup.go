package helper

import "context"

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

// ProbeExchange asks whether the issuer would do an exchange for the profile's client.
// Errors: as ProveClient's.
func (h *Helper) ProbeExchange(ctx context.Context, r Request) error {
	client, err := h.client(ctx, r)
	if err != nil {
		return err
	}
	return h.Issuer(r.Profile).ProbeExchange(ctx, client)
}
