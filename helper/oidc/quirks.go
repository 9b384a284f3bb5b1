package oidc

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// This file says what a server's answer means. What a person is told about it is in
// remedy.go, and no word of that has a part in the meaning.

// A Meaning is what a refusal says about what was asked, whatever its words.
type Meaning int

// Meanings of an [Error].
const (
	// MeansRefused: the issuer is unwilling for a reason of its own, such as a scope,
	// an audience, or a client that may not exchange.
	MeansRefused Meaning = iota
	// MeansGrantEnded: the refresh token is refused for good. The user has to come back.
	MeansGrantEnded
	// MeansClientRefused: the client or its proof is refused, before the issuer looked
	// at the grant.
	MeansClientRefused
	// MeansUserTokenRefused: the token that was brought to an exchange is refused.
	MeansUserTokenRefused
	// MeansPending: the user has not decided yet (RFC 8628 §3.5).
	MeansPending
	// MeansTemporary: nothing was decided. Try later.
	MeansTemporary
)

// A Product is a server's software, known by what it says of itself. It is empty when
// it is not known; then the codes of the RFCs count.
type Product string

// Products whose answers differ from the RFCs'.
const (
	Keycloak Product = "Keycloak"
	Dex      Product = "Dex"
	Spring   Product = "Spring Authorization Server"
	UAA      Product = "UAA"
	// OIDCProvider is node's oidc-provider, and what is built on it.
	OIDCProvider Product = "oidc-provider"
	// Entra is Microsoft's, with B2C. It lists no grants and has no token exchange.
	Entra Product = "Entra ID"
)

// NarrowsAtRefresh reports whether this product was tested to narrow at a refresh (RFC
// 6749 §6): the access token has the scopes that were named alone, and the next refresh
// has all of the grant's again. e2e/narrow_test.go looks at real tokens of oidc-provider
// 9.13.3. On others it is never tried, as it could change the grant.
func (p Product) NarrowsAtRefresh() bool { return p == OIDCProvider }

// productOf recognises a product by the paths of several endpoints that its discovery
// document names. One path alone proves nothing.
func productOf(m *Metadata) Product {
	has := func(endpoint, path string) bool {
		u, err := url.Parse(endpoint)
		return err == nil && strings.HasSuffix(u.Path, path)
	}
	switch {
	case has(m.TokenEndpoint, "/protocol/openid-connect/token") && has(m.JWKSURI, "/protocol/openid-connect/certs"):
		return Keycloak
	case has(m.TokenEndpoint, "/token") && has(m.JWKSURI, "/keys") && has(m.DeviceEndpoint, "/device/code") && has(m.AuthorizationEndpoint, "/auth"):
		return Dex
	case has(m.TokenEndpoint, "/oauth2/token") && has(m.JWKSURI, "/oauth2/jwks") && has(m.RevocationEndpoint, "/oauth2/revoke") &&
		!has(m.DeviceEndpoint, "/oauth2/device_authorize"): // which is WSO2's
		return Spring
	case has(m.TokenEndpoint, "/oauth2/v2.0/token") && has(m.JWKSURI, "/discovery/v2.0/keys") && has(m.AuthorizationEndpoint, "/oauth2/v2.0/authorize"):
		return Entra
	case has(m.TokenEndpoint, "/oauth/token") && has(m.JWKSURI, "/token_keys"):
		return UAA
	case has(m.TokenEndpoint, "/token") && has(m.JWKSURI, "/jwks") && has(m.AuthorizationEndpoint, "/auth") &&
		(has(m.RevocationEndpoint, "/token/revocation") || has(m.IntrospectionEndpoint, "/token/introspection")):
		return OIDCProvider
	}
	return ""
}

// A quirk is an answer whose meaning its code alone does not tell. Empty fields match
// everything; words are a part of the description, without regard to case.
type quirk struct {
	product     Product
	op          string
	status      int
	code, words string
	means       Meaning
}

