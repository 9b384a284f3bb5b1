package oidctest

import (
	"net/url"
	"slices"
	"strings"
)

// exchangeGrant is token exchange (RFC 8693 §2) as Keycloak 26.7.3 has it, in
// its two kinds.
func (i *Issuer) exchangeGrant(client string, form url.Values) (*issued, *refusal) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if p := i.conf.preset; p != nil && p.exchange != nil {
		return p.exchanged(i, client, form)
	}
	switch i.conf.mode {
	case FeatureOff:
		return nil, refuse("unsupported_grant_type", "Unsupported grant_type")
	case SwitchOff:
		return nil, refuse("invalid_request", "Standard token exchange is not enabled for the requested client")
	case Standard, StandardNoRefresh:
		return i.standardExchange(client, form)
	}
	return i.legacyExchange(client, form)
}

// subjectOf looks at the subject token, as both kinds do. The caller holds mu.
func (i *Issuer) subjectOf(form url.Values) (*accessToken, *refusal) {
	t := i.access[form.Get("subject_token")]
	switch {
	case t == nil, t.revoked, t.user.disabled, !i.Clock.Now().Before(t.expiry), t.session != nil && t.session.ended:
		return nil, refuse("invalid_request", "Invalid token")
	}
	return t, nil
}

// audienceOf checks that the audiences asked for are clients. The caller holds mu.
func (i *Issuer) audienceOf(form url.Values) *refusal {
	for _, aud := range form["audience"] {
		if aud != ClientID && aud != PortalID && aud != "account" {
			return refuse("invalid_client", "Audience not found")
		}
	}
	return nil
}

// knownScopes are the issuer's, in Keycloak's order.
var knownScopes = []string{"openid", "email", "profile", "offline_access", "ellip", "gep"}

// scopesOf are the scopes granted, in Keycloak's order: those the client has by
// default and those asked for that it may have. Unknown ones are left out.
func scopesOf(asked, byDefault, optional []string) []string {
	var granted []string
	for _, s := range knownScopes {
		if slices.Contains(byDefault, s) || slices.Contains(optional, s) && slices.Contains(asked, s) {
			granted = append(granted, s)
		}
	}
	return granted
}

// legacyExchange is what the feature token-exchange gives. The caller holds mu.
func (i *Issuer) legacyExchange(client string, form url.Values) (*issued, *refusal) {
	if t := form.Get("subject_token_type"); t != "" && t != typeAccessToken {
		return nil, refuse("invalid_request", "Invalid token type, must be access token")
	}
	subject, no := i.subjectOf(form)
	if no != nil {
		return nil, no
	}
	requested := form.Get("requested_token_type")
	if requested != "" && requested != typeRefreshToken && requested != typeAccessToken {
		return nil, refuse("invalid_request", "requested_token_type unsupported")
	}
	if no := i.audienceOf(form); no != nil {
		return nil, no
	}
	target := client
	if form.Has("audience") {
		target = form.Get("audience") // of several, it takes the first
	}
	switch {
	case client == PortalID && subject.client != client:
		return nil, forbid("Client is not the holder of the token")
	case target == client && client != PortalID && subject.client != client && !slices.Contains(subject.audience, client):
		return nil, forbid("Client is not within the token audience")
	case target != client, i.conf.mode == LegacyForbidden:
		return nil, forbid("Client not allowed to exchange")
	}

	byDefault, asked := []string{"email", "profile"}, subject.scopes
	if i.conf.mode == LegacyOffline {
		byDefault = []string{"email", "profile", "offline_access", "ellip", "gep"}
	}
	if form.Has("scope") {
		// Only what both the request and the subject token have is granted: the
		// silent trap (Keycloak issues 29614, 33140).
		asked = slices.DeleteFunc(strings.Fields(form.Get("scope")), func(s string) bool {
			return !slices.Contains(subject.scopes, s)
		})
	}
	g := &grant{
		id: newID(), user: subject.user, client: client, lastUse: i.Clock.Now(),
		scopes:   scopesOf(asked, byDefault, []string{"openid", "offline_access", "ellip", "gep"}),
		audience: i.audienceFor(form),
		session:  subject.session,
	}
	if g.has("offline_access") {
		g.offline, g.origin, g.session = true, g.session, nil
	}
	out := i.answerFor(g, g.scopes)
	out.object["issued_token_type"] = typeAccessToken
	if requested != typeAccessToken {
		i.grants = append(i.grants, g)
		i.withRefreshToken(out, g, i.newRefreshToken(g))
		out.object["issued_token_type"] = typeRefreshToken
	}
	return out, nil
}

