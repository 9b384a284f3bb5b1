package cli

import (
	"slices"
	"strings"
)

// didYouMean proposes the known word that a mistyped one is nearest to, as an
// addition to an error; empty when none is near.
func didYouMean(typed string, known []string) string {
	if near := nearest(typed, known); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}

// didYouMeanCommand proposes a command. It knows the words of other tools too. The first
// word that is known is proposed, with the flag that may stand behind it.
func didYouMeanCommand(typed string, known []string) string {
	for _, word := range known {
		if strings.EqualFold(word, typed) {
			return "; did you mean " + word + "?"
		}
	}
	var same []string
	switch strings.ToLower(typed) {
	case "ls", "accounts", "users":
		same = []string{"list", "status", "show"}
	case "list", "show", "cat", "view", "info", "get":
		same = []string{"show", "status", "get"}
	case "rm", "remove", "delete", "del", "revoke", "signout", "sign-out", "logoff":
		same = []string{"remove", "erase"}
	case "mv":
		same = []string{"move"}
	case "new", "create":
		same = []string{"add", "init"}
	case "add":
		same = []string{"profile add"}
	case "edit":
		same = []string{"profile edit"}
	case "update", "change", "set", "modify":
		same = []string{"edit"}
	case "use", "select", "switch", "default":
		same = []string{"use", "profile use", "move"}
	case "token", "get-token", "access-token", "fetch", "print":
		same = []string{"get", "show"}
	case "run":
		same = []string{"exec"}
	case "credential", "git-credential":
		same = []string{"git"}
	case "refresh", "renew":
		same = []string{"get --fresh"}
	case "whoami":
		same = []string{"claims"}
	case "signin", "sign-in", "auth":
		same = []string{"login"}
	case "check":
		same = []string{"doctor", "status"}
	case "configure":
		same = []string{"init"}
	}
	for _, words := range same {
		if word, _, _ := strings.Cut(words, " "); slices.Contains(known, word) {
			return "; did you mean " + words + "?"
		}
	}
	return didYouMean(typed, known)
}

// sameFlags are the flags that other tools call by that name, the likeliest first.
func sameFlags(typed string) []string {
	if typed == "V" { // a small v is --verbose
		return []string{"version"}
	}
	switch strings.ToLower(typed) {
	case "url", "server", "realm", "issuer-url", "endpoint":
		return []string{"issuer"}
	case "id", "client":
		return []string{"client-id"}
	case "secret", "client-secret", "password", "s":
		return []string{"client-secret-file"}
	case "token", "access-token", "subject-token", "refresh-token", "t":
		return []string{"token-file"}
	case "output", "out", "o", "format", "f", "raw":
		return []string{"format", "output", "json"}
	case "user", "username", "u":
		return []string{"account"}
	case "force", "refresh", "no-cache":
		return []string{"fresh"}
	case "with-token":
		return []string{"token-file"}
	case "web":
		return []string{"browser"}
	case "no-browser", "no-launch-browser":
		return []string{"device"}
	case "e":
		return []string{"env"}
	}
	return nil
}

// nearest is the known word with the fewest changes from the typed one, at most a
// third of its letters; or the only one that begins like it.
func nearest(typed string, known []string) string {
	typed = strings.ToLower(typed)
	best, least := "", max(1, min(len(typed)/3, 3))+1
	var begin []string
	for _, word := range known {
		if strings.EqualFold(word, typed) && word != typed {
			return word
		}
		if d := distance(typed, strings.ToLower(word), least); d < least {
			best, least = word, d
		}
		if len(typed) >= 3 && strings.HasPrefix(strings.ToLower(word), typed) {
			begin = append(begin, word)
		}
	}
	if best == "" && len(begin) == 1 {
		return begin[0]
	}
	return best
}

// distance is the number of letters that were added, left out, changed or swapped
// with their neighbour; most when it is at least that.
func distance(a, b string, most int) int {
	if len(a)-len(b) >= most || len(b)-len(a) >= most {
		return most
	}
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	before, last, row := rows[0], rows[1], rows[2]
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], most)
}

// looksSecret reports whether a word may be a token or a secret: three or five parts
// as of a JWT, or long without anything that a name, a path or a URL has.
func looksSecret(word string) bool {
	word = strings.TrimRight(strings.TrimSpace(word), "=")
	if looksJWT(word) || strings.HasPrefix(strings.ToUpper(word), "AGE-SECRET-KEY-") {
		return true
	}
	if len(word) < longWord || isUUID(word) || strings.HasPrefix(word, "/") {
		return false
	}
	var digit, lower, upper, joint bool
	for _, r := range word {
		switch {
		case r >= '0' && r <= '9':
			digit = true
		case r >= 'a' && r <= 'z':
			lower = true
		case r >= 'A' && r <= 'Z':
			upper = true
		case strings.ContainsRune("-_+/=.~", r):
			joint = true
		default:
			return false
		}
	}
	return digit && (lower && upper || (lower || upper) && !joint)
}

// looksJWT reports whether a word has the form of a JWS or JWE (RFC 7515, RFC 7516).
func looksJWT(word string) bool {
	parts := strings.Split(strings.TrimSpace(word), ".")
	return (len(parts) == 3 || len(parts) == 5) && (strings.HasPrefix(word, "eyJ") || len(word) >= 60 && len(parts[0]) >= 16) &&
		!slices.ContainsFunc(parts, notBase64URL)
}

// longWord is the length from which on a word may be a secret. Keycloak's have 32.
const longWord = 24

func notBase64URL(part string) bool {
	return strings.ContainsFunc(part, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}

func isUUID(word string) bool {
	return len(word) == 36 && word[8] == '-' && word[13] == '-' && word[18] == '-' && word[23] == '-'
}

const notShown = "[not shown: it looks like a secret]"

// shownWord is a word that was typed or written, for an error: not if it looks like
// a secret.
func shownWord(word string) string {
	if holdsSecret(word) {
		return notShown
	}
	return clean(word)
}

// holdsSecret reports whether a word, or a part of it between spaces, quotes or the like,
// looks like a secret: "Bearer " and a token, a secret in quotes.
func holdsSecret(word string) bool {
	return looksSecret(word) || slices.ContainsFunc(strings.FieldsFunc(word, isAroundSecret), looksSecret)
}

func isAroundSecret(r rune) bool {
	return strings.ContainsRune("@?&#| \t\r\n\"'`“”‘’<>()[]{},;:=", r)
}
