package oidctest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// refreshGrant spends a refresh token (RFC 6749 §6), with Keycloak's words for
// each way in which it cannot be.
func (i *Issuer) refreshGrant(client string, form url.Values) (*issued, *refusal) {
	i.mu.Lock()
	defer i.mu.Unlock()
	out, no := i.refreshed(client, form)
	if p := i.conf.preset; p != nil && no != nil {
		no = p.refused(no, form.Get("refresh_token"))
	}
	return out, no
}

// refreshed is a refresh in Keycloak's words. The caller holds mu.
func (i *Issuer) refreshed(client string, form url.Values) (*issued, *refusal) {
	sent := form.Get("refresh_token")
	if sent == "" {
		return nil, refuse("invalid_request", "No refresh token")
	}
	t := i.refresh[sent]
	if t == nil {
		return nil, refuse("invalid_grant", "Invalid refresh token")
	}
	if no := i.refreshable(t, client); no != nil {
		return nil, no
	}
	g := t.grant
	scopes := g.scopes
	if form.Has("scope") {
		scopes = strings.Fields(form.Get("scope"))
		for _, s := range scopes {
			if !slices.Contains(g.scopes, s) {
				return nil, refuse("invalid_scope", "Invalid scopes: "+form.Get("scope"))
			}
		}
	}
	if i.conf.rotation == Revoke {
		if no := g.spend(t); no != nil {
			return nil, no
		}
	}
	if i.conf.rotation == Once {
		if i.isSpent(t) {
			return nil, refuse("invalid_grant", "Stale token")
		}
		g.current = t
	}
	g.lastUse = i.Clock.Now()
	i.spent++
	out := i.answerFor(g, scopes)
	switch i.conf.rotation {
	case Omit:
	case Same:
		i.withRefreshToken(out, g, sent)
	default:
		i.withRefreshToken(out, g, i.newRefreshToken(g))
	}
	return out, nil
}

// refreshable checks all but reuse. The caller holds mu.
func (i *Issuer) refreshable(t *refreshToken, client string) *refusal {
	g, now := t.grant, i.Clock.Now()
	switch {
	case g.client != client:
		return refuse("invalid_grant", "Invalid refresh token. Token client and authorized client don't match")
	case !t.expiry.IsZero() && !now.Before(t.expiry):
		return refuse("invalid_grant", "Token is not active")
	case g.revoked && g.offline:
		return refuse("invalid_grant", "Offline user session not found")
	case g.revoked, g.session != nil && g.session.ended:
		return refuse("invalid_grant", "Session not active")
	case g.offline && now.Sub(g.lastUse) >= i.conf.offlineIdle:
		return refuse("invalid_grant", "Offline session not active")
	case g.user.disabled:
		return refuse("invalid_grant", "User disabled")
	case g.detached:
		return refuse("invalid_grant", "Session doesn't have required client")
	}
	return nil
}

// spend is Keycloak's "Revoke Refresh Token" with reuse 0. A second use detaches
// the client from the session, and so ends the grant for its holder too.
func (g *grant) spend(t *refreshToken) *refusal {
	switch {
	case g.current == t:
		g.detached = true
		return refuse("invalid_grant", "Maximum allowed refresh token reuse exceeded")
	case g.current != nil && t.number < g.current.number:
		g.detached = true
		return refuse("invalid_grant", "Stale token")
	}
	g.current = t
	return nil
}

// serveRevocation is RFC 7009's endpoint, with Keycloak's answers: a token that
// it does not know is answered 200, but with an error in the body.
func (c *Call) serveRevocation() Answer {
	if a := c.checkForm("token", "token_type_hint"); a != nil {
		return *a
	}
	client, refused := c.authenticate()
	if refused != nil {
		return *refused
	}
	sent := c.Form.Get("token")
	if sent == "" {
		return c.fail(http.StatusBadRequest, "invalid_request", "Token not provided")
	}
	i := c.Issuer
	i.mu.Lock()
	refresh, access := i.refresh[sent], i.access[sent]
	code, words := "", ""
	switch {
	case refresh == nil && access == nil, refresh != nil && !refresh.grant.alive():
		code, words = "invalid_token", "Invalid token"
	case refresh != nil && refresh.grant.client != client, access != nil && access.client != client:
		code, words = "invalid_request", "Unmatching clients"
	case refresh != nil:
		refresh.grant.revoked = true
	default:
		access.revoked = true
	}
	i.mu.Unlock()
	if i.conf.preset != nil && code == "invalid_token" {
		code = "" // RFC 7009 §2.2: a token that is not known is no error
	}
	switch code {
	case "invalid_token":
		return c.fail(http.StatusOK, code, words)
	case "invalid_request":
		return c.fail(http.StatusBadRequest, code, words)
	}
	return Answer{Status: http.StatusOK, Header: http.Header{"Cache-Control": {"no-store"}}}
}
