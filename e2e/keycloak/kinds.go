package keycloak

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"

	"github.com/terradue/t2-cred/e2e/ledger"
)

// Kind is a behaviour of the server, and the name of the shared realm that has it.
type Kind string

// The kinds.
const (
	// Legacy exchanges by the legacy (V1) rules; offline_access, ellip and gep are
	// DEFAULT scopes of the client, so an exchange gives an offline token.
	Legacy Kind = "legacy"
	// LegacyOptional has them as OPTIONAL scopes: unless the user's token has
	// offline_access too, the server quietly gives an online token.
	LegacyOptional Kind = "legacy-optional"
	// Standard has the standard (V2) exchange switched on, with refresh tokens of
	// the same session allowed, and OPTIONAL scopes: no offline token is to be had.
	Standard Kind = "standard"
	// StandardDefault is Standard with offline_access as a DEFAULT scope of the
	// client: a refresh token is refused even to one who did not ask for it.
	StandardDefault Kind = "standard-default"
	// StandardNoMapper is Standard without the audience mapper on the client
	// itself, so that its own id is no audience to ask for.
	StandardNoMapper Kind = "standard-no-mapper"
	// Rotation is Legacy with Revoke Refresh Token on and no reuse: a refresh token
	// spent twice kills the grant.
	Rotation Kind = "rotation"
)

// About tells in a line what an exchange gives in a realm of this kind.
func (k Kind) About() string {
	switch k {
	case Legacy:
		return "legacy exchange, offline_access a default scope: an offline token"
	case LegacyOptional:
		return "legacy exchange, offline_access an optional scope: quietly an online token"
	case Standard:
		return "standard exchange: no refresh token, or an online one when asked for"
	case StandardDefault:
		return "standard exchange, offline_access a default scope: never a refresh token"
	case StandardNoMapper:
		return "standard exchange, no audience mapper: the client's own id is refused as audience"
	case Rotation:
		return "as legacy, and each refresh token is good for one use"
	}
	return ""
}

// The clients of every realm.
const (
	ClientID = "ellip-test-ades" // confidential, the application: what t2-cred acts as
	PortalID = "portal"          // public, where the users log in
)

// Scopes that the seed asks for, in its order.
const Scopes = "openid email profile offline_access ellip gep"

func (k Kind) standard() bool {
	return k == Standard || k == StandardDefault || k == StandardNoMapper
}

// optional tells whether offline_access, ellip and gep are given only if asked for.
func (k Kind) optional() bool {
	return k == LegacyOptional || k == Standard || k == StandardNoMapper
}

// object is a piece of a Keycloak representation.
type object = map[string]any

// create makes a realm of this kind.
func (s *Server) create(ctx context.Context, k Kind, name string) (*state, error) {
	st := &state{name: name, kind: k, secret: rand.Text(), users: map[string]*user{}}
	s.opts.Ledger.Add(ledger.Client, st.secret)
	if err := s.makeRealm(ctx, name, object{
		"realm":         name,
		"enabled":       true,
		"eventsEnabled": true,
		// By default a refresh is not recorded.
		"enabledEventTypes": []string{
			"LOGIN", "LOGIN_ERROR", "LOGOUT", "LOGOUT_ERROR", "REFRESH_TOKEN", "REFRESH_TOKEN_ERROR",
			"TOKEN_EXCHANGE", "TOKEN_EXCHANGE_ERROR", "REVOKE_GRANT", "REVOKE_GRANT_ERROR",
			"CODE_TO_TOKEN", "CODE_TO_TOKEN_ERROR", "OAUTH2_DEVICE_AUTH", "OAUTH2_DEVICE_AUTH_ERROR",
			"OAUTH2_DEVICE_CODE_TO_TOKEN", "OAUTH2_DEVICE_CODE_TO_TOKEN_ERROR",
		},
		"revokeRefreshToken":   k == Rotation,
		"refreshTokenMaxReuse": 0,
	}); err != nil {
		return nil, err
	}
	for _, scope := range []string{"ellip", "gep"} {
		if _, err := s.admin.do(ctx, http.MethodPost, "/"+name+"/client-scopes", object{
			"name": scope, "protocol": "openid-connect",
			"attributes": object{"include.in.token.scope": "true"},
		}, nil); err != nil {
			return nil, err
		}
	}
	for _, client := range []object{s.opts.Version.application(k, st.secret), s.opts.Version.portal()} {
		if _, err := s.admin.do(ctx, http.MethodPost, "/"+name+"/clients", client, nil); err != nil {
			return nil, err
		}
	}
	for _, u := range []string{"alice", "bob"} {
		if err := s.addUser(ctx, st, u); err != nil {
			return nil, err
		}
	}
	return st, nil
}

// makeRealm tries it again: on a busy machine Keycloak's own transaction times out now
// and then.
func (s *Server) makeRealm(ctx context.Context, name string, realm object) (err error) {
	for range 3 {
		if _, err = s.admin.do(ctx, http.MethodPost, "", realm, nil); err == nil {
			return nil
		}
		_, _ = s.admin.do(ctx, http.MethodDelete, "/"+name, nil, nil) // it may be half there
	}
	return err
}

// base are the default scopes that every client has. What basic gives, an older server
// puts into each token.
func (v Version) base() []string {
	scopes := []string{"acr", "profile", "email", "roles", "web-origins"}
	if v == Version26 {
		scopes = append(scopes, "basic")
	}
	return scopes
}

func (v Version) application(k Kind, secret string) object {
	def, opt := v.base(), []string{"offline_access", "ellip", "gep"}
	if !k.optional() {
		def, opt = append(def, opt...), nil
	}
	c := object{
		"clientId":             ClientID,
		"protocol":             "openid-connect",
		"publicClient":         false,
		"secret":               secret,
		"standardFlowEnabled":  true,
		"redirectUris":         []string{"http://127.0.0.1/*"},
		"defaultClientScopes":  def,
		"optionalClientScopes": opt,
		"attributes": object{
			"oauth2.device.authorization.grant.enabled":               "true",
			"standard.token.exchange.enabled":                         fmt.Sprint(k.standard()),
			"standard.token.exchange.enableRefreshRequestedTokenType": map[bool]string{true: "SAME_SESSION", false: "NO"}[k.standard()],
			"client.use.lightweight.access.token.enabled":             "false",
			"access.token.header.type.rfc9068":                        "false",
			"post.logout.redirect.uris":                               "+",
		},
	}
	if k.standard() && k != StandardNoMapper {
		c["protocolMappers"] = []object{audience()}
	}
	return c
}

func (v Version) portal() object {
	return object{
		"clientId":                  PortalID,
		"protocol":                  "openid-connect",
		"publicClient":              true,
		"directAccessGrantsEnabled": true,
		"defaultClientScopes":       v.base(),
		"optionalClientScopes":      []string{"offline_access", "ellip", "gep"},
		"protocolMappers":           []object{audience()},
	}
}

// audience puts the application into the `aud` of a client's access tokens.
func audience() object {
	return object{
		"name": "audience-" + ClientID, "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper",
		"config": object{"included.client.audience": ClientID, "access.token.claim": "true", "id.token.claim": "false"},
	}
}
