package oidc

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"unicode"

	"github.com/terradue/t2-cred/helper/secret"
)

// echoes are the ways in which a server may give back what it was sent.
var echoes = []func(v string) string{
	func(v string) string { return v },
	strings.ToUpper,
	strings.ToLower,
	func(v string) string { return v[:len(v)-1] },
	func(v string) string { return v[1:] },
	func(v string) string { return v[:len(v)/2+longRun/2] },
	func(v string) string { return hex.EncodeToString([]byte(v)) },
	func(v string) string { return strings.ToUpper(hex.EncodeToString([]byte(v))) },
	func(v string) string { return fmt.Sprintf("% x", v) },
	func(v string) string { return base64.StdEncoding.EncodeToString([]byte(v)) },
	func(v string) string { return base64.RawURLEncoding.EncodeToString([]byte(v)) },
	func(v string) string { return base64.StdEncoding.EncodeToString([]byte("i:" + v + "!")) },
	func(v string) string { return base64.StdEncoding.EncodeToString([]byte("id:" + v)) },
	func(v string) string { return base64.URLEncoding.EncodeToString([]byte("user:" + v)) },
	url.QueryEscape,
	url.PathEscape,
	func(v string) string {
		var b strings.Builder
		for n := range len(v) {
			fmt.Fprintf(&b, "%%%02X", v[n])
		}
		return b.String()
	},
	func(v string) string { return strings.Join(strings.Split(v, ""), " ") },
	func(v string) string { return strings.Join(strings.Split(v, ""), "\n") },
	func(v string) string { return v[:8] + "-" + v[8:16] + "." + v[16:] },
	func(v string) string { return strings.ReplaceAll(v, "a", "a\u200b") },
}

// runs are the pieces of longRun letters and digits of what a person could undo.
func runs(v string) map[string]bool {
	found := map[string]bool{}
	for _, form := range []string{v, hex.EncodeToString([]byte(v)), base64.RawStdEncoding.EncodeToString([]byte(v)), base64.RawStdEncoding.EncodeToString([]byte("i:" + v)), base64.RawStdEncoding.EncodeToString([]byte("x" + v))} {
		text, _ := lettersAndDigits(form)
		// The ends of base64 depend on the neighbours.
		for n := 2; n+longRun+3 <= len(text); n++ {
			found[string(text[n:n+longRun])] = true
		}
	}
	return found
}

func leaks(said string, v string) string {
	text, _ := lettersAndDigits(said)
	known := runs(v)
	for n := 0; n+longRun <= len(text); n++ {
		if known[string(text[n:n+longRun])] {
			return string(text[n : n+longRun])
		}
	}
	return ""
}

func TestRedact_findsASecretInAllItsForms(t *testing.T) {
	const v = "a8fK/2jd+93KslaPq0ZmQ1xCv7BnT5yU"
	for n, echo := range echoes {
		for _, said := range []string{echo(v), "the token " + echo(v) + " is not known", strings.Repeat("x", maxWords-5) + " " + echo(v)} {
			got, found := Redact(said, secret.Secret(v))
			if leak := leaks(got, v); leak != "" || !found {
				t.Errorf("echo %d: %q of %q is in %q (found: %t)", n, leak, said, got, found)
			}
		}
	}
}

func TestRedact_leavesWordsAlone(t *testing.T) {
	for _, said := range []string{
		"Invalid client or Invalid client credentials", "Token is not active", "Standard token exchange is not enabled for the requested client",
		"Maximum allowed refresh token reuse exceeded", "", "ünïcödé 日本",
	} {
		got, found := Redact(said, "a8fK/2jd+93KslaPq0ZmQ1xCv7BnT5yU", "the-client-secret", "", "5vB0pVhZrefreshTokenThatIsSpentQ7mXc2Lw")
		if got != said || found {
			t.Errorf("%q became %q (found: %t)", said, got, found)
		}
	}
	// Another's JWT is a secret too.
	if got, found := Redact("a token eyJhbGciOiJub25lIn0.e30. here"); got != "a token [redacted] here" || !found {
		t.Errorf("%q (found: %t)", got, found)
	}
}

// TestRedact_short: a secret of few characters is taken out whole.
func TestRedact_short(t *testing.T) {
	for _, tt := range []struct{ said, secret, want string }{
		{"the pin 1234 is wrong", "1234", "the pin [redacted] is wrong"},
		{"HUNTER2 is wrong", "hunter2", "[redacted] is wrong"},
		{"hunter and 2 are wrong", "hunter2!", "hunter and 2 are wrong"},
		{"?! is wrong", "?!", "[redacted] is wrong"},
		{"correct-horse-batter is wrong", "correct-horse-battery", "[redacted] is wrong"},
	} {
		if got, _ := Redact(tt.said, secret.Secret(tt.secret)); got != tt.want {
			t.Errorf("%q: %q", tt.said, got)
		}
	}
}

// TestRedact_isQuick on the largest that an issuer can make of both.
func TestRedact_isQuick(t *testing.T) {
	for _, long := range []string{strings.Repeat("a", maxToken), strings.Repeat("abcdefghij", maxToken/10)} {
		if got, found := Redact(strings.Repeat(long, 16), secret.Secret(long), secret.Secret(long), secret.Secret(long)); !found || strings.Contains(got, "aaaa") {
			t.Errorf("%.60q", got)
		}
	}
}

// FuzzRedact: whatever stands around it, no long run of a secret comes through, and what
// comes out is printable.
func FuzzRedact(f *testing.F) {
	f.Add("the token ", " is not known", "a8fK2jd93KslaPq0ZmQ1xCv7BnT5yU", 0)
	f.Add("eyJ", "=", "00000000000000000000000000000000", 6)
	f.Add("\xff\xfe", "\u202e", "a8fK/2jd+93KslaPq0ZmQ1xCv7BnT5yU", 11)
	f.Fuzz(func(t *testing.T, before, after, v string, how int) {
		if len(v) < 24 || len(v) > 2000 || strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return
		}
		if text, _ := lettersAndDigits(v); len(text) < 24 || len(text) < len(v)*3/4 {
			return // a secret is made of letters and digits, in the main
		}
		how = (how%len(echoes) + len(echoes)) % len(echoes)
		got, _ := Redact(before+echoes[how](v)+after, secret.Secret(v))
		if strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q", got)
		}
		if leak := leaks(got, v); leak != "" && leaks(before, v) == "" && leaks(after, v) == "" {
			t.Errorf("echo %d: %q of %q is in %q", how, leak, v, got)
		}
	})
}

// Other encodings are not looked for; this test says which, so that nobody believes
// otherwise.
func TestRedact_hasLimits(t *testing.T) {
	const v = "a8fK/2jd+93KslaPq0ZmQ1xCv7BnT5yU"
	if _, found := Redact(base32.StdEncoding.EncodeToString([]byte(v)), secret.Secret(v)); found {
		t.Error("base32 is found: say so in Redact's comment")
	}
}