// audienceFor is the aud of the new token. The caller holds mu.
func (i *Issuer) audienceFor(form url.Values) []string {
	audience := slices.Clone(form["audience"])
	if !slices.Contains(audience, "account") {
		audience = append(audience, "account")
	}
	return audience
}

// filtered is the aud of the standard exchange: of what the client's tokens are for, that
// which is asked for. The caller holds mu.
func (i *Issuer) filtered(form url.Values) []string {
	if form.Has("audience") {
		return slices.Clone(form["audience"])
	}
	if i.conf.noMapper {
		return []string{"account"}
	}
	return []string{ClientID, "account"}
}

// standardExchange is what Keycloak has by default since 26.2. The caller holds
// mu.
func (i *Issuer) standardExchange(client string, form url.Values) (*issued, *refusal) {
	switch t := form.Get("subject_token_type"); {
	case !form.Has("subject_token"):
		return nil, refuse("invalid_request", "Parameter 'subject_token' required for standard token exchange")
	case t == "":
		return nil, refuse("invalid_request", "Parameter 'subject_token_type' required for standard token exchange")
	case t != typeAccessToken:
		return nil, refuse("invalid_request", "Parameter 'subject_token' supports access tokens only")
	}
	subject, no := i.subjectOf(form)
	if no != nil {
		return nil, no
	}
	requested := form.Get("requested_token_type")
	switch {
	case requested == "", requested == typeAccessToken:
	case requested == typeRefreshToken && i.conf.mode == Standard:
	default:
		return nil, refuse("invalid_request", "requested_token_type unsupported")
	}
	if no := i.audienceOf(form); no != nil {
		return nil, no
	}
	switch {
	case client == PortalID:
		return nil, refuse("invalid_client", "Public client is not allowed to exchange token")
	case subject.client != client && !slices.Contains(subject.audience, client):
		return nil, forbid("Client is not within the token audience")
	}
	asked := strings.Fields(form.Get("scope"))
	if slices.ContainsFunc(asked, func(s string) bool { return !slices.Contains(knownScopes, s) }) {
		return nil, refuse("invalid_scope", "Invalid scopes: "+form.Get("scope"))
	}
	scopes := scopesOf(asked, []string{"email", "profile"}, []string{"openid", "offline_access", "ellip", "gep"})
	if requested == typeRefreshToken {
		switch {
		case subject.offline:
			return nil, refuse("invalid_request", "Refresh token not valid as requested_token_type because creating a new session is needed")
		case slices.Contains(scopes, "offline_access"):
			return nil, refuse("invalid_request", "Scope offline_access not allowed for token exchange")
		}
	}
	for _, aud := range form["audience"] {
		if aud == PortalID || aud == ClientID && i.conf.noMapper {
			return nil, refuse("invalid_request", "Requested audience not available: "+aud)
		}
	}
	g := &grant{
		id: newID(), user: subject.user, client: client, scopes: scopes,
		audience: i.filtered(form), session: subject.session, lastUse: i.Clock.Now(),
	}
	out := i.answerFor(g, scopes)
	out.object["issued_token_type"] = typeAccessToken
	if requested == typeRefreshToken {
		i.grants = append(i.grants, g)
		i.withRefreshToken(out, g, i.newRefreshToken(g))
		out.object["issued_token_type"] = typeRefreshToken
	}
	return out, nil
}
