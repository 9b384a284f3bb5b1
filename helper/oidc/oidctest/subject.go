package oidctest

import (
	"slices"
	"strings"
	"time"
)

// A SubjectOption changes what [Issuer.UserToken] makes.
type SubjectOption func(*subject)

type subject struct {
	kind     string // "access", "id", "refresh", "offline"
	issuer   string
	client   string
	audience []string
	scope    string
	life     time.Duration
	forged   bool
}

// Expired makes a token that expired an hour ago.
func Expired() SubjectOption { return func(s *subject) { s.life = -time.Hour } }

// For makes a token that lives for d.
func For(d time.Duration) SubjectOption { return func(s *subject) { s.life = d } }

// FromIssuer makes a token of another issuer.
func FromIssuer(url string) SubjectOption {
	return func(s *subject) { s.issuer, s.forged = url, true }
}

// Forged makes a token that claims to be this issuer's, but is signed by
// another key.
func Forged() SubjectOption { return func(s *subject) { s.forged = true } }

// Audience sets the token's aud; without values it has none but "account".
func Audience(aud ...string) SubjectOption { return func(s *subject) { s.audience = aud } }

// IssuedTo sets the client that the token was issued to; PortalID if not given.
func IssuedTo(client string) SubjectOption { return func(s *subject) { s.client = client } }

// Scope sets the token's scopes; "openid email profile" if not given.
func Scope(scope string) SubjectOption { return func(s *subject) { s.scope = scope } }

// AsIDToken makes an ID token rather than an access token.
func AsIDToken() SubjectOption { return func(s *subject) { s.kind = "id" } }

// AsRefreshToken makes the user's own refresh token rather than an access token.
func AsRefreshToken() SubjectOption { return func(s *subject) { s.kind = "refresh" } }

// AsOfflineToken makes the user's own offline token rather than an access token.
func AsOfflineToken() SubjectOption { return func(s *subject) { s.kind = "offline" } }

// UserToken makes the access token that a user who logs in at the portal is
// given, and that is exchanged for the application's own: its audience names
// [ClientID], its azp is [PortalID]. The user is made, and logged in, as needed.
func (i *Issuer) UserToken(name string, opts ...SubjectOption) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	s := subject{
		kind: "access", issuer: i.url, client: PortalID, audience: []string{ClientID},
		scope: "openid email profile", life: i.conf.lifespan,
	}
	for _, opt := range opts {
		opt(&s)
	}
	u := i.userNamed(name)
	login := u.login()
	scopes := strings.Fields(s.scope)
	token := ""
	switch s.kind {
	case "id":
		token = i.sealSubject(i.idDraft(u, s.client, login.id, s.life), s)
	case "refresh", "offline":
		g := &grant{id: newID(), user: u, client: s.client, scopes: scopes, session: login, lastUse: i.Clock.Now()}
		if s.kind == "offline" {
			g.offline, g.origin, g.session = true, g.session, nil
		}
		i.grants = append(i.grants, g)
		return i.newRefreshToken(g)
	default:
		audience := append(slices.Clone(s.audience), "account")
		d := i.accessDraft(u, s.client, login.id, audience, scopes, s.life)
		if p := i.conf.preset; p != nil {
			d.plain()
			p.access(i, &grant{user: u, client: s.client, scopes: scopes}, d)
		}
		token = i.sealSubject(d, s)
		if !s.forged {
			i.access[token] = &accessToken{
				user: u, client: s.client, audience: audience, scopes: scopes, session: login,
				offline: slices.Contains(scopes, "offline_access"), expiry: i.Clock.Now().Add(s.life),
			}
		}
	}
	i.saw(token)
	return token
}

func (i *Issuer) sealSubject(d *Draft, s subject) string {
	d.Claims["iss"] = s.issuer
	if s.life < 0 { // it was a usual one, once
		d.Claims["iat"] = i.Clock.Now().Add(s.life - i.conf.lifespan).Unix()
	}
	if s.forged {
		d.Sign = func(input []byte) []byte { return mustSign("RS256", attackerRSA(), input) }
	}
	return d.seal()
}