// quirks are tried in their order, before the RFCs' codes. Those without a product are
// known by words that no other server says.
var quirks = []quirk{
	// Keycloak 24 to 26 answers 500 when no provider takes an exchange.
	{op: "exchange", words: "no token exchange provider available", means: MeansRefused},
	// Keycloak says invalid_client of an exchange's audience and of consent.
	{op: "exchange", words: "audience not found", means: MeansRefused},
	{op: "exchange", words: "requires user consent", means: MeansRefused},
	{op: "exchange", words: "public client is not allowed to exchange", means: MeansRefused},
	// Keycloak 26 of a user's token that has expired, or whose session or user is gone;
	// 18 and 24 say invalid_token.
	{product: Keycloak, op: "exchange", code: "invalid_request", words: "invalid token", means: MeansUserTokenRefused},
	// Keycloak of a partner's user that it does not know as one of its own, with the code of
	// a bad token.
	{op: "exchange", words: "user already exists", means: MeansRefused},
	// Keycloak says unauthorized_client of a wrong secret, some versions with 400.
	{code: "unauthorized_client", words: "invalid client", means: MeansClientRefused},
	{code: "unauthorized_client", words: "invalid method used to get client secret", means: MeansClientRefused},
	// Entra of a client that it does not know, of a scope that no resource has, and of a
	// client that asks too often.
	{words: "aadsts700016", means: MeansClientRefused},
	{words: "aadsts65005", means: MeansRefused},
	{words: "aadsts50196", means: MeansTemporary},
	// AD FS of a resource that the client may not have, with the code of a dead grant.
	{op: "refresh", code: "invalid_grant", words: "client is not allowed to access the requested resource", means: MeansRefused},
	// OA4MP, CILogon's software, of a client that may not take over another one's token.
	{op: "exchange", code: "unauthorized_client", words: "permission to substitute", means: MeansRefused},
	// Salesforce.
	{code: "invalid_client_id", means: MeansClientRefused},
	// Dex of a refresh token that is used up, revoked, or none.
	{op: "refresh", code: "invalid_request", words: "refresh token is invalid or has already been claimed", means: MeansGrantEnded},
	{op: "refresh", code: "invalid_request", words: "refresh token expired", means: MeansGrantEnded},
	{product: Dex, op: "refresh", code: "invalid_request", words: "refresh token", means: MeansGrantEnded},
}

// userGone are codes that say that the user has to come back (OpenID Connect Core
// §3.1.2.6), and RFC 6750's for a token that is no longer good.
var userGone = []string{
	"invalid_grant", "invalid_token", "login_required", "interaction_required", "consent_required",
	"account_selection_required", "session_expired",
	// Auth0, Ory Hydra, GitHub, Supabase, Slack, and Salesforce.
	"mfa_required", "token_inactive", "bad_refresh_token", "refresh_token_not_found", "invalid_refresh_token", "token_expired", "token_revoked",
	"inactive_user", "inactive_org",
}

// tokenEnds and notTheToken are parts of descriptions without spaces. The first say that a
// token is no longer good, the second that something else is wrong with the request.
var (
	tokenEnds   = []string{"invalid", "expired", "revoked", "notfound", "unknown", "inactive", "notactive", "alreadyused", "alreadybeen", "doesnotexist"}
	notTheToken = []string{"tokentype", "missing", "required", "parameter", "unsupported", "notsupported"}
)

// callsEnded reports whether the description says of that token that it is no longer
// good. Unity IdM and OpenAM have the code invalid_request for a dead refresh token, and
// RFC 8693 §2.2.2 has it for a subject token.
func (e *Error) callsEnded(token string) bool {
	words := strings.ToLower(strings.NewReplacer(" ", "", "_", "", "-", "").Replace(e.Description))
	has := func(list []string) bool {
		return slices.ContainsFunc(list, func(part string) bool { return strings.Contains(words, part) })
	}
	return strings.EqualFold(e.Code, "invalid_request") && strings.Contains(words, token) && has(tokenEnds) && !has(notTheToken)
}

