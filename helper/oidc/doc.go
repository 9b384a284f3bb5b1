// Package oidc is the issuer over the wire: its discovery document, its keys,
// its token and revocation endpoints, and the rules by which an answer is
// believed.
//
// An [Issuer] is known by its identifier alone; every endpoint comes from the
// discovery document whose `issuer` equals it. Nothing it sends is trusted:
// bodies are capped, redirects are refused, endpoints must be https (or
// loopback), messages are cleaned before a person sees them ([Clean]), and a
// token that is a JWT is verified before it is given to anybody ([Issuer.Verify],
// the one file that knows jwx).
package oidc
