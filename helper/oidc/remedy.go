package oidc

import (
	"strings"

	"github.com/terradue/t2-cred/helper/hint"
)

// This file has the words for a person. What a server's answer means is in quirks.go,
// which knows nothing of them.

// AskAdmin begins a remedy that only the issuer's admin can bring.
const AskAdmin = "ask the issuer's admin: "

// A remedy is what to do about a refusal that is known. It is matched on the code and
// on a part of the description, without regard to case, since the words differ from
// version to version. The first match counts.
type remedy struct {
	product         Product // empty: any
	op, code, words string  // empty: any
	do              func(*Error) hint.Remedy
}

func say(words string) func(*Error) hint.Remedy {
	return func(*Error) hint.Remedy { return hint.Say(words) }
}

func ask(words string) func(*Error) hint.Remedy { return say(AskAdmin + words) }

// newSubject ends in the way to get another subject token.
func newSubject(words string) func(*Error) hint.Remedy {
	return say(words + "; get a new access token for the user and exchange that one")
}

// orLogin ends in the login that needs no exchange.
func orLogin(words string) func(*Error) hint.Remedy {
	return func(e *Error) hint.Remedy {
		return hint.Do(hint.Words(AskAdmin+words+"; or log the user in, which needs no exchange: "), e.command("login"))
	}
}

func setSecret(e *Error) hint.Remedy {
	return hint.Do(hint.Words("the client id or its secret is wrong, or the secret was changed at the issuer: "), hint.Run("profile", "set-secret", e.profile()))
}

// command is a command of t2-cred for the account that the error is of.
func (e *Error) command(args ...string) hint.Command {
	return hint.Run(args...).For(e.Profile, e.Account)
}

func (e *Error) profile() string {
	if e.Profile == "" {
		return "NAME"
	}
	return e.Profile
}

const (
	notAnAccessToken = "that is not an access token (an ID or refresh token?)"
	tokenEnded       = "the user's token has expired, its session has ended, the user is disabled, or another issuer made it"
)

