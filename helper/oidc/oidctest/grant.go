package oidctest

import (
	"slices"
	"time"
)

// A user is a person at the issuer.
type user struct {
	name     string
	sub      string
	disabled bool
	session  *session // the running SSO session, if any
}

// A session is one login of a user.
type session struct {
	id    string
	ended bool
}

// A grant is what a client was given for a user: what its refresh tokens are
// tied to.
type grant struct {
	id       string
	user     *user
	client   string
	scopes   []string
	audience []string
	session  *session // of an online grant
	origin   *session // of an offline grant, the login it came from
	offline  bool
	revoked  bool // the whole session is gone
	detached bool // the client is gone from the session
	lastUse  time.Time
	current  *refreshToken // the one spent last
	made     int           // refresh tokens made so far
}

// A refreshToken is one that was handed out.
type refreshToken struct {
	grant  *grant
	id     string
	number int       // among the grant's
	expiry time.Time // zero for an offline one
}

// An accessToken is one that was handed out, to whomever.
type accessToken struct {
	user     *user
	client   string // azp
	audience []string
	scopes   []string
	session  *session // nil when it came from an offline grant
	offline  bool     // the session is an offline one
	expiry   time.Time
	revoked  bool
}

// userNamed finds or makes a user. The caller holds mu.
func (i *Issuer) userNamed(name string) *user {
	u := i.users[name]
	if u == nil {
		u = &user{name: name, sub: namedID(name)}
		i.users[name] = u
	}
	return u
}

// login returns the user's SSO session, a new one if there is none. The caller
// holds mu.
func (u *user) login() *session {
	if u.session == nil || u.session.ended {
		u.session = &session{id: newID()}
	}
	return u.session
}

// Sub is a user's subject: the sub of all tokens for them.
func (i *Issuer) Sub(name string) string { return namedID(name) }

// Disable switches a user off, and Enable on again.
func (i *Issuer) Disable(name string) { i.setDisabled(name, true) }

// Enable undoes Disable.
func (i *Issuer) Enable(name string) { i.setDisabled(name, false) }

func (i *Issuer) setDisabled(name string, v bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.userNamed(name).disabled = v
}

// Logout ends a user's SSO session, and with it what hangs on it: the access
// tokens got in it and online refresh tokens. Offline tokens live on.
func (i *Issuer) Logout(name string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if s := i.userNamed(name).session; s != nil {
		s.ended = true
	}
}

// EndGrants revokes all that clients were given for a user, as an administrator
// can: the next refresh is answered with "Offline user session not found". It
// returns how many grants were ended.
func (i *Issuer) EndGrants(name string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := 0
	for _, g := range i.grants {
		if g.user.name == name && g.alive() {
			g.revoked = true
			n++
		}
	}
	return n
}

// Grants is how many grants of a user can still be refreshed.
func (i *Issuer) Grants(name string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := 0
	for _, g := range i.grants {
		if g.user.name == name && g.alive() {
			n++
		}
	}
	return n
}

func (g *grant) alive() bool {
	return !g.revoked && !g.detached && (g.session == nil || !g.session.ended)
}

func (g *grant) has(scope string) bool { return slices.Contains(g.scopes, scope) }

// sid is the session's id, as in the claim. Keycloak gives an offline session the id
// of the login that it came from.
func (g *grant) sid() string {
	for _, s := range []*session{g.session, g.origin} {
		if s != nil {
			return s.id
		}
	}
	return g.id
}
