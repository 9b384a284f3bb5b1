package oidc

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
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
	CID       string
	AppID     string
	Expiry    *float64
	NotBefore *float64
	IssuedAt  *float64
	Type      string // Keycloak's typ: Bearer, ID, Refresh, Offline
	Scope     json.RawMessage
	Scp       json.RawMessage // Okta's and Entra's name for it
	Username  string
	Email     string
	ATHash    string
	SessionID string
}

// parseClaims reads a payload. Claims that decide something have their type or the
// token is refused; claims for display and at_hash are left out when they have another, as
// an e-mail address that is a list (Keycloak's mappers, ADFS).
func parseClaims(payload []byte) (c claimSet, err error) {
	var claims members
	if err := json.Unmarshal(payload, &claims); err != nil {
		return c, err
	}
	for name, shown := range map[string]*string{"preferred_username": &c.Username, "email": &c.Email, "sid": &c.SessionID, "at_hash": &c.ATHash} {
		var s string
		if claims.into(map[string]any{name: &s}) == nil {
			*shown = s
		}
	}
	return c, claims.into(map[string]any{
		"iss": &c.Issuer, "sub": &c.Subject, "aud": &c.Audience, "azp": &c.Azp,
		"client_id": &c.ClientID, "cid": &c.CID, "appid": &c.AppID,
		"exp": &c.Expiry, "nbf": &c.NotBefore, "iat": &c.IssuedAt, "typ": &c.Type, "scope": &c.Scope, "scp": &c.Scp,
	})
}

// clients are the claims that name the client a token was given to: RFC 9068's, OpenID
// Connect's, Okta's, and those of Entra and ADFS.
func (c claimSet) clients() []string { return []string{c.ClientID, c.Azp, c.CID, c.AppID} }

// parseExactly reads members of a JSON object by their exact names. Package
// encoding/json would also take "SUB" for sub, and claim names are
// case-sensitive (RFC 7519 §4).
func parseExactly(object []byte, into map[string]any) error {
	var m members
	if err := json.Unmarshal(object, &m); err != nil {
		return err
	}
	return m.into(into)
}

// into reads members as what their names stand for.
func (m members) into(values map[string]any) error {
	for name, to := range values {
		if raw, ok := m[name]; ok {
			err := json.Unmarshal(raw, to)
			if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
				kind, _, _ := strings.Cut(wrong.Value, " ") // the value is not repeated
				if kind == "number" && wrong.Type.Kind() == reflect.Float64 {
					return fmt.Errorf("%s is out of range", name)
				}
				return fmt.Errorf("%s must not be a JSON %s", name, kind)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// Unverified is what a JWT says of itself: good for telling a person what is wrong
// with a token before it is sent, and for nothing else.
type Unverified struct {
	Header header
	Claims claimSet
}

// ParseUnverified reads a JWT without verifying it. ok is false for a token that is not
// one, such as an opaque token.
func ParseUnverified(token secret.Secret) (u Unverified, ok bool) {
	parts := strings.Split(token.Reveal(), ".") // taken apart here, not passed on
	if len(parts) != 3 {
		return Unverified{}, false
	}
	head, err1 := base64.RawURLEncoding.DecodeString(parts[0])
	payload, err2 := base64.RawURLEncoding.DecodeString(parts[1])
	if err1 != nil || err2 != nil {
		return Unverified{}, false
	}
	u.Header, err1 = parseHeader(head)
	u.Claims, err2 = parseClaims(payload)
	return u, err1 == nil && err2 == nil && u.Header.Alg != ""
}

// Actors are the claims act and may_act of a JWT (RFC 8693 §4.1, §4.4): the party that acts
// for the user, and the one that may. They are nil where it has none. Nothing is verified.
func Actors(token secret.Secret) (act, mayAct json.RawMessage) {
	parts := strings.Split(token.Reveal(), ".") // taken apart here, not passed on
	if len(parts) != 3 {
		return nil, nil
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || parseExactly(payload, map[string]any{"act": &act, "may_act": &mayAct}) != nil {
		return nil, nil
	}
	return act, mayAct
}

// LooksLikeJWT reports whether a token begins as a JWT does: with the base64 of a JSON
// object's begin, in any of base64's alphabets.
func LooksLikeJWT(token secret.Secret) bool {
	v := strings.TrimLeft(token.Reveal(), " \t\r\n") // looked at, not passed on
	v = strings.NewReplacer("+", "-", "/", "_").Replace(v[:min(len(v), 64)])
	n := 0
	for n < len(v) && v[n] != '.' && v[n] != '=' && isBase64URL(v[n]) {
		n++
	}
	if n%4 == 1 { // one character is less than a byte
		n--
	}
	start, err := base64.RawURLEncoding.DecodeString(v[:n])
	if err != nil || len(start) == 0 {
		return false
	}
	rest := strings.TrimLeft(string(start), " \t\r\n")
	if !strings.HasPrefix(rest, "{") {
		return false
	}
	rest = strings.TrimLeft(rest[1:], " \t\r\n")
	return rest == "" || rest[0] == '"' || rest[0] == '}'
}

func isBase64URL(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// A header is what is used of a JWS header (RFC 7515 §4.1).
type header struct {
	Alg  string
	Kid  string
	Type string
	Enc  string // of a JWE (RFC 7516 §4.1.2)
	Crit json.RawMessage
	B64  json.RawMessage
	// Brought are keys that the token brings along; none is ever used.
	Brought [3]json.RawMessage
}

func (h header) bringsKeys() bool {
	return h.Brought[0] != nil || h.Brought[1] != nil || h.Brought[2] != nil
}

func parseHeader(raw []byte) (h header, err error) {
	return h, parseExactly(raw, map[string]any{"alg": &h.Alg, "kid": &h.Kid, "typ": &h.Type, "enc": &h.Enc, "crit": &h.Crit, "b64": &h.B64,
		"jwk": &h.Brought[0], "jku": &h.Brought[1], "x5u": &h.Brought[2]})
}

// ExpiresAt is the `exp` claim; zero when there is none.
func (p Unverified) ExpiresAt() time.Time {
	if p.Claims.Expiry == nil {
		return time.Time{}
	}
	return numericDate(*p.Claims.Expiry)
}

// For reports whether the token names client, or everybody, as its audience, or client as the one it was
// given to. named is false when it names nobody at all.
func (p Unverified) For(client string) (is, named bool) {
	for _, a := range append(p.Claims.clients(), p.Claims.Audience...) {
		named = named || a != ""
		is = is || a == client || slices.Contains(anybody, a)
	}
	return is, named
}

// GivenTo reports whether the token says that it was given to client.
func (p Unverified) GivenTo(client string) bool { return slices.Contains(p.Claims.clients(), client) }

// audience is a claim that may be a string or a list of them (RFC 7519 §4.1.3).
type audience []string

func (a *audience) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil // it names nobody, as one that is missing
	}
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
