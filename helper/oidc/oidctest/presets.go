package oidctest

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Presets are the products that an issuer can answer as.
func Presets() []Preset {
	return []Preset{indigoIAM(), adfs(), cilogon(), osdf(), entra(), okta(), google(), gitlab()}
}

const grantDevice = "urn:ietf:params:oauth:grant-type:device_code"

// always gives each login a refresh token: the client is registered for them.
func always(url.Values, []string) bool { return true }

// byScope gives a login with the scope offline_access one (OpenID Connect Core §11).
func byScope(_ url.Values, scopes []string) bool { return slices.Contains(scopes, "offline_access") }

// opaqueAccess has access tokens that only the issuer can read.
func opaqueAccess(prefix string) func(*Issuer, *grant, *Draft) {
	return func(_ *Issuer, _ *grant, d *Draft) {
		d.opaque = true
		d.Finish = func(token string) string { return prefix + token }
	}
}

// without is a key whose members are left out.
func without(names ...string) func(map[string]any) {
	return func(jwk map[string]any) {
		for _, name := range names {
			delete(jwk, name)
		}
	}
}

// setOnly leaves a token with the claims that all have, and these.
func (d *Draft) setOnly(claims map[string]any) {
	kept := map[string]any{}
	for _, name := range []string{"iss", "sub", "exp", "iat", "jti"} {
		kept[name] = d.Claims[name]
	}
	for name, value := range claims {
		kept[name] = value
	}
	d.Claims = kept
}

// indigoIAM is INDIGO IAM with the WLCG profile: a slash ends the issuer, keys name no
// algorithm, every reader is the audience, and refresh tokens are JWTs without a signature.
func indigoIAM() Preset {
	return Preset{
		Name: "INDIGO IAM", Revocation: true, path: "/",
		endpoints: map[string]string{
			"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/jwk", "revocation_endpoint": "/revoke",
			"introspection_endpoint": "/introspect", "userinfo_endpoint": "/userinfo", "device_authorization_endpoint": "/devicecode",
		},
		grants: []string{"authorization_code", "implicit", "refresh_token", "client_credentials", "password", grantExchange, grantDevice},
		scopes: []string{"openid", "profile", "email", "offline_access", "wlcg", "wlcg.groups", "storage.read:/", "storage.modify:/"},
		// The client's refresh tokens are used again, as is the default.
		options: []Option{Refresh(Same)},
		gives:   byScope, key: without("alg", "use"),
		access: func(i *Issuer, g *grant, d *Draft) {
			d.Header = map[string]any{"alg": d.key.alg, "kid": d.key.id}
			aud := any("https://wlcg.cern.ch/jwt/v1/any")
			if len(g.audience) > 0 && g.audience[0] != ClientID {
				aud = oneOrMany(g.audience) // asked for by an exchange
			}
			d.setOnly(map[string]any{
				"aud": aud, "wlcg.ver": "1.0", "nbf": i.Clock.Now().Unix(), "client_id": g.client,
				"scope": d.Claims["scope"], "wlcg.groups": []string{"/wlcg"},
			})
		},
		refresh: func(i *Issuer) string {
			claims, _ := json.Marshal(map[string]any{"jti": newID(), "exp": i.Clock.Now().Add(days(30)).Unix()})
			return b64([]byte(`{"alg":"none"}`)) + "." + b64(claims) + "."
		},
		// As its class TokenExchangeTokenGranter has it (github.com/indigo-iam/iam).
		exchange: &exchangeRules{
			issued:     "urn:ietf:params:oauth:token-type:jwt",
			unknown:    refusal{http.StatusBadRequest, "invalid_grant", "Invalid subject token: not found on database"},
			forbidden:  refusal{http.StatusForbidden, "access_denied", "Token exchange not allowed"},
			ownOffline: &refusal{http.StatusForbidden, "access_denied", "Token exchange not allowed: same client and offline_access requested"},
		},
		// Its framework's code for a token of any kind, with the token in the words.
		dead: refusal{http.StatusUnauthorized, "invalid_token", "Invalid refresh token: TOKEN"},
	}
}

