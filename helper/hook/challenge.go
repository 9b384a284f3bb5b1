package hook

import "strings"

// hasChallenge reports whether a value of WWW-Authenticate (RFC 9110 §11.6.1),
// which may hold several challenges, has one of that scheme.
func hasChallenge(header, scheme string) bool {
	quoted, escaped := false, false
	parts := strings.FieldsFunc(header, func(r rune) bool {
		switch {
		case escaped:
			escaped = false
		case quoted && r == '\\':
			escaped = true
		case r == '"':
			quoted = !quoted
		}
		return r == ',' && !quoted
	})
	for _, part := range parts {
		// A parameter's first word has its name in it, "realm=", and is no scheme.
		if words := strings.Fields(part); len(words) > 0 && strings.EqualFold(words[0], scheme) {
			return true
		}
	}
	return false
}
