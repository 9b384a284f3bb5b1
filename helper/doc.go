// Package helper is what a credential is and how a fresh one is got. This page
// is the architecture.
//
// An issuer is an OpenID provider, known by its discovery document. A [Profile]
// is one client at one issuer and holds no secret. An account is one user's
// credential under a profile. A [Credential] is what is handed out: an access
// token with its type, expiry and subject; never a refresh token.
//
// Data flows one way:
//
//	main → cli → helper → oidc   (the issuer over the wire)
//	                    → store  (secrets at rest)
//
// [Helper.Exchange] turns a user's access token into the client's own offline
// token (RFC 8693) and stores it. [Helper.Get] hands out the cached access token
// while it is fresh; otherwise, under the account's lock, it reloads the record,
// spends the refresh token, verifies the answer, stores what came, reads it
// back, and only then returns. [Helper.Erase] revokes, then forgets.
//
// Tools ask through a hook (package hook), which sees a Getter and nothing else.
// [Helper.Derive] keeps what a hook gets for an access token at another server,
// such as the keys of an STS, as access tokens are kept.
//
// Three rules decide what happens when something fails:
//
//   - A refresh token is spent once. Whoever waits for the lock looks at the
//     cache again before doing anything; a request that spends is not repeated
//     unless it certainly never left; after it has left, no signal interrupts
//     the way to the store.
//   - The issuer's refusal is final, until a person asks for another try, and is
//     kept with its words; the issuer's silence changes nothing, and a token that
//     is still valid is served.
//   - A token is believed when its signature, issuer and subject hold. One that
//     does not hold changes nothing that is stored.
package helper
