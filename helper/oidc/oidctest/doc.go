// Package oidctest is a strict OpenID provider in one process, for tests and
// for the demo.
//
// [New] starts an [Issuer] on loopback that answers as Keycloak 26.7.3 does
// where a client can tell: discovery, keys (an encryption key first), token
// exchange in the modes an administrator can leave it in, refresh with or
// without rotation, revocation. It has its own [Clock], and counts and
// logs what it was asked. It knows every secret that it ever made or saw
// ([Issuer.Secrets]), so that a test can search all output for them.
//
// It can also misbehave in each way that a hostile or broken issuer could:
// [Faults] lists the named ones, [Issuer.Inject] arms one for all requests or
// for the n-th, and faults combine. What a fault lures a client into sending to
// another host arrives at the issuer's own other host and is told by
// [Issuer.Stolen].
//
// It signs by hand with the standard library, so that a client's verification
// is tested against other code than its own.
package oidctest