// remedies are Keycloak's refusals as seen live on 16 to 26.7.3, and the RFCs' own
// codes behind them. A row without a product names none, unless its words are known
// from one product alone. It is a function, as a list of functions would be made at each
// start of the program.
func remedies() []remedy {
	return []remedy{
		{op: opNarrow, words: "standard token exchange is not enabled", do: ask("switch on \"Standard token exchange\" for this client, which narrows its own tokens")},
		{op: opNarrow, words: "requested audience not available", do: ask("add an audience mapper for that audience to this client's own scopes (standard exchange only filters, it never adds)")},
		{op: opNarrow, words: "audience not found", do: say("name another audience: the issuer knows no client of that name")},
		{op: opNarrow, words: "client not allowed to exchange", do: ask("switch on \"Standard token exchange\" for this client; its legacy exchange wants a permission for each audience")},
		{product: Dex, op: opNarrow, words: "requested connector does not exist", do: say("leave --scope and --audience out: Dex exchanges the tokens of its connectors, and not its own")},
		{op: opNarrow, code: "unsupported_grant_type", do: ask("this server has no token exchange (RFC 8693), which narrower tokens need")},
		{op: opNarrow, code: "unauthorized_client", do: ask("allow this client the token-exchange grant, which narrower tokens need")},
		{op: opNarrow, code: "access_denied", do: ask("may this client exchange its own tokens for narrower ones?")},
		{op: opNarrow, code: "invalid_scope", do: say("ask for scopes that status lists as granted and that the issuer knows")},
		{op: opNarrow, code: "invalid_target", do: say("name another audience; the issuer gives no tokens for this one")},
		{op: opNarrow, words: "no token exchange provider available", do: ask("no exchange on this server takes the request: switch on \"Standard token exchange\" for this client")},
		{op: "exchange", words: "scope offline_access not allowed for token exchange", do: orLogin("Keycloak's standard token exchange never gives offline tokens; switch it off for this client so that the legacy exchange (feature token-exchange) answers")},
		{op: "exchange", words: "creating a new session is needed", do: say("the user's token comes from an offline or transient session; log the user in again without offline_access and exchange that token")},
		{op: "exchange", words: "requested_token_type unsupported", do: ask("set \"Allow refresh token in Standard Token Exchange\" to \"Same session\" on this client")},
		{op: "exchange", words: "standard token exchange is not enabled", do: ask("switch on \"Standard token exchange\" for this client, or enable the feature token-exchange on the server")},
		{op: "exchange", words: "supports access tokens only", do: newSubject(notAnAccessToken)},
		{op: "exchange", words: "must be access token", do: newSubject(notAnAccessToken)},
		{product: Keycloak, op: "exchange", code: "invalid_request", words: "invalid token", do: newSubject(tokenEnded)},
		{product: Keycloak, op: "exchange", words: "user already exists", do: ask("link the user's account to that identity provider (Keycloak: Identity provider links); a user of this name is there, and is not linked")},
		{op: "exchange", words: "user already exists", do: ask("link the user's account to that identity provider; a user of this name is there, and is not linked")},
		{op: "exchange", code: "invalid_token", do: newSubject(tokenEnded)},
		{op: "exchange", words: "not within the token audience", do: ask("add an audience mapper that puts this client's id into the access tokens of the client where the user logs in")},
		{op: "exchange", words: "client not allowed to exchange", do: ask("give this client the token-exchange permission (legacy exchange, fine-grained admin permissions v1)")},
		{product: Dex, op: "exchange", words: "requested connector does not exist", do: func(e *Error) hint.Remedy {
			return hint.Do(hint.Words("Dex exchanges the tokens of its connectors alone, and gives no refresh token for them; log the user in: "), e.command("login"))
		}},
		{op: "exchange", words: "permission to substitute", do: orLogin("let this client substitute for the client where the user logs in")},
		{op: "exchange", words: "same client and offline_access", do: newSubject("the user's token is this client's own, which this issuer exchanges for no offline token")},
		{op: "exchange", words: "needs to sign aup", do: say("the user must sign the issuer's acceptable use policy there; then exchange a token once more")},
		{op: "exchange", words: "not the holder of the token", do: ask("the legacy exchange needs a confidential client; switch on client authentication for this client")},
		{op: "exchange", words: "audience not found", do: say("check the profile's audience: the issuer knows no client of that name")},
		{op: "exchange", words: "requested audience not available", do: ask("add an audience mapper for that audience to this client's own scopes (standard exchange only filters, it never adds), or take the audience out of the profile")},
		{op: "exchange", words: "requires user consent", do: ask("switch consent off for this client; an exchange cannot ask the user")},
		{op: "exchange", words: "missing consents", do: func(e *Error) hint.Remedy {
			return hint.Do(hint.Words("the user must log in to this client once and consent: "), e.command("login"), hint.Words("; or the admin switches consent off"))
		}},
		{op: "exchange", words: "public client is not allowed", do: ask("an exchange needs a confidential client; switch on client authentication for this client")},
		{op: "exchange", words: "no token exchange provider available", do: ask("no exchange on this server takes the request: enable the feature token-exchange, or \"Standard token exchange\" on this client")},
		{op: "login", words: "flow is disabled for the client", do: func(e *Error) hint.Remedy {
			return hint.Do(hint.Words(AskAdmin+"switch on \"OAuth 2.0 Device Authorization Grant\" for this client; or log in with a browser: "), e.command("login", "--browser"))
		}},
		{op: "login", code: "access_denied", do: loginDenied},
		{op: "login", code: "authorization_declined", do: loginDenied}, // Entra's
		{op: "login", code: "expired_token", do: codeExpired},
		{op: "login", code: "code_expired", do: codeExpired}, // Entra's of old
		{words: "offline tokens not allowed", do: ask("the user needs the realm role offline_access and this client the scope offline_access")},
		{words: "dpop proof", do: needsDPoP},
		{code: "invalid_dpop_proof", do: needsDPoP},
		{code: "use_dpop_nonce", do: needsDPoP},
		{code: "invalid_scope", do: noSuchScope},
		{words: "invalid method used to get client secret", do: func(e *Error) hint.Remedy {
			return hint.Do(hint.Words("use the other --client-auth (basic or post): "), hint.Run("profile", "edit", e.profile(), "--client-auth", "METHOD"))
		}},
		{words: "invalid signature algorithm", do: say("the issuer wants another algorithm of this client: give its key as a JWK that names it as alg, or " + AskAdmin + "which one")},
		{words: "aadsts700016", do: func(e *Error) hint.Remedy {
			return hint.Do(hint.Words("the issuer knows no client of that id: "), hint.Run("profile", "edit", e.profile(), "--client-id", "ID"))
		}},
		{words: "client is public so neither", do: func(e *Error) hint.Remedy {
			return hint.Do(hint.Words("this client is a public one at the issuer: "), hint.Run("profile", "edit", e.profile(), "--client-auth", "none"))
		}},
		{words: "aadsts65005", do: noSuchScope},
		{words: "token_endpoint_auth_method", do: func(e *Error) hint.Remedy {
			return hint.Do(hint.Words("use the client authentication that the issuer names: "), hint.Run("profile", "edit", e.profile(), "--client-auth", "METHOD"))
		}},
		{words: "client is not allowed to access the requested resource", do: ask("give this client access to the resource that its tokens are for")},
		{code: "unauthorized_client", words: "invalid client", do: setSecret},
		{code: "invalid_client", do: setSecret},
		{op: "refresh", words: "grant type is not allowed", do: ask("allow this client refresh tokens (the grant refresh_token)")},
		{op: "refresh", code: "unauthorized_client", do: ask("allow this client refresh tokens (the grant refresh_token)")},
		{op: "exchange", code: "unauthorized_client", do: ask("allow this client the token-exchange grant")},
		{product: Keycloak, op: "exchange", code: "unsupported_grant_type", do: orLogin("enable token exchange (Keycloak: feature token-exchange, or 26.2 and later with the client's switch on)")},
		{op: "exchange", code: "unsupported_grant_type", do: orLogin("enable token exchange (RFC 8693)")},
		{op: "exchange", code: "invalid_target", do: say("check the profile's audience; the issuer does not give tokens for it")},
		{op: "exchange", code: "access_denied", do: ask("may this client exchange this user's token?")},
		{op: "exchange", code: "invalid_grant", do: newSubject("the issuer does not take the user's token")},
		{words: "duplicated parameter", do: say("this issuer takes one audience only; leave one in the profile")},
	}
}

