package store

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
)

// A cached token and the head of a note are read by each cached get, so they are
// words on a line and not JSON, whose first use costs a process a tenth of such a
// get.

// words writes one line; no word has a space or a byte that is not ASCII.
func words(all ...string) string {
	for i, w := range all {
		all[i] = url.QueryEscape(w)
	}
	return strings.Join(all, " ")
}

// readWords is the inverse of words, for a line of that version and number of
// words; nil when it is another.
func readWords(line, version string, number int) []string {
	all := strings.Split(line, " ")
	if len(all) != number || all[0] != version {
		return nil
	}
	for i, w := range all {
		plain, err := url.QueryUnescape(w)
		if err != nil {
			return nil
		}
		all[i] = plain
	}
	return all
}

// tokenVersion begins a token at rest. One that begins otherwise is renewed, so
// it can change whenever the words do.
const tokenVersion = "token2"

// encodeToken gives what is cached of an access token, bound to its grant.
func encodeToken(grant string, t Token) secret.Secret {
	return secret.Secret(words(
		tokenVersion, grant, encodeTime(t.Obtained), encodeTime(t.Expiry), t.Binding, t.Type, t.Subject,
		strings.Join(t.Scopes, " "), t.AccessToken.Reveal(),
	))
}

// decodeToken is encodeToken's inverse; its error wraps ErrCorrupt.
func decodeToken(value secret.Secret) (grant string, t Token, err error) {
	w := readWords(value.Reveal(), tokenVersion, 9)
	if w == nil {
		return "", Token{}, corrupt("the cached token is damaged or of another version")
	}
	t = Token{Binding: w[4], Type: w[5], Subject: w[6], AccessToken: secret.Secret(w[8])}
	if w[7] != "" {
		t.Scopes = strings.Split(w[7], " ")
	}
	var ok, fine bool
	t.Obtained, ok = decodeTime(w[2])
	t.Expiry, fine = decodeTime(w[3])
	if !ok || !fine {
		return "", Token{}, corrupt("the cached token has no times")
	}
	return w[1], t, nil
}

// encodeTime writes a moment as seconds and nanoseconds since 1970, nothing for
// the zero time.
func encodeTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.Unix(), 10) + "." + strconv.Itoa(t.Nanosecond())
}

func decodeTime(s string) (t time.Time, ok bool) {
	if s == "" {
		return time.Time{}, true
	}
	seconds, nanos, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseInt(seconds, 10, 64)
	ns, err2 := strconv.ParseInt(nanos, 10, 64)
	if err != nil || err2 != nil {
		return time.Time{}, false
	}
	return time.Unix(sec, ns).UTC(), true
}