// adfs is AD FS: access tokens are of another issuer and name the user by upn.
func adfs() Preset {
	return Preset{
		Name: "AD FS", path: "/adfs",
		endpoints: map[string]string{
			"authorization_endpoint": "/adfs/oauth2/authorize/", "token_endpoint": "/adfs/oauth2/token/", "jwks_uri": "/adfs/discovery/keys",
			"device_authorization_endpoint": "/adfs/oauth2/devicecode", "userinfo_endpoint": "/adfs/userinfo", "end_session_endpoint": "/adfs/oauth2/logout",
			"access_token_issuer": "/adfs/services/trust",
		},
		members: map[string]any{"microsoft_multi_refresh_token": true},
		grants:  []string{"authorization_code", "refresh_token", "client_credentials", "urn:ietf:params:oauth:grant-type:jwt-bearer", "implicit", "password", "srv_challenge", grantDevice, "device_code"},
		scopes:  []string{"logon_cert", "profile", "user_impersonation", "aza", "vpn_cert", "winhello_cert", "email", "allatclaims", "openid"},
		options: []Option{Refresh(Omit), OpaqueRefreshTokens()},
		gives:   always,
		access: func(i *Issuer, g *grant, d *Draft) {
			upn := g.user.name + "@corp.example"
			d.Claims["iss"] = i.base + "/adfs/services/trust"
			d.setOnly(map[string]any{
				"aud": "microsoft:identityserver:" + g.client, "appid": g.client, "apptype": "Confidential", "upn": upn, "unique_name": `CORP\` + g.user.name,
				"scp": strings.Join(g.scopes, " "), "ver": "1.0", "authmethod": "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport",
			})
			delete(d.Claims, "sub") // unless a rule issues it
			delete(d.Claims, "jti")
		},
		id: func(d *Draft) {
			d.setOnly(map[string]any{"aud": d.Claims["aud"], "auth_time": d.Claims["iat"], "upn": d.Claims["preferred_username"].(string) + "@corp.example"})
		},
		answer: func(_ *Issuer, g *grant, object map[string]any) {
			object["resource"] = "urn:microsoft:userinfo"
			if g.made == 0 { // the one refresh token comes with this answer
				object["refresh_token_expires_in"] = int(days(7).Seconds())
			}
		},
		dead: refusal{http.StatusUnauthorized, "invalid_grant", "MSIS9615: The refresh token received in 'refresh_token' parameter has expired."},
	}
}

// cilogon is CILogon, with opaque tokens that are addresses in its own encoding. Each
// refresh token serves once. Its published discovery document lists the client
// authentication post alone. Its exchange is that of its software, OA4MP: class
// OA2ATServlet (github.com/ncsa/oa4mp).
func cilogon() Preset {
	opaque := func(*Issuer) string { return "NB2HI4DTHIXS6" + randomText(64) }
	return Preset{
		Name: "CILogon", Revocation: true,
		endpoints: map[string]string{
			"authorization_endpoint": "/authorize", "token_endpoint": "/oauth2/token", "jwks_uri": "/oauth2/certs", "revocation_endpoint": "/oauth2/revoke",
			"introspection_endpoint": "/oauth2/introspect", "userinfo_endpoint": "/oauth2/userinfo", "device_authorization_endpoint": "/oauth2/device_authorization",
		},
		members: map[string]any{"token_endpoint_auth_methods_supported": []string{"client_secret_post"}},
		grants:  []string{"authorization_code", "refresh_token", grantExchange, grantDevice},
		scopes:  []string{"openid", "email", "profile", "org.cilogon.userinfo", "offline_access"},
		exchange: &exchangeRules{
			issued: typeAccessToken, bare: true,
			unknown:   refusal{http.StatusBadRequest, "invalid_grant", "no pending transaction found."},
			forbidden: refusal{http.StatusUnauthorized, "unauthorized_client", "client does not have permission to substitute, access denied"},
		},
		options: []Option{Refresh(Once)},
		gives:   byScope, refresh: opaque, access: opaqueAccess("NB2HI4DTHIXS6"),
		dead: refusal{http.StatusBadRequest, "invalid_grant", "invalid refresh token"},
	}
}

// osdf is the issuer of a data federation's origin: access tokens are SciTokens, whose
// audience is everybody and which name no client. The addresses are those of Pelican's own
// issuer (github.com/PelicanPlatform/pelican), the words those of its library, Ory Fosite.
func osdf() Preset {
	return Preset{
		Name: "OSDF", Revocation: true,
		endpoints: map[string]string{
			"authorization_endpoint": "/api/v1.0/issuer/authorize", "token_endpoint": "/api/v1.0/issuer/token", "jwks_uri": "/.well-known/issuer.jwks",
			"revocation_endpoint": "/api/v1.0/issuer/revoke", "userinfo_endpoint": "/api/v1.0/issuer/userinfo",
			"device_authorization_endpoint": "/api/v1.0/issuer/device_authorization",
		},
		grants:  []string{"refresh_token", grantDevice, "authorization_code"},
		scopes:  []string{"openid", "offline_access", "wlcg", "storage.read:/", "storage.modify:/", "storage.create:/"},
		options: []Option{Algorithm("ES256"), Refresh(Once), OpaqueRefreshTokens()},
		gives:   byScope,
		access: func(i *Issuer, _ *grant, d *Draft) {
			d.setOnly(map[string]any{"aud": "ANY", "ver": "scitoken:2.0", "nbf": i.Clock.Now().Unix(), "scope": d.Claims["scope"]})
		},
		dead: refusal{http.StatusBadRequest, "invalid_grant", "The provided authorization grant (e.g., authorization code, resource owner credentials) or refresh token is invalid, " +
			"expired, revoked, does not match the redirection URI used in the authorization request, or was issued to another client."},
	}
}

const entraTenant = "9b2f3c1e-7d44-4c0a-9a55-2f6f0c1d8e77"

// entra is Entra ID with access tokens for Microsoft Graph: another audience, the issuer of
// version 1, and a signature over another header than the one that is sent.
func entra() Preset {
	return Preset{
		Name: "Entra ID", path: "/" + entraTenant + "/v2.0",
		endpoints: map[string]string{
			"authorization_endpoint": "/" + entraTenant + "/oauth2/v2.0/authorize", "token_endpoint": "/" + entraTenant + "/oauth2/v2.0/token",
			"jwks_uri": "/" + entraTenant + "/discovery/v2.0/keys", "device_authorization_endpoint": "/" + entraTenant + "/oauth2/v2.0/devicecode",
			"end_session_endpoint": "/" + entraTenant + "/oauth2/v2.0/logout",
		},
		members: map[string]any{"tenant_region_scope": "EU", "cloud_instance_name": "microsoftonline.com", "msgraph_host": "graph.microsoft.com"},
		scopes:  []string{"openid", "profile", "email", "offline_access"},
		options: []Option{Refresh(Renew), OpaqueRefreshTokens()},
		gives:   byScope, key: without("alg"),
		access: func(_ *Issuer, g *grant, d *Draft) {
			nonce := randomText(43)
			d.Header["nonce"] = nonce
			d.Claims["iss"] = "https://sts.windows.net/" + entraTenant + "/"
			d.setOnly(map[string]any{
				"aud": "00000003-0000-0000-c000-000000000000", "appid": g.client, "tid": entraTenant, "ver": "1.0",
				"scp": "email openid profile User.Read", "upn": g.user.name + "@corp.example",
			})
			key := d.key
			d.Sign = func(input []byte) []byte {
				sum := sha256.Sum256([]byte(nonce)) // what the reader puts in the nonce's place
				head := map[string]any{"alg": key.alg, "typ": "JWT", "kid": key.id, "nonce": b64(sum[:])}
				_, payload, _ := strings.Cut(string(input), ".")
				return mustSign(key.alg, key.private, []byte(encode(head)+"."+payload))
			}
		},
		id: func(d *Draft) {
			d.setOnly(map[string]any{"aud": d.Claims["aud"], "preferred_username": d.Claims["email"], "tid": entraTenant, "ver": "2.0"})
		},
		answer: func(_ *Issuer, _ *grant, object map[string]any) {
			object["ext_expires_in"] = object["expires_in"]
			object["scope"] = "openid profile email User.Read" // the scope offline_access is never in it
		},
		dead: refusal{http.StatusBadRequest, "invalid_grant", "AADSTS700082: The refresh token has expired due to inactivity."},
	}
}

// okta is Okta's org server, whose access tokens are signed by a key that it does not
// publish, and have a type of its own. Each refresh token serves once. The discovery
// document is that which a customer's page shows, without its token exchange.
func okta() Preset {
	return Preset{
		Name: "Okta", Revocation: true,
		endpoints: map[string]string{
			"authorization_endpoint": "/oauth2/v1/authorize", "token_endpoint": "/oauth2/v1/token", "jwks_uri": "/oauth2/v1/keys",
			"revocation_endpoint": "/oauth2/v1/revoke", "introspection_endpoint": "/oauth2/v1/introspect", "userinfo_endpoint": "/oauth2/v1/userinfo",
			"device_authorization_endpoint": "/oauth2/v1/device/authorize", "end_session_endpoint": "/oauth2/v1/logout",
		},
		grants:  []string{"authorization_code", "implicit", "refresh_token", "password", grantDevice},
		scopes:  []string{"openid", "profile", "email", "address", "phone", "offline_access", "groups"},
		options: []Option{Refresh(Once), OpaqueRefreshTokens()},
		gives:   byScope,
		access: func(i *Issuer, g *grant, d *Draft) {
			d.Header = map[string]any{"alg": "RS256", "kid": "org-" + d.key.id[:8], "typ": "application/okta-internal-at+jwt"}
			d.setOnly(map[string]any{"aud": i.url, "cid": g.client, "uid": g.user.sub, "ver": 1, "scp": g.scopes, "sub": g.user.name + "@corp.example"})
			d.Sign = func(input []byte) []byte { return mustSign("RS256", attackerRSA(), input) }
		},
		dead: refusal{http.StatusBadRequest, "invalid_grant", "The refresh token is invalid or expired."},
	}
}

// google is Google: opaque access tokens, a refresh token by a parameter of the login, and
// scopes that are answered by their long names.
func google() Preset {
	return Preset{
		Name: "Google", Revocation: true,
		endpoints: map[string]string{
			"authorization_endpoint": "/o/oauth2/v2/auth", "token_endpoint": "/token", "jwks_uri": "/oauth2/v3/certs", "revocation_endpoint": "/revoke",
			"userinfo_endpoint": "/v1/userinfo", "device_authorization_endpoint": "/device/code",
		},
		grants:  []string{"authorization_code", "refresh_token", grantDevice, "urn:ietf:params:oauth:grant-type:jwt-bearer"},
		scopes:  []string{"openid", "email", "profile"},
		options: []Option{Refresh(Omit)},
		gives:   func(asked url.Values, _ []string) bool { return asked.Get("access_type") == "offline" },
		refresh: func(*Issuer) string { return "1//0" + randomText(64) },
		access:  opaqueAccess("ya29."),
		answer: func(_ *Issuer, g *grant, object map[string]any) {
			long := slices.Clone(g.scopes)
			for n, scope := range long {
				if scope != "openid" {
					long[n] = "https://www.googleapis.com/auth/userinfo." + scope
				}
			}
			object["scope"] = strings.Join(long, " ")
		},
		dead: refusal{http.StatusBadRequest, "invalid_grant", "Token has been expired or revoked."},
	}
}

// gitlab is GitLab: opaque tokens, and a refresh token for each login, which serves once.
func gitlab() Preset {
	return Preset{
		Name: "GitLab", Revocation: true,
		endpoints: map[string]string{
			"authorization_endpoint": "/oauth/authorize", "token_endpoint": "/oauth/token", "jwks_uri": "/oauth/discovery/keys",
			"revocation_endpoint": "/oauth/revoke", "introspection_endpoint": "/oauth/introspect", "userinfo_endpoint": "/oauth/userinfo",
		},
		grants:  []string{"authorization_code", "password", "client_credentials", "refresh_token"},
		scopes:  []string{"api", "read_api", "read_user", "openid", "profile", "email"},
		options: []Option{Refresh(Once), OpaqueRefreshTokens()},
		gives:   always, access: opaqueAccess(""),
		answer: func(i *Issuer, _ *grant, object map[string]any) { object["created_at"] = i.Clock.Now().Unix() },
		dead: refusal{http.StatusBadRequest, "invalid_grant", "The provided authorization grant is invalid, expired, revoked, " +
			"does not match the redirection URI used in the authorization request, or was issued to another client."},
	}
}
