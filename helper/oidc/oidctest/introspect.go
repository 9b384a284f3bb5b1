package oidctest

import "net/http"

// An Introspection is how a server answers whether a token is active (RFC 7662).
type Introspection int

const (
	// Introspection26 is Keycloak 26's: without token_type_hint every refresh token is
	// inactive.
	Introspection26 Introspection = iota
	// Introspection18 is Keycloak 18's: 400 for the refresh token of an ended session.
	Introspection18
	// IntrospectionRefused answers 403 to every client.
	IntrospectionRefused
	// IntrospectionNone names no endpoint.
	IntrospectionNone
)

// Introspects sets how the issuer introspects; Introspection26 if not given.
func Introspects(how Introspection) Option { return func(c *config) { c.introspection = how } }

// serveIntrospection is RFC 7662's endpoint, which spends nothing.
func (c *Call) serveIntrospection() Answer {
	if a := c.checkForm("token", "token_type_hint"); a != nil {
		return *a
	}
	client, refused := c.authenticate()
	if refused != nil {
		return *refused
	}
	i := c.Issuer
	i.mu.Lock()
	how := i.conf.introspection
	t := i.refresh[c.Form.Get("token")]
	access := i.access[c.Form.Get("token")]
	known := t != nil && i.refreshable(t, client) == nil
	active := known && !i.isSpent(t)
	if t == nil && access != nil {
		active = !access.revoked && i.Clock.Now().Before(access.expiry)
	}
	preset := i.conf.preset != nil
	i.mu.Unlock()
	switch {
	case client == PortalID, how == IntrospectionRefused:
		return c.fail(http.StatusForbidden, "access_denied", "Client not allowed.")
	case how == IntrospectionNone:
		return c.fail(http.StatusNotFound, "HTTP 404 Not Found", "")
	case how == Introspection18 && t != nil && !known:
		return c.fail(http.StatusBadRequest, "invalid_request", "Failed to introspect token.")
	case how == Introspection26 && !preset && t != nil && c.Form.Get("token_type_hint") != "refresh_token":
		active = false
	}
	object := map[string]any{"active": active}
	if active && t != nil {
		object["client_id"], object["sub"], object["typ"] = t.grant.client, t.grant.user.sub, "Refresh"
		if t.grant.offline {
			object["typ"] = "Offline"
		}
	}
	return c.json(http.StatusOK, object)
}

// isSpent reports whether a token, or a later one of its grant, was used where each
// serves once. The caller holds mu.
func (i *Issuer) isSpent(t *refreshToken) bool {
	return (i.conf.rotation == Revoke || i.conf.rotation == Once) && t.grant.current != nil && t.number <= t.grant.current.number
}
