package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf16"

	"github.com/terradue/t2-cred/helper/secret"
)

// codecVersion is written into every value. It is raised only when an older
// program must not touch what a newer one wrote. A field that is merely added
// keeps the version, and an older program drops it when it writes: such a field
// has to be one that can be lost.
const codecVersion = 1

// recordJSON is a record at rest. It carries its key, so that an account is
// found again from its item alone and that one item cannot pass for another.
type recordJSON struct {
	V             int      `json:"v"`
	Profile       string   `json:"profile"`
	Account       string   `json:"account"`
	Grant         string   `json:"grant"`
	Issuer        string   `json:"issuer"`
	ClientID      string   `json:"client_id"`
	Subject       string   `json:"sub,omitempty"`
	Username      string   `json:"username,omitempty"`
	Scopes        []string `json:"scopes,omitempty"`
	Offline       bool     `json:"offline,omitempty"`
	RefreshToken  string   `json:"refresh_token,omitempty"`
	RefreshExpiry stamp    `json:"refresh_expiry,omitzero"`
	Created       stamp    `json:"created,omitzero"`
	Session       string   `json:"session,omitempty"`
	Dead          string   `json:"dead,omitempty"`
	DeadAt        stamp    `json:"dead_at,omitzero"`
}

// stamp is a time in UTC and without a monotonic part, so that equal moments
// are equal bytes.
type stamp struct{ time.Time }

func at(t time.Time) stamp {
	if t.IsZero() {
		return stamp{}
	}
	if t = t.UTC().Round(0); t.Year() > 9999 { // which JSON cannot write
		t = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	}
	return stamp{t}
}

// encodeRecord gives the item's value: what of a record is kept, all but the
// access token. Two records are equal at rest when their values are.
func encodeRecord(k Key, r Record) secret.Secret {
	return asciiJSON(recordJSON{
		V: codecVersion, Profile: k.Profile, Account: k.Account,
		Grant: r.Grant, Issuer: r.Issuer, ClientID: r.ClientID,
		Subject: r.Subject, Username: r.Username, Scopes: r.Scopes, Offline: r.Offline,
		RefreshToken: r.RefreshToken.Reveal(), RefreshExpiry: at(r.RefreshExpiry),
		Created: at(r.Created), Session: r.Session, Dead: r.Dead, DeadAt: at(r.DeadAt),
	})
}

// decodeRecord is encodeRecord's inverse; its error wraps ErrCorrupt.
func decodeRecord(value secret.Secret) (Key, Record, error) {
	var j recordJSON
	if err := decodeJSON("the record", value, &j, &j.V); err != nil {
		return Key{}, Record{}, err
	}
	if j.Grant == "" {
		return Key{}, Record{}, corrupt("the record names no grant")
	}
	return Key{j.Profile, j.Account}, Record{
		Grant: j.Grant, Issuer: j.Issuer, ClientID: j.ClientID,
		Subject: j.Subject, Username: j.Username, Scopes: j.Scopes, Offline: j.Offline,
		RefreshToken: secret.Secret(j.RefreshToken), RefreshExpiry: j.RefreshExpiry.Time,
		Created: j.Created.Time, Session: j.Session, Dead: j.Dead, DeadAt: j.DeadAt.Time,
	}, nil
}

// clientJSON is a client secret at rest.
type clientJSON struct {
	V       int    `json:"v"`
	Profile string `json:"profile"`
	Secret  string `json:"client_secret"`
}

func encodeClientSecret(profile string, s secret.Secret) secret.Secret {
	return asciiJSON(clientJSON{V: codecVersion, Profile: profile, Secret: s.Reveal()})
}

func decodeClientSecret(profile string, value secret.Secret) (secret.Secret, error) {
	var j clientJSON
	err := decodeJSON("the client secret", value, &j, &j.V)
	if err == nil && j.Profile != profile {
		err = corrupt(fmt.Sprintf("the client secret is that of profile %q", j.Profile))
	}
	if e, ok := errors.AsType[*Error](err); ok {
		e.Remedy = "t2-cred profile set-secret " + profile
		return "", e
	}
	return secret.Secret(j.Secret), nil
}

// decodeJSON reads a value of ours. The parser's own words may quote the value,
// so they are not passed on.
func decodeJSON(what string, value secret.Secret, into any, version *int) error {
	err := json.Unmarshal([]byte(value.Reveal()), into)
	switch {
	case *version > codecVersion: // even if a newer format does not parse here
		return corrupt(what + " was written by a newer t2-cred")
	case err != nil || *version < 1:
		return corrupt(what + " is damaged or was not written by t2-cred")
	}
	return nil
}

func corrupt(detail string) error {
	return &Error{Kind: ErrCorrupt, Detail: detail, Remedy: "t2-cred erase --local-only"}
}

// asciiJSON marshals to ASCII: some keyrings mangle or lose any other byte.
func asciiJSON(v any) secret.Secret {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain structs of strings and times; a year over 9999 at worst
	}
	out := make([]byte, 0, len(raw))
	for _, r := range string(raw) {
		switch {
		case r < 0x7f:
			out = append(out, byte(r)) //nolint:gosec // it is less than 0x7f
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return secret.Secret(out)
}
