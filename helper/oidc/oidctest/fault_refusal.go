package oidctest

// refusals are Keycloak's own words, so that a client's advice can be tested
// for each. Some of them the issuer gives by itself too, where a mode or a
// state calls for it.
func refusals() []Fault {
	var all []Fault
	add := func(grant string, status int, code, name, words string) {
		f := Refuse(status, code, words).onGrant(grant)
		f.Name = "refuse-" + name
		all = append(all, f)
	}
	exchange := func(status int, code, name, words string) { add("token-exchange", status, code, name, words) }
	exchange(400, "invalid_request", "offline-scope", "Scope offline_access not allowed for token exchange")
	exchange(400, "invalid_request", "new-session", "Refresh token not valid as requested_token_type because creating a new session is needed")
	exchange(400, "invalid_request", "requested-type", "requested_token_type unsupported")
	exchange(400, "invalid_request", "switch-off", "Standard token exchange is not enabled for the requested client")
	exchange(400, "invalid_request", "access-tokens-only", "Parameter 'subject_token' supports access tokens only")
	exchange(400, "invalid_request", "token-type", "Invalid token type, must be access token")
	exchange(400, "invalid_request", "subject", "Invalid token")
	exchange(403, "access_denied", "not-in-audience", "Client is not within the token audience")
	exchange(403, "access_denied", "not-allowed", "Client not allowed to exchange")
	exchange(403, "access_denied", "not-holder", "Client is not the holder of the token")
	exchange(400, "invalid_client", "audience-unknown", "Audience not found")
	exchange(400, "invalid_client", "consent", "Client requires user consent")
	exchange(400, "invalid_client", "public", "Public client is not allowed to exchange token")
	exchange(400, "invalid_scope", "scopes", "Invalid scopes: gep")
	exchange(400, "invalid_scope", "missing-consent", "Missing consents for Token Exchange in client ellip-test-ades")
	exchange(400, "invalid_request", "audience-unavailable", "Requested audience not available: ellip-test-ades")
	exchange(400, "not_allowed", "offline-not-allowed", "Offline tokens not allowed for the user or client")
	exchange(400, "unsupported_grant_type", "grant-type", "Unsupported grant_type")
	exchange(500, "unknown_error", "no-provider", "No token exchange provider available")
	exchange(400, "invalid_request", "duplicated", "duplicated parameter")

	add("", 401, "unauthorized_client", "credentials", "Invalid client or Invalid client credentials")
	add("", 401, "invalid_client", "client", "Invalid client or Invalid client credentials")
	add("", 401, "unauthorized_client", "auth-method", "Invalid method used to get client secret. Client requires method 'client_secret_post' to obtain client secret from the request")
	add("", 400, "temporarily_unavailable", "unavailable", "The server is starting")

	refresh := func(name, words string) { add("refresh_token", 400, "invalid_grant", name, words) }
	refresh("offline-idle", "Offline session not active")
	refresh("offline-gone", "Offline user session not found")
	refresh("session", "Session not active")
	refresh("no-client", "Session doesn't have required client")
	refresh("client-session", "Client session not active")
	refresh("reuse", "Maximum allowed refresh token reuse exceeded")
	refresh("stale", "Stale token")
	refresh("expired", "Token is not active")
	refresh("invalid", "Invalid refresh token")
	refresh("other-client", "Invalid refresh token. Token client and authorized client don't match")
	refresh("unmatching", "Unmatching clients")
	refresh("offline-withdrawn", "Offline session invalid because offline access not granted anymore")
	refresh("disabled", "User disabled")
	refresh("restarted", "Refresh token issued before the user session started")
	refresh("old-expired", "Refresh token expired")
	refresh("old-stale", "Stale refresh token")
	refresh("silent", "")
	return all
}
