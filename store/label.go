package store

import (
	"net/url"
	"strings"
)

// label is what a person reads about an item in the keyring's own program.
func (o Options) label(item string) string {
	item, part, _ := strings.Cut(item, "/") // of a value that is in several items
	words := strings.Split(item, ",")
	for i := range words {
		if plain, err := url.PathUnescape(words[i]); err == nil {
			words[i] = plain
		}
	}
	text := "t2-cred: "
	switch kind := words[0]; {
	case kind == kindClient && len(words) == 2:
		text += "client secret of " + words[1]
	case kind == kindGrant && len(words) >= 3:
		text += words[1] + "/" + words[2]
	case len(words) >= 3: // cached tokens, and keys that came for one
		text += words[1] + "/" + words[2] + ", " + kind
	case kind == kindSeal:
		text += "the key to copies of tokens"
	default:
		text += item
	}
	if host := o.issuerHost(words); host != "" {
		text += " at " + host
	}
	if part != "" {
		text += ", part " + part
	}
	return strings.ToValidUTF8(text, "…") // a long name was cut, maybe within a character
}

// issuerHost is the issuer of the profile that an item's words name.
func (o Options) issuerHost(words []string) string {
	if o.IssuerOf == nil || len(words) < 2 {
		return ""
	}
	u, err := url.Parse(o.IssuerOf(words[1]))
	if err != nil {
		return ""
	}
	return u.Host
}
