package oidc

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/terradue/t2-cred/helper/secret"
)

// maxWords is how much of a server's message is shown, in characters.
const maxWords = 300

// Clean makes text from outside fit for a terminal and a log line: control
// characters (ANSI escapes, line ends), bidirectional marks and invisible
// characters are written as \u{…}, and what is longer than 300 characters is
// cut. Lesson of CVE-2024-50349 and of Trojan Source (CVE-2021-42574).
func Clean(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > maxWords {
			b.WriteString("…")
			break
		}
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u{%X}`, r)
		}
	}
	return b.String()
}

// cleanWords is Clean for a server's answer to a request that carried secrets: a server
// may echo what it was sent. They are taken out first, and so is whatever looks like a
// JWT.
func cleanWords(s string, sent ...secret.Secret) string {
	clean, _ := Redact(s, sent...)
	return clean
}

// withoutJWTs replaces every run of base64url characters and dots that starts
// as a JSON object does ("eyJ") by the redaction mark.
func withoutJWTs(s string) string {
	var b strings.Builder
	for {
		at := strings.Index(s, "eyJ")
		if at < 0 {
			b.WriteString(s)
			return b.String()
		}
		end := at
		for end < len(s) && isTokenChar(s[end]) {
			end++
		}
		b.WriteString(s[:at])
		b.WriteString(secret.Secret("").String())
		s = s[end:]
	}
}

func isTokenChar(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		strings.IndexByte("-_.+/=~", c) >= 0
}
