package helper

import (
	"context"

	"github.com/terradue/t2-cred/helper/oidc"
)

// Claims gets an access token as Get does and returns its claims, verified now
// against the issuer's keys. Errors: those of Get, and oidc.ErrOpaque.
func (h *Helper) Claims(ctx context.Context, r Request) (oidc.Claims, error) {
	c, err := h.Get(ctx, r)
	if err != nil {
		return oidc.Claims{}, err
	}
	if r.Profile.AccessToken == opaqueTokens {
		return oidc.Claims{}, oidc.ErrOpaque
	}
	return h.Issuer(r.Profile).Verify(ctx, c.Token, oidc.Expect{
		What: "access_token", ClientID: r.Profile.ClientID, Audience: r.Profile.Audience, Subject: c.Subject,
	})
}
