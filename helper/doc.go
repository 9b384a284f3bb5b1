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
// [Helper.Exchange] turns a user's access token into the client's own offline token
// (RFC 8693) and stores it. [Helper.Get] hands out the cached access token while it is
// fresh. Otherwise it takes the account's lock, reloads the record, makes room for a new
// one, spends the refresh token, stores the new one, verifies the access token, and
// returns. [Helper.Erase] revokes, then forgets.
//
// Tools ask through a hook (package hook), which sees a Getter and nothing else.
// [Helper.Derive] keeps what a hook gets for an access token at another server, such as
// the keys of an STS, as access tokens are kept.
//
// Three rules decide what happens when something fails:
//
//   - A refresh token is spent once. A process that waited for the lock looks at the cache
//     again before it does anything. A request that spends is repeated only if no byte of
//     it left. Once it is sent, no signal interrupts the way to the store.
//   - The issuer's refusal is final until a person asks for another try, and is kept with
//     its words. If the issuer does not answer, a token that is still valid is served, and
//     a mark says that the refresh token may have been spent.
//   - An access token is accepted when its signature, issuer, audience and subject hold.
//     One that is refused is not handed out. The refresh token that came with it is kept,
//     because the old one is spent, unless a token of the answer names another subject.
package helper
