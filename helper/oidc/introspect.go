package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"

	"github.com/terradue/t2-cred/helper/secret"
)

// Introspect asks the issuer whether a refresh token is active (RFC 7662), which
// spends nothing. known is false when the issuer gave no answer to that: it has no
// introspection endpoint, the client has no proof of its own (§2.1 demands one), or the
// request failed, as err then says.
//
// inactive alone proves little: a server may call every refresh token inactive. The
// caller believes it only where it has called this grant active before.
func (i *Issuer) Introspect(ctx context.Context, c Client, refreshToken secret.Secret) (active, known bool, err error) {
	meta, err := i.Metadata(ctx)
	if err != nil || meta.IntrospectionEndpoint == "" || c.Auth == AuthNone {
		return false, false, err
	}
	form := url.Values{
		"token":           {refreshToken.Reveal()}, // leaves in the form
		"token_type_hint": {"refresh_token"},       // Keycloak 26 calls it inactive without
	}
	var body []byte
	err = i.retry(ctx, func() error {
		body, err = i.submit(ctx, "introspect", meta, authEndpoint{meta.IntrospectionEndpoint, meta.Aliases.IntrospectionEndpoint}, c, form, refreshToken)
		return err
	})
	var refused *Error
	if errors.As(err, &refused) && refused.callsInactive() {
		return false, true, nil
	}
	if err != nil {
		return false, false, err
	}
	answer, err := readMembers(body)
	if raw := answer["active"]; err != nil || raw == nil || json.Unmarshal(raw, &active) != nil || string(raw) == "null" {
		return false, false, unreachable("introspect", errors.New("the answer does not say whether the token is active"))
	}
	return active, true, nil
}
