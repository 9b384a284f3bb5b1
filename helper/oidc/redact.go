package oidc

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
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
	found := false
	runs := map[int]*textRuns{} // by their length
	var want []byte             // used again for each form, as there are dozens
	for _, one := range secrets {
		v := one.Reveal() // compared with, not shown
		if len(text) < longRun && len(v) > 2*longRun {
			continue // no run of it has room
		}
		for _, form := range formsOf(v[:min(len(v), maxToken)]) {
			want = appendLetters(want[:0], form)
			size := runLength(want)
			if size < 4 || len(text) < size {
				continue
			}
			if runs[size] == nil {
				runs[size] = newTextRuns(text, size)
			}
			found = runs[size].find(want) || found
		}
	}
	marked := make([]bool, len(s))
	for _, r := range runs {
		r.mark(marked, text, at)
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
	forms := append(slices.Compact([]string{v, url.QueryEscape(v), url.PathEscape(v)}), hex.EncodeToString([]byte(v)))
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
	text = appendLetters(make([]byte, 0, len(s)), s)
	at = make([]int32, 0, len(text))
	for n := 0; n < len(s); n++ {
		if counts(s[n]) {
			at = append(at, int32(n))
		}
	}
	return text, at
}

// appendLetters appends the letters and digits of s in lower case. A branch for each byte
// of a secret would be guessed wrong half of the time.
func appendLetters(to []byte, s string) []byte {
	var lower, step [256]byte
	for c := range 256 {
		if counts(byte(c)) {
			lower[c], step[c] = byte(c), 1
		}
		if c >= 'A' && c <= 'Z' {
			lower[c] += 'a' - 'A'
		}
	}
	end := len(to)
	to = append(to, s...)
	for n := 0; n < len(s); n++ {
		to[end] = lower[s[n]]
		end += int(step[s[n]])
	}
	return to[:end]
}

// counts reports whether a byte is a letter or a digit.
func counts(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= utf8.RuneSelf
}

// runLength is how long a run of a secret's letters and digits is looked for: longRun, or
// all but one character of a shorter secret.
func runLength(want []byte) int {
	if len(want) <= 8 {
		return len(want)
	}
	return min(longRun, len(want)-1)
}

// textRuns are the runs of one length of a text. The text is short and the secrets may be
// long, so the text's runs are what is looked up.
type textRuns struct {
	size int
	all  map[string]bool // true once a secret has it
	// begins are the first two bytes of a run. They alone rule out almost all of a secret's.
	begins [1 << 16]bool
}

func newTextRuns(text []byte, size int) *textRuns {
	r := &textRuns{size: size, all: map[string]bool{}}
	for n := 0; n+size <= len(text); n++ {
		r.all[string(text[n:n+size])] = false
		r.begins[int(text[n])<<8|int(text[n+1])] = true
	}
	return r
}

// find notes the runs that a secret has in common with the text.
func (r *textRuns) find(want []byte) (found bool) {
	for n := 0; n+r.size <= len(want); n++ {
		if !r.begins[int(want[n])<<8|int(want[n+1])] {
			continue
		}
		if _, ok := r.all[string(want[n:n+r.size])]; ok {
			r.all[string(want[n:n+r.size])] = true
			found = true
		}
	}
	return found
}

// mark marks in the original text the runs that were found.
func (r *textRuns) mark(marked []bool, text []byte, at []int32) {
	for n := 0; n+r.size <= len(text); n++ {
		if !r.all[string(text[n:n+r.size])] {
			continue
		}
		for m := at[n]; m <= at[n+r.size-1]; m++ {
			marked[m] = true
		}
	}
}
