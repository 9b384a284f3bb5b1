package oidc

import (
	"encoding/base64"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/secret"
)

// takesOutlived reports whether an ID token may pass whose key is no longer published: one
// that is given again at a refresh, long after its end.
func (want Expect) takesOutlived(token secret.Secret, now time.Time) bool {
	if !want.IDToken || !want.Unproven || !want.Repeated {
		return false
	}
	peek, ok := ParseUnverified(token)
	return ok && !peek.ExpiresAt().IsZero() && now.After(peek.ExpiresAt().Add(leeway))
}

// unverifiedPayload is the payload of a JWT that readHeader has found well-formed.
func unverifiedPayload(token secret.Secret) []byte {
	parts := strings.Split(token.Reveal(), ".") // taken apart, not passed on
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	return payload
}

// sharedSecret is what to do about tokens that are signed with the client's secret.
// Authentik does so for a provider without a signing key, Auth0 where a client is set so.
func sharedSecret(h header) hint.Remedy {
	if !strings.HasPrefix(h.Alg, "HS") {
		return nil
	}
	return hint.Say(AskAdmin + "sign this client's tokens with a key pair, such as RS256 or ES256, in place of a shared secret")
}