// Means says what the issuer's answer means, by its product and code.
func (e *Error) Means() Meaning {
	code := strings.ToLower(e.Code)
	for n := range quirks {
		if quirks[n].matches(e) {
			return quirks[n].means
		}
	}
	public := e.Op == "discovery" || e.Op == "jwks" // their answers are no OAuth errors
	switch {
	case e.overloaded(), code == "" && !public:
		return MeansTemporary
	case code == "authorization_pending", code == "slow_down":
		return MeansPending
	case code == "invalid_client", code == "unauthorized_client" && e.Status == http.StatusUnauthorized:
		return MeansClientRefused
	case e.Op == "refresh" && (slices.Contains(userGone, code) || e.callsEnded("refreshtoken")):
		return MeansGrantEnded
	case isExchange(e.Op) && (slices.Contains(userGone, code) || e.callsEnded("subjecttoken")):
		return MeansUserTokenRefused
	case e.Status == http.StatusUnauthorized && !public:
		return MeansClientRefused
	}
	return MeansRefused
}

// isExchange is of an exchange of any token.
func isExchange(op string) bool { return op == opExchange || op == opNarrow }

func (q *quirk) matches(e *Error) bool {
	sameOp := q.op == "" || q.op == e.Op || q.op == opExchange && e.Op == opNarrow
	return (q.product == "" || q.product == e.Product) && sameOp && (q.status == 0 || q.status == e.Status) &&
		(q.code == "" || strings.EqualFold(q.code, e.Code)) && strings.Contains(strings.ToLower(e.Description), q.words)
}

// overloaded is of an answer that a second try may better.
func (e *Error) overloaded() bool {
	return e.Status == http.StatusTooManyRequests || e.Status == http.StatusRequestTimeout || e.Status >= 500 ||
		slices.Contains([]string{"temporarily_unavailable", "server_error", "rate_limit_exceeded", "too_many_requests"}, strings.ToLower(e.Code))
}

// Temporary reports whether nothing was decided: the issuer is overloaded or broken, or
// the answer of its endpoint has no OAuth error code, so that something before the
// issuer may have given it.
func (e *Error) Temporary() bool { return e.Means() == MeansTemporary }

// acceptedCodes are of refusals that only an authenticated client gets (RFC 6749 §5.2,
// RFC 8693 §2.2.2, RFC 8628 §3.5).
var acceptedCodes = []string{
	"invalid_grant", "invalid_scope", "invalid_target", "authorization_pending", "slow_down", "expired_token",
	"login_required", "interaction_required", "consent_required", "mfa_required", "token_inactive",
}

// acceptedWords are Keycloak's to an authenticated client, with codes that others use
// for other things.
var acceptedWords = []string{
	"token exchange", "exchange token", "allowed to exchange", "requested_token_type", "creating a new session is needed", "access token",
	"within the token audience", "holder of the token", "audience not found", "requested audience", "requires user consent",
	"missing consents", "permission to substitute", "offline tokens not allowed", "flow is disabled for the client",
}

// acceptsClient reports whether the answer is one to a client that was authenticated.
func (e *Error) acceptsClient() bool {
	switch m := e.Means(); {
	case m == MeansClientRefused, m == MeansTemporary:
		return false
	case m == MeansGrantEnded && e.Op == "refresh" && e.Status != http.StatusUnauthorized:
		return true // Dex has invalid_request for it
	case e.Op == "refresh" && e.Code == "invalid_token" && strings.Contains(strings.ToLower(e.Description), "refresh token"):
		return true // UAA, and INDIGO IAM and MITREid, which answer 401 for the token and not for the client
	case slices.Contains(acceptedCodes, strings.ToLower(e.Code)):
		return true
	}
	words := strings.ToLower(e.Description)
	return isExchange(e.Op) && (strings.EqualFold(words, "invalid token") || slices.ContainsFunc(acceptedWords, func(w string) bool { return strings.Contains(words, w) })) ||
		e.Op == "login" && (e.Code == "access_denied" || strings.Contains(words, "flow is disabled for the client"))
}

// callsInactive is of Keycloak 18's answer for the token of an ended session: 400 where
// RFC 7662 §2.2 has active: false.
func (e *Error) callsInactive() bool {
	return e.Op == "introspect" && e.Status == http.StatusBadRequest && e.Description == "Failed to introspect token."
}
