package helper

import (
	"context"
	"errors"
)

// errNotTold says why an issuer's "inactive" is not believed.
var errNotTold = errors.New("the issuer has not called this grant's refresh token active before, so its answer proves nothing")

// Active asks the issuer whether the account's refresh token is active (RFC 7662).
// Nothing is spent and nothing is changed. told is false when the issuer cannot be
// believed or has not answered, and err then says why.
func (h *Helper) Active(ctx context.Context, r Request) (active, told bool, err error) {
	rec, err := h.Store.Load(ctx, r.key())
	if err != nil {
		return false, false, err
	}
	client, err := h.client(ctx, r)
	if err != nil {
		return false, false, err
	}
	if client.Auth == "" {
		client.Auth = rec.ClientAuth
	}
	active, known, err := h.Issuer(r.Profile).Introspect(ctx, client, rec.RefreshToken)
	switch {
	case err != nil:
		return false, false, err
	case !known:
		return false, false, errors.New("the issuer offers this client no token introspection (RFC 7662)")
	case !active && !rec.Introspects:
		return false, false, errNotTold
	}
	return active, true, nil
}
