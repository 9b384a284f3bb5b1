package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
)

// FuzzCopy reads any bytes as a copy. What is read has a head that is written the same
// again; a sealed record is a part of the bytes.
func FuzzCopy(f *testing.F) {
	h := copyHead{state: stateSent, grant: "g1", base: digest("v"), since: time.Unix(1_800_000_000, 5), pid: 7, machine: "abcdefgh"}
	f.Add(append(h.line(), frame([]byte("age-encryption.org/v1\nx"))...))
	f.Add(append(h.line(), "000009\nshort"...))
	f.Add([]byte(copyVersion + " sent  %zz 1 2 3\n"))
	f.Add(h.line()[:20])
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, sealed, ok := parseCopy(raw)
		if !ok {
			if sealed != nil {
				t.Error("a record of no copy")
			}
			return
		}
		if len(sealed) > 0 && !bytes.Contains(raw, sealed) {
			t.Error("the record is none of the bytes")
		}
		c := foundCopy{copyHead: h, sealed: sealed}
		if c.holdsRecord() && h.state != stateSent {
			t.Error("a room holds a record")
		}
		again, back, ok := parseCopy(append(h.line(), frame(sealed)...))
		if !ok || again.state != h.state || again.grant != h.grant || again.base != h.base || again.pid != h.pid || again.machine != h.machine ||
			!again.since.Equal(h.since) || !bytes.Equal(back, sealed) {
			t.Errorf("%+v became %+v", h, again)
		}
	})
}

// FuzzNote reads any bytes as a note, a cached token and a time. What is read is written
// the same again.
func FuzzNote(f *testing.F) {
	n := note{Note: Note{Key: alice, GrantInfo: GrantInfo{Grant: "g1"}}, place: placeKernel}
	f.Add([]byte(n.head() + "\n{}\n"))
	f.Add([]byte(encodeToken("g1", sampleToken("first")).Reveal()))
	f.Add([]byte(noteVersion + " g1 kernel + %2b"))
	f.Add([]byte(tokenVersion + " g 9223372036854775807.9 1.999999999999 b t s a+b x"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if n, _, err := readHead(raw); err == nil {
			again, _, err := readHead([]byte(n.head() + "\nrest"))
			if err != nil || again.Key != n.Key || again.place != n.place || again.Grant != n.Grant {
				t.Errorf("%q: %+v became %+v, %v", raw, n, again, err)
			}
		}
		grant, tok, err := decodeToken(secret.Secret(raw))
		if err != nil {
			if !errors.Is(err, ErrCorrupt) || strings.Contains(err.Error(), string(raw)) && len(raw) > 8 {
				t.Errorf("%q: %v", raw, err)
			}
			return
		}
		if of, again, err := decodeToken(encodeToken(grant, tok)); err != nil || of != grant || !again.equal(tok) || !again.Expiry.Equal(tok.Expiry) {
			t.Errorf("%q: %+v became %+v, %v", raw, tok, again, err)
		}
	})
}

// FuzzItems reads any text as a client secret, as what an STS gave, and as a copy of
// 3f78ee2. No error shows the text.
func FuzzItems(f *testing.F) {
	f.Add(encodeClientSecret("gep", "client-secret-Hq3mZ8").Reveal())
	f.Add(asciiJSON(secondaryJSON{V: valueVersion, Grant: "g", Kept: []*keptJSON{{Name: "n", Value: "v"}}}).Reveal())
	f.Add(`{"v":1,"seq":1,"base":"","value":"x"}`)
	f.Add(`{"v":9,"client_secret":"hunter2-hunter2"}`)
	f.Fuzz(func(t *testing.T, text string) {
		value, err := decodeClientSecret("gep", secret.Secret(text))
		switch {
		case err == nil:
			if again, err := decodeClientSecret("gep", encodeClientSecret("gep", value)); err != nil || again != value && json.Valid([]byte(`"`+value.Reveal()+`"`)) {
				t.Errorf("%q became %q, %v", value.Reveal(), again.Reveal(), err)
			}
		case !errors.Is(err, ErrCorrupt):
			t.Error(err)
		case len(text) > 24 && strings.Contains(err.Error(), text):
			t.Errorf("the error shows the value: %v", err)
		}
		var all secondaryJSON
		if err := decodeJSON("what was got with a token", secret.Secret(text), &all, &all.V, valueVersion); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Error(err)
		}
		if c, ok := decodeOldCopy([]byte(text)); ok && c.V != valueVersion {
			t.Errorf("a copy of version %d", c.V)
		}
	})
}
