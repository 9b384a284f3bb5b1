package oidc

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
)

// claimSet is what is used of a JWT's claims (RFC 7519 §4.1, RFC 9068 §2.2,
// OpenID Connect Core §2), as they stand there, verified or not.
type claimSet struct {
	Issuer    string
	Subject   string
	Audience  audience
	Azp       string
	ClientID  string
	Expiry    *float64
	NotBefore *float64
	IssuedAt  *float64
	Type      string // Keycloak's typ: Bearer, ID, Refresh, Offline
	Scope     json.RawMessage
	Username  string
	Email     string
	ATHash    string
	SessionID string
}

func parseClaims(payload []byte) (c claimSet, err error) {
	return c, parseExactly(payload, map[string]any{
		"iss": &c.Issuer, "sub": &c.Subject, "aud": &c.Audience, "azp": &c.Azp, "client_id": &c.ClientID,
		"exp": &c.Expiry, "nbf": &c.NotBefore, "iat": &c.IssuedAt, "typ": &c.Type, "scope": &c.Scope,
		"preferred_username": &c.Username, "email": &c.Email, "at_hash": &c.ATHash, "sid": &c.SessionID,
	})
}

// parseExactly reads members of a JSON object by their exact names. Package
// encoding/json would also take "SUB" for sub, and claim names are
// case-sensitive (RFC 7519 §4).
func parseExactly(object []byte, into map[string]any) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(object, &members); err != nil {
		return err
	}
	for name, to := range into {
		if raw, ok := members[name]; ok {
			if err := json.Unmarshal(raw, to); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// A Peek is what a JWT says of itself, unverified: good for telling a person
// what is wrong with a token before it is sent, and for nothing else.
type Peek struct {
	Header header
	Claims claimSet
}

// Look reads a JWT without verifying it. ok is false for a token that is not
// one: an opaque token says nothing, and that is its right.
func Look(token secret.Secret) (p Peek, ok bool) {
	parts := strings.Split(token.Reveal(), ".") // taken apart here, not passed on
	if len(parts) != 3 {
		return Peek{}, false
	}
	head, err1 := base64.RawURLEncoding.DecodeString(parts[0])
	payload, err2 := base64.RawURLEncoding.DecodeString(parts[1])
	if err1 != nil || err2 != nil {
		return Peek{}, false
	}
	p.Header, err1 = parseHeader(head)
	p.Claims, err2 = parseClaims(payload)
	return p, err1 == nil && err2 == nil && p.Header.Alg != ""
}

// A header is what is used of a JWS header (RFC 7515 §4.1).
type header struct {
	Alg  string
	Kid  string
	Type string
	Crit json.RawMessage
	B64  json.RawMessage
	// Brought are keys that the token brings along; none is ever used.
	Brought [3]json.RawMessage
}

func (h header) bringsKeys() bool {
	return h.Brought[0] != nil || h.Brought[1] != nil || h.Brought[2] != nil
}

func parseHeader(raw []byte) (h header, err error) {
	return h, parseExactly(raw, map[string]any{"alg": &h.Alg, "kid": &h.Kid, "typ": &h.Type, "crit": &h.Crit, "b64": &h.B64,
		"jwk": &h.Brought[0], "jku": &h.Brought[1], "x5u": &h.Brought[2]})
}

// ExpiresAt is the `exp` claim; zero when there is none.
func (p Peek) ExpiresAt() time.Time {
	if p.Claims.Expiry == nil {
		return time.Time{}
	}
	return numericDate(*p.Claims.Expiry)
}

// For reports whether the token names client as its audience or its authorized
// party. named is false when it names nobody at all.
func (p Peek) For(client string) (is, named bool) {
	for _, a := range append(p.Claims.Audience, p.Claims.Azp, p.Claims.ClientID) {
		named = named || a != ""
		is = is || a == client
	}
	return is, named
}

// audience is a claim that may be a string or a list of them (RFC 7519 §4.1.3).
type audience []string

func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audience{one}
		return nil
	}
	var many []string
	if err := json.Unmarshal(b, &many); err != nil {
		return err
	}
	*a = many
	return nil
}
