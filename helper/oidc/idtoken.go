package oidc

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/secret"
)

// sharedAlgorithms sign with the client's secret (OpenID Connect Core §10.1). No such
// signature is ever checked: with a published key as the secret, anybody could make one
// (RFC 8725 §3.1).
var sharedAlgorithms = []string{"HS256", "HS384", "HS512"}

// errShared is of a JWT that a shared secret has signed.
var errShared = errors.New("its signature algorithm")

// takesShared reports whether a JWT may pass that was refused for its signature by a shared
// secret. TLS vouches for an ID token that the token endpoint has given (OpenID Connect Core
// §3.1.3.7, item 6). No access token passes.
func (want Expect) takesShared(refused error) bool {
	return want.IDToken && want.Unproven && errors.Is(refused, errShared)
}

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

// mendAlgorithm is what to do about tokens that are signed with an algorithm that is not
// accepted. Authentik signs with the client's secret for a provider without a signing key,
// and Auth0 where a client is set so. Some issuers have ES256K or Ed448.
func mendAlgorithm(h header) hint.Remedy {
	switch {
	case h.Alg == "" || accepted(h.Alg):
		return nil
	case slices.Contains(sharedAlgorithms, h.Alg):
		return hint.Say(AskAdmin + "sign this client's tokens with a key pair, such as RS256 or ES256, in place of a shared secret")
	}
	return hint.Say(AskAdmin + "sign this client's tokens with RS256, PS256, ES256 or EdDSA")
}
