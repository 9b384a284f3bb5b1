package helper

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store"
)

// A Narrow asks for a token that opens less than the grant does: some of its scopes,
// some of its audiences. The zero Narrow asks for the whole.
type Narrow struct {
	Scopes   []string
	Audience []string
}

// A NarrowRule says that these hosts get such a token and no other one.
type NarrowRule struct {
	Narrow
	Hosts []string // entries as in Profile.Hosts, in the form that CheckHost gives
}

// IsZero reports whether n asks for the whole.
func (n Narrow) IsZero() bool { return len(n.Scopes) == 0 && len(n.Audience) == 0 }

// Canonical is n with its lists in order and without repetitions. Two requests that mean
// the same are equal then.
func (n Narrow) Canonical() Narrow {
	order := func(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }
	return Narrow{order(n.Scopes), order(n.Audience)}
}

// String is n for people.
func (n Narrow) String() string {
	var parts []string
	if len(n.Scopes) > 0 {
		parts = append(parts, "scopes "+cleanScopes(n.Scopes))
	}
	if len(n.Audience) > 0 {
		parts = append(parts, "audience "+cleanScopes(n.Audience))
	}
	return strings.Join(parts, ", ")
}

// name tells what is cached for n under this configuration from all else of the account.
func (n Narrow) name(p Profile) string {
	n = n.Canonical()
	sum := sha256.Sum256(fmt.Appendf(nil, "narrow %s %q %q", p.binding(), n.Scopes, n.Audience))
	return hex.EncodeToString(sum[:16])
}

// NarrowFor is what the profile sends to where u points to, by its first rule that has
// the host; the zero Narrow when none has.
func (p Profile) NarrowFor(u *url.URL) Narrow {
	host, port, ok := target(u)
	if !ok {
		return Narrow{}
	}
	for _, rule := range p.Narrow {
		if slices.ContainsFunc(rule.Hosts, func(pattern string) bool { return matchHost(pattern, host, port, u.Scheme) }) {
			return rule.Narrow
		}
	}
	return Narrow{}
}

// SameToken reports whether the profile sends the same token to both places.
func (p Profile) SameToken(u, other *url.URL) bool {
	return p.NarrowFor(u).name(p) == p.NarrowFor(other).name(p)
}

// HostWithin reports whether an entry of hosts is one of these entries, or is below one
// of them that is a wildcard. All are in the form that CheckHost gives.
func HostWithin(entry string, hosts []string) bool {
	for _, host := range hosts {
		if entry == host {
			return true
		}
		domain, wild := strings.CutPrefix(host, "*.")
		if !wild {
			continue
		}
		name, port, err := splitHost(entry)
		domain, domainPort, err2 := splitHost(domain)
		if err != nil || err2 != nil || port != domainPort {
			continue
		}
		name = strings.TrimPrefix(name, "*.")
		if (strings.HasSuffix(name, "."+domain)) && sameOwner(name, domain) {
			return true
		}
	}
	return false
}

// narrowed is the request with what the profile has for its URL. Every way to a token
// begins with it, so that no caller can forget it.
func (r Request) narrowed() Request {
	if r.Narrow.IsZero() && r.URL != nil {
		r.Narrow = r.Profile.NarrowFor(r.URL)
	}
	r.Narrow = r.Narrow.Canonical()
	return r
}

// whole is the request for the token that the narrow one is made of.
func (r Request) whole() Request {
	r.Narrow, r.URL = Narrow{}, nil
	return r
}

// notNarrowed is the one error of a narrower token that is not to be had. Nothing broader
// takes its place.
func (r Request) notNarrowed(remedy hint.Remedy, format string, args ...any) error {
	return &hint.Error{
		Kind: ErrNotGranted, Remedy: remedy,
		Detail: fmt.Sprintf("no narrower token (%s): %s; nothing broader is sent", r.Narrow, fmt.Sprintf(format, args...)),
	}
}

// within refuses scopes that the grant does not have: a token with them would be no
// narrower one. granted is empty where the issuer has named none.
func (r Request) within(granted []string) error {
	missing := NotGranted(r.Narrow.Scopes, granted)
	if len(missing) == 0 {
		return nil
	}
	return r.notNarrowed(hint.Do(hint.Words("ask for scopes of the grant: "), r.command("status")),
		"the grant does not have %s", cleanScopes(missing))
}

