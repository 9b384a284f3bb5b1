package oidc

import "strings"

// A remedy is what to do about a refusal that is known. It is matched on the
// error code and on a part of the description, without regard to case, since
// the words differ from version to version; the first match counts.
type remedy struct {
	op, code, words string // empty: any
	do              string
	refusal         bool // the issuer is unwilling although its status says broken
}

const (
	askAdmin   = "ask the issuer's admin: "
	newSubject = "get a new access token for the user and exchange that one"
)

// remedies are Keycloak's refusals as seen live on 26.7.3 and read in its
// history, and the RFCs' own codes behind them.
var remedies = []remedy{
	{op: "exchange", words: "scope offline_access not allowed for token exchange", do: askAdmin + "Keycloak's standard token exchange never gives offline tokens; switch it off for this client so that the legacy exchange (feature token-exchange) answers, or use t2-cred login, which needs no exchange"},
	{op: "exchange", words: "creating a new session is needed", do: "the user's token comes from an offline or transient session; log the user in again without offline_access and exchange that token"},
	{op: "exchange", words: "requested_token_type unsupported", do: askAdmin + "set \"Allow refresh token in Standard Token Exchange\" to \"Same session\" on this client"},
	{op: "exchange", words: "standard token exchange is not enabled", do: askAdmin + "switch on \"Standard token exchange\" for this client, or enable the feature token-exchange on the server"},
	{op: "exchange", words: "supports access tokens only", do: "that is not an access token (an ID or refresh token?); " + newSubject},
	{op: "exchange", words: "must be access token", do: "that is not an access token (an ID or refresh token?); " + newSubject},
	{op: "exchange", code: "invalid_request", words: "invalid token", do: "the user's token has expired, its session has ended, the user is disabled, or it comes from another realm; " + newSubject},
	{op: "exchange", words: "not within the token audience", do: askAdmin + "add an audience mapper that puts this client's id into the access tokens of the client where the user logs in"},
	{op: "exchange", words: "client not allowed to exchange", do: askAdmin + "give this client the token-exchange permission (legacy exchange, fine-grained admin permissions v1)"},
	{op: "exchange", words: "not the holder of the token", do: askAdmin + "the legacy exchange needs a confidential client; switch on client authentication for this client"},
	{op: "exchange", words: "audience not found", do: "check the profile's audience: the issuer knows no client of that name"},
	{op: "exchange", words: "requested audience not available", do: askAdmin + "add an audience mapper for that audience to this client's own scopes (standard exchange only filters, it never adds), or take the audience out of the profile"},
	{op: "exchange", words: "requires user consent", do: askAdmin + "switch consent off for this client; an exchange cannot ask the user"},
	{op: "exchange", words: "missing consents", do: "the user must log in to this client once and consent (t2-cred login), or the admin switches consent off"},
	{op: "exchange", words: "public client is not allowed", do: askAdmin + "an exchange needs a confidential client; switch on client authentication for this client"},
	{op: "exchange", words: "no token exchange provider available", do: askAdmin + "no exchange on this server takes the request: enable the feature token-exchange, or \"Standard token exchange\" on this client", refusal: true},
	{op: "login", words: "flow is disabled for the client", do: askAdmin + "switch on \"OAuth 2.0 Device Authorization Grant\" for this client, or log in with --browser"},
	{op: "login", code: "access_denied", do: "the login was denied at the issuer; t2-cred login starts another one"},
	{op: "login", code: "expired_token", do: "the code has expired; t2-cred login shows a new one"},
	{words: "offline tokens not allowed", do: askAdmin + "the user needs the realm role offline_access and this client the scope offline_access"},
	{code: "invalid_scope", do: "take the scope out of the profile, or " + askAdmin + "add it to this client"},
	{words: "invalid method used to get client secret", do: "add the profile anew with the other --client-auth (basic or post), or without any: then the one that the issuer takes is found out"},
	{words: "invalid signature algorithm", do: "the issuer wants another algorithm of this client: give its key as a JWK that names it as alg, or " + askAdmin + "which one"},
	{code: "unauthorized_client", words: "invalid client", do: "the client id or its secret is wrong, or the secret was rotated: t2-cred profile set-secret"},
	{code: "invalid_client", do: "the client id or its secret is wrong, or the secret was rotated: t2-cred profile set-secret"},
	{op: "refresh", words: "grant type is not allowed", do: askAdmin + "allow this client refresh tokens (the grant refresh_token)"},
	{op: "refresh", code: "unauthorized_client", do: askAdmin + "allow this client refresh tokens (the grant refresh_token)"},
	{op: "exchange", code: "unauthorized_client", do: askAdmin + "allow this client the token-exchange grant"},
	{op: "exchange", code: "unsupported_grant_type", do: askAdmin + "the server has no token exchange (Keycloak: feature token-exchange, or 26.2 and later with the client's switch on); or use t2-cred login, which needs none"},
	{op: "exchange", code: "invalid_target", do: "check the profile's audience; the issuer does not give tokens for it"},
	{op: "exchange", code: "access_denied", do: askAdmin + "may this client exchange this user's token?"},
	{op: "exchange", code: "invalid_grant", do: newSubject},
	{words: "duplicated parameter", do: "this issuer takes one audience only; leave one in the profile"},
}

func (e *Error) remedy() *remedy {
	words, code := strings.ToLower(e.Description), strings.ToLower(e.Code)
	for n := range remedies {
		r := &remedies[n]
		if (r.op == "" || r.op == e.Op) && (r.code == "" || r.code == code) && strings.Contains(words, r.words) {
			return r
		}
	}
	return nil
}