func loginDenied(e *Error) hint.Remedy {
	return hint.Do(hint.Words("the login was denied at the issuer; start another one: "), e.command("login"))
}

func codeExpired(e *Error) hint.Remedy {
	return hint.Do(hint.Words("the code has expired; get a new one: "), e.command("login"))
}

func noSuchScope(*Error) hint.Remedy {
	return hint.Say("take the scope out of the profile, or " + AskAdmin + "add it to this client")
}

func needsDPoP(*Error) hint.Remedy {
	return hint.Say("the issuer demands DPoP (RFC 9449) of this client, which t2-cred does not speak; " + AskAdmin + "switch off DPoP-bound access tokens for this client")
}

// Hint says what to do about a refusal whose words or whose meaning are known. It is empty
// for others.
func (e *Error) Hint() hint.Remedy {
	if e.Remedy != nil {
		return e.Remedy
	}
	if r := e.known(); r != nil {
		return r.do(e)
	}
	return e.hintByMeaning()
}

func (e *Error) known() *remedy {
	words := strings.ToLower(e.Description)
	for _, r := range remedies() {
		if (r.product == "" || r.product == e.Product) && (r.op == "" || r.op == e.Op) && (r.code == "" || strings.EqualFold(r.code, e.Code)) && strings.Contains(words, r.words) {
			return &r
		}
	}
	return nil
}
