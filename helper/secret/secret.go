// Package secret has the one type that every token, refresh token, client
// secret and key travels in. It is a leaf: it imports nothing of ours, so that
// store and oidc can share it without knowing of each other.
package secret

import (
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// A Secret is a string that does not show itself. However it is printed,
// logged or encoded, it reads "[redacted]". Only Reveal gives the value. It is called where
// a secret leaves for its one proper place (a request body, a store, standard output).
type Secret string

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String implements fmt.Stringer.
func (Secret) String() string { return redacted }

// GoString implements fmt.GoStringer, for %#v.
func (Secret) GoString() string { return redacted }

// Format implements fmt.Formatter, which comes before all else in fmt: without
// it %x and %d would print the bytes.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler, for JSON, TOML and XML. What
// has to keep a secret (store's records) says so with Reveal.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
