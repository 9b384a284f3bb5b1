package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf16"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

// The versions of values at rest. A version is raised only when an older program must
// not touch what a newer one wrote.
const (
	// valueVersion is that of client secrets, copies and secondary credentials.
	valueVersion = 1
	// firstRecord is that of 3f78ee2. A grant that it made keeps its version, so that
	// both programs may use it during an upgrade; what 3f78ee2 writes drops the fields
	// that it does not know, which can be lost.
	firstRecord = 1
	// recordVersion is that of a grant that this program made. 3f78ee2 refuses it: it
	// does not look for sealed copies, and would spend a refresh token twice.
	recordVersion = 2
)

// recordJSON is a record at rest. It carries its key, so that an account is
// found again from its item alone and that one item cannot pass for another.
type recordJSON struct {
	V       int    `json:"v"`
	Profile string `json:"profile"`
	Account string `json:"account"`
	GrantInfo
	RefreshToken string `json:"refresh_token,omitempty"`
}

// atRest gives the times the form in which equal moments are equal bytes: in UTC and
// without a monotonic part.
func (g GrantInfo) atRest() GrantInfo {
	g.Created, g.RefreshExpiry, g.RevokedAt = atRest(g.Created), atRest(g.RefreshExpiry), atRest(g.RevokedAt)
	return g
}

func atRest(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	if t = t.UTC().Round(0); t.Year() > 9999 { // which JSON cannot write
		t = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	}
	return t
}

// encodeRecord gives the item's value: what of a record is kept, all but the
// access token. Two records are equal at rest when their values are.
func encodeRecord(k Key, r Record) secret.Secret {
	version := r.format
	if version == 0 {
		version = recordVersion
	}
	return asciiJSON(recordJSON{
		V: version, Profile: k.Profile, Account: k.Account,
		GrantInfo: r.atRest(), RefreshToken: r.RefreshToken.Reveal(),
	})
}

// decodeRecord is encodeRecord's inverse; its error wraps ErrCorrupt.
func decodeRecord(value secret.Secret) (Key, Record, error) {
	var j recordJSON
	if err := decodeJSON("the record", value, &j, &j.V, recordVersion); err != nil {
		return Key{}, Record{}, err
	}
	if j.Grant == "" {
		return Key{}, Record{}, corrupt("the record names no grant")
	}
	r := Record{GrantInfo: j.GrantInfo, RefreshToken: secret.Secret(j.RefreshToken)}
	if j.V < recordVersion {
		r.format = j.V
	}
	return Key{j.Profile, j.Account}, r, nil
}

// decodeFor is decodeRecord for the record of an account. A damaged one can only be
// forgotten.
func decodeFor(k Key, value secret.Secret) (Record, error) {
	at, rec, err := decodeRecord(value)
	if err == nil && at != k {
		err = corrupt("the record is that of account " + at.String())
	}
	if err == nil {
		return rec, nil
	}
	return Record{}, damagedRecord(k, err)
}

// damagedRecord adds to the error of a record that is damaged what to do about it. The
// remedy names the account.
func damagedRecord(k Key, err error) error {
	return withRemedy(err, hint.Do(hint.Words("its grant cannot be used any more; to forget it here: "),
		hint.Run("erase", "--local-only").For(k.Profile, k.Account)))
}

// withRemedy adds a remedy to the error of a damaged value that has none.
func withRemedy(err error, remedy hint.Remedy) error {
	if e, ok := errors.AsType[*hint.Error](err); ok && errors.Is(err, ErrCorrupt) && e.Remedy == nil {
		e.Remedy = remedy
	}
	return err
}

// clientJSON is a client secret at rest.
type clientJSON struct {
	V       int    `json:"v"`
	Profile string `json:"profile"`
	Secret  string `json:"client_secret"`
}

func encodeClientSecret(profile string, s secret.Secret) secret.Secret {
	return asciiJSON(clientJSON{V: valueVersion, Profile: profile, Secret: s.Reveal()})
}

func decodeClientSecret(profile string, value secret.Secret) (secret.Secret, error) {
	var j clientJSON
	err := decodeJSON("the client secret", value, &j, &j.V, valueVersion)
	if err == nil && j.Profile != profile {
		err = corrupt(fmt.Sprintf("the client secret is that of profile %q", j.Profile))
	}
	return secret.Secret(j.Secret), damagedSecret(profile, err)
}

// damagedSecret is damagedRecord for the client secret of a profile.
func damagedSecret(profile string, err error) error {
	return withRemedy(err, hint.Do(hint.Run("profile", "set-secret", profile)))
}

// decodeJSON reads a value of ours. The parser's own words may quote the value,
// so they are not passed on.
func decodeJSON(what string, value secret.Secret, into any, version *int, newest int) error {
	err := json.Unmarshal([]byte(value.Reveal()), into)
	switch {
	case *version > newest: // even if a newer format does not parse here
		return backend.Errorf(ErrCorrupt, ErrNewer, hint.Say(fmt.Sprintf("install a t2-cred that reads format %d; the stored value is not damaged", *version)),
			"%s has format %d", what, *version)
	case err != nil || *version < 1:
		return corrupt(what + " is damaged or was not written by t2-cred")
	}
	return nil
}

func corrupt(detail string) error {
	return backend.Errorf(ErrCorrupt, nil, nil, "%s", detail)
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
