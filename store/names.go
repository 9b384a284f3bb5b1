package store

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrName says that a profile or account name cannot be used.
var ErrName = errors.New("not a usable name")

// Kinds of item, the first part of every name at rest. As no device of Windows
// is called so, a profile named con or nul does no harm.
const (
	kindGrant  = "grant"
	kindToken  = "token"
	kindClient = "client"
	kindProof  = "proof" // a lock's name
	kindSeal   = "seal"  // the identity that copies are sealed to
	kindCopy   = "copy"
)

const (
	maxName = 128 // bytes of a profile or account name
	// maxPart bounds one escaped name. A whole item name then has at most 120
	// characters, so that service:user stays far under 240 (Windows), a macOS
	// command line under 4,095, and a file name under the 143 of eCryptfs.
	maxPart = 56
	hashLen = 16 // base32 characters: 80 bits
)

var lowerBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// shortHash names the parts, which may hold any byte, in 16 lower-case characters.
func shortHash(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return lowerBase32.EncodeToString(h.Sum(nil))[:hashLen]
}

// namespace sets the names of one configuration apart from those of every
// other: two homes of one user share a keyring and a kernel. Links are not
// followed, as the answer must not change when a file appears.
func namespace(o Options) string {
	return shortHash(filepath.Clean(o.StateDir), filepath.Clean(o.Config))
}

// Validate says why the names cannot be used; the error wraps [ErrName]. Open
// stores check it themselves.
func (k Key) Validate() error {
	if err := validName("profile", k.Profile); err != nil {
		return err
	}
	return validName("account", k.Account)
}

// String is for messages.
func (k Key) String() string { return fmt.Sprintf("%q of profile %q", k.Account, k.Profile) }

func validName(what, s string) error {
	switch {
	case s == "":
		return fmt.Errorf("%w: %s name is empty", ErrName, what)
	case len(s) > maxName:
		return fmt.Errorf("%w: %s name has %d bytes, at most %d are allowed", ErrName, what, len(s), maxName)
	case !utf8.ValidString(s):
		return fmt.Errorf("%w: %s name %q is not UTF-8", ErrName, what, s)
	}
	for _, r := range s {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return fmt.Errorf("%w: %s name %q has the character %U; spaces and control characters are not allowed", ErrName, what, s, r)
		}
	}
	return nil
}

// escape writes a name so that it survives a case-insensitive file system, a
// normalising one, Windows, and the line that go-keyring pipes into macOS'
// security: lower-case letters, digits and ._@+=- stay, the rest is %xx. What
// grows too long is cut and made unique again by a hash behind a '~', which no
// escaped name holds.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("._@+=-", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	e := b.String()
	if len(e) > maxPart {
		e = e[:maxPart-hashLen-1] + "~" + shortHash(s)
	}
	return e
}

// itemName joins what names an item. The comma is in no escaped name.
func itemName(kind string, parts ...string) string {
	for _, p := range parts {
		kind += "," + escape(p)
	}
	return kind
}

func (k Key) item(kind string) string { return itemName(kind, k.Profile, k.Account) }

// isGrant says whether a listed name is a record's.
func isGrant(name string) bool { return strings.HasPrefix(name, kindGrant+",") }
