package oidc

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/terradue/t2-cred/helper/secret"
)

const (
	// maxRead is how much of a server's message is looked at, in bytes. Less than a
	// tenth of it is shown.
	maxRead = 8 << 10
	// longRun is the length from which a piece of a secret is taken out, in letters and
	// digits.
	longRun = 16
)

// Redact makes text from outside fit for a person, as [Clean] does, without any of the
// secrets, and reports whether it held one. A secret is found in any letter case, as
// hex, base64 or URL encoding, with other characters in between, and by any run of 16
// of its letters and digits.
func Redact(s string, secrets ...secret.Secret) (clean string, found bool) {
	if len(s) > maxRead {
		s = s[:maxRead-4*longRun]
	}
	before := s
	for _, one := range secrets {
		if v := one.Reveal(); v != "" && len(v) <= len(s) { // compared with, not shown
			s = withoutForm(s, v)
		}
	}
	s = withoutJWTs(withoutRuns(s, secrets))
	return Clean(s), s != before
}

// withoutForm takes out a whole secret, as one of few characters is found by no run.
func withoutForm(s, v string) string {
	for _, form := range []string{v, url.QueryEscape(v), url.PathEscape(v), base64.StdEncoding.EncodeToString([]byte(v))} {
		s = strings.ReplaceAll(s, form, secret.Secret("").String())
	}
	return s
}

// withoutRuns takes out the runs that s has in common with a secret in any form.
func withoutRuns(s string, secrets []secret.Secret) string {
	text, at := lettersAndDigits(s)
	if len(text) < 4 {
		return s
	}
	marked := make([]bool, len(s))
	found := false
	for _, one := range secrets {
		v := one.Reveal() // compared with, not shown
		if len(text) < longRun && len(v) > 2*longRun {
			continue // no run of it has room
		}
		for _, form := range formsOf(v[:min(len(v), maxToken)]) {
			want, _ := lettersAndDigits(form)
			found = mark(marked, text, at, want) || found
		}
	}
	if !found {
		return s
	}
	var b strings.Builder
	for n := 0; n < len(s); n++ {
		switch {
		case !marked[n]:
			b.WriteByte(s[n])
		case n == 0 || !marked[n-1]:
			b.WriteString(secret.Secret("").String())
		}
	}
	return b.String()
}

// formsOf are the encodings in which a secret may come back. Percent encoding of each
// byte is hex with other characters in between. Base64 differs by where in a longer text
// the secret begins.
func formsOf(v string) []string {
	if v == "" {
		return nil
	}
	forms := []string{v, url.QueryEscape(v), url.PathEscape(v), hex.EncodeToString([]byte(v))}
	for _, before := range []string{"", "\x00", "\x00\x00"} {
		encoded := base64.RawStdEncoding.EncodeToString([]byte(before + v))
		// The characters at the ends depend on what stands beside the secret.
		start := (len(before)*8 + 5) / 6
		end := (len(before) + len(v)) * 8 / 6
		if start < end {
			forms = append(forms, encoded[start:end])
		}
	}
	return forms
}

// lettersAndDigits are those of s in lower case, with the place of each in s.
func lettersAndDigits(s string) (text []byte, at []int32) {
	text, at = make([]byte, 0, len(s)), make([]int32, 0, len(s))
	for n := 0; n < len(s); n++ {
		c := s[n]
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c >= utf8.RuneSelf:
		default:
			continue
		}
		text, at = append(text, c), append(at, int32(n))
	}
	return text, at
}

// mark marks in the original text what it has in common with want: runs of longRun, or
// all but one character of a shorter secret.
func mark(marked []bool, text []byte, at []int32, want []byte) (found bool) {
	size := min(longRun, len(want)-1)
	if len(want) <= 8 {
		size = len(want)
	}
	if size < 4 || len(text) < size || len(want) < size {
		return false
	}
	// The text is short and the secret may be long, so the text's pieces are what is
	// looked up. Their first two bytes alone rule out almost all of the secret's.
	pieces := map[string]bool{} // true once the secret has it
	var begins [1 << 16]bool
	for n := 0; n+size <= len(text); n++ {
		pieces[string(text[n:n+size])] = false
		begins[int(text[n])<<8|int(text[n+1])] = true
	}
	for n := 0; n+size <= len(want); n++ {
		if !begins[int(want[n])<<8|int(want[n+1])] {
			continue
		}
		if _, ok := pieces[string(want[n:n+size])]; ok {
			pieces[string(want[n:n+size])] = true
			found = true
		}
	}
	for n := 0; found && n+size <= len(text); n++ {
		if !pieces[string(text[n:n+size])] {
			continue
		}
		for m := at[n]; m <= at[n+size-1]; m++ {
			marked[m] = true
		}
	}
	return found
}
