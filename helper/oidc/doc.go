// Package oidc is the issuer over the wire: its discovery document, its keys, its
// endpoints, and the rules by which an answer is believed. Its Go API is internal to
// t2-cred and may change at any time.
//
// An [Issuer] is known by its identifier alone. Every endpoint comes from the discovery
// document whose `issuer` equals it. Nothing it sends is trusted: bodies are capped,
// redirects are refused, endpoints must be https (or loopback, for an issuer on
// loopback), and messages are cleaned before a person sees them ([Redact]). A token that
// is a JWT is verified before it is given to anybody ([Issuer.Verify]). jwx is used in
// verify.go and clientkey.go alone.
//
// A refresh token leaves in one place, [Issuer.Spend]: one HTTP/1.1 request on a
// connection of its own, which is not sent again once a byte of it has left. The new
// refresh token is read from the answer before all else. [OutcomeOf] tells a caller what
// is known of the request.
//
// What a refusal means is in quirks.go, by product and code ([Error.Means]). What a
// person is told about it is in remedy.go.
package oidc
