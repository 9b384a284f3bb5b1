package oidctest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A Preset has an issuer answer as one real product does where a client can tell. It is
// made from the product's published documents, not from the product itself.
type Preset struct {
	// Name is the product's, as docs/issuers.md has it.
	Name string
	// Revocation reports whether the product names a revocation endpoint (RFC 7009).
	Revocation bool

	path      string            // of the issuer
	endpoints map[string]string // members of the discovery document, by their path on the host
	members   map[string]any    // its other members
	grants    []string          // grant_types_supported; nil where the document has none
	scopes    []string          // those that it knows and grants
	options   []Option

	// gives reports whether a login with these parameters gets a refresh token.
	gives func(asked url.Values, scopes []string) bool
	// access makes an access token the product's. The claims are the usual ones.
	access func(i *Issuer, g *grant, d *Draft)
	// id makes an ID token the product's.
	id func(d *Draft)
	// answer makes an answer of the token endpoint the product's.
	answer func(i *Issuer, g *grant, object map[string]any)
	// refresh makes the text of a refresh token.
	refresh func(i *Issuer) string
	// key makes a key of the key set the product's.
	key func(jwk map[string]any)
	// exchange is how its token exchange answers; nil for one that has none.
	exchange *exchangeRules
	// dead is what is answered for a refresh token that is refused. TOKEN stands for it.
	dead refusal
}

// exchangeRules are what a product's token exchange (RFC 8693) does in its own way.
type exchangeRules struct {
	issued string // issued_token_type
	// bare leaves the life and the scopes of the new token out of the answer.
	bare bool
	// unknown is the answer for a subject token that is not the issuer's, or no longer good,
	// and forbidden for a client that its admin has not allowed this (LegacyForbidden).
	unknown, forbidden refusal
	// ownOffline is the answer where a client asks for offline_access with a token of its
	// own; nil where it may.
	ownOffline *refusal
}

// PresetUser is the user who has logged in at an issuer with a [Preset].
const PresetUser = "alice"

// As has the issuer answer as a product does. It also serves logins by code.
func As(p Preset) Option {
	return func(c *config) {
		c.preset, c.path = &p, p.path
		if p.exchange == nil {
			c.mode = FeatureOff
		}
		if p.endpoints["introspection_endpoint"] == "" {
			c.introspection = IntrospectionNone
		}
		for _, opt := range p.options {
			opt(c)
		}
	}
}

// Exchange reports whether the product has token exchange (RFC 8693).
func (p Preset) Exchange() bool { return p.exchange != nil }

// PresetNamed is the preset of that name; it panics when there is none.
func PresetNamed(name string) Preset {
	for _, p := range Presets() {
		if p.Name == name {
			return p
		}
	}
	panic("oidctest: no preset " + name)
}

// at is the address of an endpoint; empty where the product has none.
func (p *Preset) at(i *Issuer, e Endpoint) string {
	names := map[Endpoint]string{
		Authorization: "authorization_endpoint", Token: "token_endpoint", JWKS: "jwks_uri",
		Revocation: "revocation_endpoint", Introspect: "introspection_endpoint",
	}
	if path := p.endpoints[names[e]]; path != "" {
		return i.base + path
	}
	return ""
}

