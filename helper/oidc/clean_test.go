package oidc

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"unicode"

	"github.com/terradue/t2-cred/helper/secret"
)

func TestClean_leavesNothingThatMovesTheCursor(t *testing.T) {
	for in, want := range map[string]string{
		"plain words: ünïcödé 日本": "plain words: ünïcödé 日本",
		"\x1b[31mred\x1b[0m":      `\u{1B}[31mred\u{1B}[0m`,
		"two\r\nlines":            `two\u{D}\u{A}lines`,
		"user\u202egnp.exe":       `user\u{202E}gnp.exe`,
		"zero\u200bwidth":         `zero\u{200B}width`,
		"nul\x00":                 `nul\u{0}`,
		"bad \xff byte":           `bad \u{FFFD} byte`,
		"bel\adel\x7f":            `bel\u{7}del\u{7F}`,
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) = %q, want %q", in, got, want)
		}
	}
	if got := Clean(strings.Repeat("x", 10_000)); len(got) > 400 {
		t.Errorf("a long text stays %d bytes long", len(got))
	}
}

func TestCleanWords_takesOutWhatWasSent(t *testing.T) {
	const value = "s3cr+t/=value with space"
	jwt := "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln"
	said := strings.Join([]string{
		"raw " + value, "query " + url.QueryEscape(value), "path " + url.PathEscape(value),
		"base64 " + base64.StdEncoding.EncodeToString([]byte(value)), "a token " + jwt + " here",
	}, "; ")
	got := cleanWords(said, secret.Secret(value), "")
	for _, leak := range []string{"s3cr", "c3Nj", "eyJ", base64.StdEncoding.EncodeToString([]byte(value))} {
		if strings.Contains(got, leak) {
			t.Errorf("%q is still in %q", leak, got)
		}
	}
	if !strings.Contains(got, "a token [redacted] here") {
		t.Errorf("the rest is gone: %q", got)
	}
	// The secret is taken out before the text is cut, so no half of it stays.
	edge := cleanWords(strings.Repeat("x", maxWords-4)+value, secret.Secret(value))
	if strings.Contains(edge, "s3cr") {
		t.Errorf("half of the secret stays at the cut: %q", edge)
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x1b]0;title\x07b", "secret")
	f.Add("eyJ.eyJ", "e")
	f.Fuzz(func(t *testing.T, said, sent string) {
		got := cleanWords(said, secret.Secret(sent))
		for _, r := range got {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q holds %U", got, r)
			}
		}
		if len(sent) > 12 && strings.Contains(got, sent) && !strings.Contains("[redacted]", sent) && !strings.Contains(said, "\\u{") {
			t.Fatalf("%q holds what was sent", got)
		}
	})
}