// narrowsHow says by which of the two ways this issuer narrows.
func (r Request) narrowsHow(meta *oidc.Metadata) (atRefresh bool, err error) {
	admin := func(words string) hint.Remedy { return hint.Say(oidc.AskAdmin + words) }
	switch refreshes := meta.Product.NarrowsAtRefresh(); {
	case meta.ListsExchange():
		return false, nil
	case refreshes && len(r.Narrow.Audience) > 0:
		return false, r.notNarrowed(admin("switch on token exchange (RFC 8693) for this client; or leave the audience out"),
			"this server narrows scopes only, at a refresh, and lists no token exchange")
	case refreshes:
		return true, nil
	case meta.Exchanges():
		return false, nil
	}
	return false, r.notNarrowed(admin("switch on token exchange (RFC 8693) for this client"),
		"the issuer lists no token exchange, and this server was not tested to narrow at a refresh")
}

// A seen is what an answer and its token say of scopes and audience.
type seen struct {
	scopes, audience []string
	looked           bool // into the token: audience counts
}

// seenIn reads both. Where answer and token name different scopes, all count.
func seenIn(answer oidc.Response, claims oidc.Claims) seen {
	return seen{
		scopes:   Narrow{Scopes: slices.Concat(answer.Scopes, claims.EveryScope())}.Canonical().Scopes,
		audience: claims.Audience, looked: claims.JSON != nil,
	}
}

// checkNarrow refuses an answer that is more than was asked for, less, or cannot be
// compared. base is what the whole token has.
func (r Request) checkNarrow(got, base seen) error {
	n := r.Narrow
	refuse := func(format string, args ...any) error { return r.notNarrowed(r.askForAll(got), format, args...) }
	allowed, most := n.Scopes, n.Audience
	if len(allowed) == 0 {
		allowed = base.scopes
	}
	if len(most) == 0 {
		most = base.audience
	}
	switch {
	case len(n.Scopes) > 0 && len(got.scopes) == 0:
		return r.notNarrowed(nil, "neither the answer nor the token names its scopes, so they cannot be compared")
	case len(n.Audience) > 0 && !got.looked:
		return r.notNarrowed(nil, "the token is opaque, so its audience cannot be compared")
	}
	// Without a scope asked for, a whole token that names none leaves nothing to compare.
	if more := NotGranted(got.scopes, allowed); len(more) > 0 {
		return refuse("the issuer gave these scopes too: %s", cleanScopes(more))
	}
	if less := NotGranted(n.Scopes, append(got.scopes, "openid")); len(less) > 0 {
		return r.notNarrowed(hint.Say(oidc.AskAdmin+"let this client have the scope in an exchange; or leave it out"), "the issuer left out these scopes: %s", cleanScopes(less))
	}
	if less := without(n.Audience, got.audience); len(less) > 0 {
		return r.notNarrowed(hint.Say(oidc.AskAdmin+"give this client tokens for that audience"), "the token is not for %s; its aud is [%s]", cleanScopes(less), cleanScopes(got.audience))
	}
	if more := without(got.audience, most); len(more) > 0 && (len(n.Audience) > 0 || base.looked) {
		return refuse("the token is also for %s", cleanScopes(more))
	}
	return nil
}

// without are those of a list that another one does not have.
func without(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
}

// askForAll is the command that asks for what the issuer gives anyway.
func (r Request) askForAll(got seen) hint.Remedy {
	var args []string
	if len(r.Narrow.Scopes) > 0 {
		args = append(args, "--scope", oidc.Clean(strings.Join(got.scopes, " ")))
	}
	if len(r.Narrow.Audience) > 0 {
		for _, a := range got.audience {
			args = append(args, "--audience", oidc.Clean(a))
		}
	}
	words := hint.Words(oidc.AskAdmin + "take it from this client's default scopes and mappers")
	if len(args) == 0 {
		return hint.Do(words)
	}
	return hint.Do(words, hint.Words("; or ask for all that it gives: "), r.command("get").With(args...))
}

// keptNarrow is a narrow token at rest.
type keptNarrow struct {
	Token   string   `json:"token"`
	Type    string   `json:"type"`
	Subject string   `json:"subject,omitempty"`
	Scopes  []string `json:"scopes,omitempty"`
}

// errNoNarrow says that nothing of use is cached.
var errNoNarrow = errors.New("no narrower token is cached")

func encodeNarrow(t store.Token) (secret.Secret, error) {
	text, err := json.Marshal(keptNarrow{t.AccessToken.Reveal(), t.Type, t.Subject, t.Scopes}) // into the store
	return secret.Secret(text), err
}

func decodeNarrow(found store.Secondary) (store.Token, error) {
	var k keptNarrow
	if json.Unmarshal([]byte(found.Value.Reveal()), &k) != nil || k.Token == "" {
		return store.Token{}, errNoNarrow
	}
	return store.Token{
		AccessToken: secret.Secret(k.Token), Type: k.Type, Subject: k.Subject, Scopes: k.Scopes,
		Obtained: found.Obtained, Expiry: found.Expiry,
	}, nil
}