// document is the product's discovery document.
func (p *Preset) document(i *Issuer) map[string]any {
	object := map[string]any{
		"issuer": i.url, "scopes_supported": p.scopes, "response_types_supported": []string{"code"},
		"id_token_signing_alg_values_supported": []string{i.conf.alg}, "subject_types_supported": []string{"public"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
	}
	for name, path := range p.endpoints {
		object[name] = i.base + path
	}
	for name, value := range p.members {
		object[name] = value
	}
	if p.grants != nil {
		object["grant_types_supported"] = p.grants
	}
	return object
}

// plain takes Keycloak's own claims out of a token.
func (d *Draft) plain() {
	for _, name := range []string{"typ", "azp", "acr", "sid", "allowed-origins", "realm_access", "resource_access"} {
		delete(d.Claims, name)
	}
}

// dress makes an answer the product's. The caller holds mu.
func (p *Preset) dress(i *Issuer, g *grant, out *issued) {
	for _, d := range []*Draft{out.access, out.id} {
		if d != nil {
			d.plain()
		}
	}
	for _, name := range []string{"refresh_expires_in", "not-before-policy", "session_state"} {
		delete(out.object, name)
	}
	p.access(i, g, out.access)
	if out.id != nil && p.id != nil {
		p.id(out.id)
	}
	if p.answer != nil {
		p.answer(i, g, out.object)
	}
}

// exchanged is the product's token exchange. The caller holds mu.
func (p *Preset) exchanged(i *Issuer, client string, form url.Values) (*issued, *refusal) {
	rules := p.exchange
	subject, no := i.subjectOf(form)
	if no != nil {
		return nil, &rules.unknown
	}
	scopes := subject.scopes
	if form.Has("scope") {
		scopes = strings.Fields(form.Get("scope"))
	}
	scopes = slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return !slices.Contains(p.scopes, s) })
	switch {
	case i.conf.mode == LegacyForbidden:
		return nil, &rules.forbidden
	case rules.ownOffline != nil && subject.client == client && slices.Contains(scopes, "offline_access"):
		return nil, rules.ownOffline
	}
	g := &grant{id: newID(), user: subject.user, client: client, scopes: scopes, audience: form["audience"], offline: true, lastUse: i.Clock.Now()}
	out := i.answerFor(g, scopes)
	out.object["issued_token_type"] = rules.issued
	if p.gives(form, scopes) {
		i.grants = append(i.grants, g)
		i.withRefreshToken(out, g, i.newRefreshToken(g))
	}
	if rules.bare {
		delete(out.object, "expires_in")
		delete(out.object, "scope")
	}
	return out, nil
}

// refused is the product's own answer for a refresh token that is refused.
func (p *Preset) refused(no *refusal, sent string) *refusal {
	if no.code != "invalid_grant" {
		return no
	}
	said := p.dead
	said.description = strings.ReplaceAll(said.description, "TOKEN", sent)
	return &said
}

// A login is one that waits for its code to be redeemed.
type login struct {
	grant     *grant
	query     url.Values
	refreshes bool
}

// serveAuthorization is the authorization endpoint (RFC 6749 §4.1.1). The user has logged
// in before and agrees to all that the product knows.
func (c *Call) serveAuthorization() Answer {
	i, query := c.Issuer, c.Request.URL.Query()
	back, err := url.Parse(query.Get("redirect_uri"))
	if err != nil || back.Host == "" || query.Get("client_id") != ClientID || query.Get("response_type") != "code" {
		return c.fail(http.StatusBadRequest, "invalid_request", "not an authorization request of a known client")
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	p := i.conf.preset
	scopes := slices.DeleteFunc(strings.Fields(query.Get("scope")), func(s string) bool { return !slices.Contains(p.scopes, s) })
	g := &grant{
		id: newID(), user: i.userNamed(PresetUser), client: ClientID, scopes: scopes, audience: []string{ClientID},
		offline: true, lastUse: i.Clock.Now(),
	}
	code := randomText(43)
	i.logins[code] = &login{grant: g, query: query, refreshes: p.gives(query, scopes)}
	i.saw(code)
	answer := url.Values{"code": {code}, "state": {query.Get("state")}}
	back.RawQuery = answer.Encode()
	return Answer{Status: http.StatusFound, Header: http.Header{"Location": {back.String()}, "Cache-Control": {"no-store"}}}
}

// codeGrant redeems a code (RFC 6749 §4.1.3) with its verifier (RFC 7636 §4.6).
func (i *Issuer) codeGrant(client string, form url.Values) (*issued, *refusal) {
	i.mu.Lock()
	defer i.mu.Unlock()
	l := i.logins[form.Get("code")]
	delete(i.logins, form.Get("code"))
	if l == nil || l.grant.client != client || l.query.Get("redirect_uri") != form.Get("redirect_uri") ||
		l.query.Get("code_challenge_method") != "S256" || l.query.Get("code_challenge") != challenge(form.Get("code_verifier")) {
		return nil, refuse("invalid_grant", "the code is not of this request")
	}
	out := i.answerFor(l.grant, l.grant.scopes)
	if nonce := l.query.Get("nonce"); out.id != nil && nonce != "" {
		out.id.Claims["nonce"] = nonce
	}
	if l.refreshes {
		i.grants = append(i.grants, l.grant)
		i.withRefreshToken(out, l.grant, i.newRefreshToken(l.grant))
	}
	return out, nil
}

// days is a time that products count in.
func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }
