package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/terradue/t2-cred/helper/hint"
)

// refuseTokens is an error when an argument is a token: by then every user of the
// machine may have read it. What exec is to run is not looked at.
func (a *app) refuseTokens() error {
	args := a.Args
	if n := slices.Index(args, "exec"); n >= 0 {
		args = args[:n]
	}
	if !slices.ContainsFunc(args, func(arg string) bool { return slices.ContainsFunc(partsOf(arg), looksJWT) }) {
		return nil
	}
	a.flags.json = a.flags.json || slices.Contains(args, "--json")
	return &hint.Error{
		Kind: errUsage, Detail: "a token is not an argument: other users can read the arguments of a command",
		Remedy: hint.Do(hint.Words("put it into a file that only you can read, then: "), hint.Run("exchange", "--token-file", "FILE")),
	}
}

// filledIn is an error where a hint or a usage line was typed as it stands: its words in
// capitals are for the reader to replace, and a host called HOST would push out the others.
func (p profileConfig) filledIn(name string) error {
	words := []string{name, p.Issuer, p.DiscoveryURL, p.ClientID, p.ClientAuth, p.KeyFile, p.CertFile, p.AssertionFile, p.CAFile}
	for _, word := range slices.Concat(words, p.Scopes, p.Audience, p.Hosts) {
		switch word {
		case "NAME", "URL", "ID", "HOST", "METHOD", "SCOPES", "FILE":
			return usageError(fmt.Errorf("put what you mean in the place of %s", word))
		}
	}
	return nil
}

// valueOf is what stands behind the = of a flag, else the whole argument.
func valueOf(arg string) string {
	if strings.HasPrefix(arg, "-") {
		if _, value, ok := strings.Cut(arg, "="); ok {
			return value
		}
		return strings.TrimLeft(arg, "-")
	}
	return arg
}

// partsOf are what may be a secret of an argument: the whole, its value, and each part
// between spaces, quotes or the like, as in "Authorization: Bearer TOKEN".
func partsOf(arg string) []string {
	return append([]string{arg, valueOf(arg)}, strings.FieldsFunc(arg, isAroundSecret)...)
}

// hideTyped takes out of a text what was typed as an argument or at a question, or set in
// the environment for us, and looks like a secret. The name of a file that exists is none. A message may
// have cut a long word off, so its beginning is enough.
func (a *app) hideTyped(text string) string {
	typed := slices.Concat(a.Args, a.answers)
	for _, name := range []string{"PROFILE", "ACCOUNT", "CONFIG", "STORE", "TIMEOUT", "JSON", "VERBOSE", "IDENTITY_FILE", "CA_FILE"} {
		typed = append(typed, a.Getenv("T2_CRED_"+name))
	}
	for _, word := range typed {
		for _, w := range partsOf(word) {
			if !looksSecret(w) || !strings.Contains(text, beginning(w)) {
				continue
			}
			if _, err := os.Lstat(w); err != nil {
				text = withoutWord(text, w)
			}
		}
	}
	return text
}

// beginning is the part of a word by which it is found.
func beginning(word string) string { return word[:min(len(word), longWord)] }

// withoutWord takes out a word, and as much of it as stands there where it was cut off.
func withoutWord(text, word string) string {
	var b strings.Builder
	for {
		at := strings.Index(text, beginning(word))
		if at < 0 {
			b.WriteString(text)
			return b.String()
		}
		n := 0
		for n < len(word) && at+n < len(text) && text[at+n] == word[n] {
			n++
		}
		b.WriteString(text[:at])
		b.WriteString(notShown)
		text = text[at+n:]
	}
}
