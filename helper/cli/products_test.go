package cli

import (
	"net/http"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// A productAnswer is what a product's token endpoint is said to answer, and what a user has
// to see of it. The products were not run: the bodies have the form that documents and reports
// show, and the words of some are from memory.
type productAnswer struct {
	name   string
	grant  string // "refresh_token" or "token-exchange"
	status int
	kind   string // Content-Type; JSON if empty
	body   string
	exit   int
	says   string // in the message
	hint   string // in the hint; "-" for none
}

// fault answers so, once the client is known. Without processing.
func (p productAnswer) fault() oidctest.Fault {
	return oidctest.Fault{
		Name: p.name, Endpoint: oidctest.Token, Grant: p.grant,
		Before: func(*oidctest.Call) *oidctest.Answer {
			kind := p.kind
			if kind == "" {
				kind = "application/json"
			}
			return &oidctest.Answer{Status: p.status, Header: http.Header{"Content-Type": {kind}}, Body: []byte(p.body)}
		},
	}
}

const (
	comeBack  = "t2-cred exchange --profile gep"
	newSecret = "t2-cred profile set-secret gep"
)

// productAnswers are of a refresh and of an exchange.
func productAnswers() []productAnswer {
	const refresh, exchange = "refresh_token", "token-exchange"
	return []productAnswer{
		// The grant has ended.
		{"Entra, unused for long", refresh, 400, "", `{"error":"invalid_grant","error_description":"AADSTS700082: The refresh token has expired due to inactivity. Trace ID: 1","error_codes":[700082],"timestamp":"2026-08-01 10:00:00Z","trace_id":"1","correlation_id":"2"}`, exitLogin, "AADSTS700082", comeBack},
		{"Entra, second factor", refresh, 400, "", `{"error":"interaction_required","error_description":"AADSTS50076: Due to a configuration change made by your administrator, you must use multi-factor authentication.","error_codes":[50076],"suberror":"basic_action"}`, exitLogin, "AADSTS50076", comeBack},
		{"Google", refresh, 400, "", `{"error":"invalid_grant","error_description":"Token has been expired or revoked."}`, exitLogin, "Token has been expired or revoked.", comeBack},
		{"Auth0", refresh, 403, "", `{"error":"invalid_grant","error_description":"Unknown or invalid refresh token."}`, exitLogin, "Unknown or invalid refresh token.", comeBack},
		{"Auth0, second factor", refresh, 403, "", `{"error":"mfa_required","error_description":"Multifactor authentication required","mfa_token":"Fe26.2-tokenforthefactor"}`, exitLogin, "Multifactor authentication required", comeBack},
		{"Ory Hydra, used twice", refresh, 401, "", `{"error":"token_inactive","error_description":"Token is inactive because it is malformed, expired or otherwise invalid. Token validation failed."}`, exitLogin, "Token is inactive", comeBack},
		{"Unity IdM", refresh, 400, "", `{"error":"invalid_request","error_description":"Invalid refresh token"}`, exitLogin, "Invalid refresh token", comeBack},
		{"OpenAM", refresh, 400, "", `{"error":"invalid_request","error_description":"RefreshToken has expired"}`, exitLogin, "RefreshToken has expired", comeBack},
		{"GitHub", refresh, 200, "", `{"error":"bad_refresh_token","error_description":"The refresh token passed is incorrect or expired.","error_uri":"https://docs.example/bad"}`, exitLogin, "incorrect or expired", comeBack},
		{"AWS Cognito", refresh, 400, "", `{"error":"invalid_grant"}`, exitLogin, "invalid_grant", comeBack},
		{"WSO2", refresh, 400, "", `{"error_description":"Persisted access token data not found","error":"invalid_grant"}`, exitLogin, "Persisted access token data not found", comeBack},
		{"PingFederate", refresh, 400, "", `{"error_description":"unknown, invalid, or expired refresh token","error":"invalid_grant"}`, exitLogin, "unknown, invalid, or expired", comeBack},
		{"FusionAuth", refresh, 400, "", `{"error":"invalid_grant","error_description":"The refresh token was not found. It may have been revoked or has expired.","error_reason":"refresh_token_not_found"}`, exitLogin, "was not found", comeBack},
		{"Gluu", refresh, 401, "", `{"error":"invalid_grant","error_description":"The provided authorization grant is invalid, expired or revoked.","reason":""}`, exitLogin, "authorization grant is invalid", comeBack},
		{"Salesforce, user gone", refresh, 400, "", `{"error":"inactive_user","error_description":"user is inactive"}`, exitLogin, "user is inactive", comeBack},
		{"Apereo CAS, a form", refresh, 400, "text/plain", `error=invalid_grant`, exitLogin, "invalid_grant", comeBack},

		// The client is refused.
		{"Entra, wrong secret", refresh, 401, "", `{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided.","error_codes":[7000215]}`, exitRefused, "AADSTS7000215", newSecret},
		{"Entra, no such client", refresh, 400, "", `{"error":"unauthorized_client","error_description":"AADSTS700016: Application with identifier 'ellip-test-ades' was not found in the directory 'Corp'.","error_codes":[700016]}`, exitRefused, "AADSTS700016", "t2-cred profile edit gep --client-id"},
		{"Entra, a public client", refresh, 401, "", `{"error":"invalid_client","error_description":"AADSTS700025: Client is public so neither 'client_assertion' nor 'client_secret' should be presented.","error_codes":[700025]}`, exitRefused, "AADSTS700025", "t2-cred profile edit gep --client-auth none"},
		{"Auth0, wrong secret", refresh, 401, "", `{"error":"access_denied","error_description":"Unauthorized"}`, exitRefused, "Unauthorized", newSecret},
		{"UAA, wrong secret", refresh, 401, "", `{"error":"unauthorized","error_description":"Bad credentials"}`, exitRefused, "Bad credentials", newSecret},
		{"Okta, no such client", refresh, 401, "", `{"errorCode":"invalid_client","errorSummary":"Invalid value for 'client_id' parameter.","errorLink":"invalid_client","errorId":"oaeX","errorCauses":[]}`, exitRefused, "Invalid value for 'client_id' parameter.", newSecret},
		{"Salesforce, no such client", refresh, 400, "", `{"error":"invalid_client_id","error_description":"client identifier invalid"}`, exitRefused, "client identifier invalid", newSecret},
		{"Ory Hydra, the other method", refresh, 401, "", `{"error":"invalid_client","error_description":"Client authentication failed (e.g., unknown client). The OAuth 2.0 Client supports client authentication method 'private_key_jwt', but method 'client_secret_basic' was requested. You must configure the OAuth 2.0 client's 'token_endpoint_auth_method' value."}`, exitRefused, "private_key_jwt", "--client-auth"},
		{"AD FS, wrong secret", refresh, 401, "", `{"error":"invalid_client","error_description":"MSIS9623: Received invalid Client credentials. The OAuth client credentials are not valid."}`, exitRefused, "MSIS9623", newSecret},

		// Refused for a reason that neither a login nor a secret mends.
		{"Entra, scope of nobody", refresh, 400, "", `{"error":"invalid_client","error_description":"AADSTS650053: The application 'ADES' asked for scope 'gep' that doesn't exist on the resource.","error_codes":[650053]}`, exitRefused, "AADSTS650053", "take the scope out of the profile"},
		{"AD FS, resource", refresh, 400, "", `{"error":"invalid_grant","error_description":"MSIS9605: The client is not allowed to access the requested resource."}`, exitRefused, "MSIS9605", "ask the issuer's admin"},
		{"Okta, forbidden", refresh, 403, "", `{"errorCode":"E0000006","errorSummary":"You do not have permission to perform the requested action","errorLink":"E0000006","errorId":"oaeX","errorCauses":[]}`, exitRefused, "You do not have permission", ""},

		// Nothing was decided.
		{"Okta, too many", refresh, 429, "", `{"errorCode":"E0000047","errorSummary":"API call exceeded rate limit due to too many requests.","errorLink":"E0000047","errorId":"oaeX","errorCauses":[]}`, exitUnreachable, "exceeded rate limit", ""},
		{"Entra, a loop", refresh, 400, "", `{"error":"invalid_grant","error_description":"AADSTS50196: The server terminated an operation because it encountered a client request loop.","error_codes":[50196]}`, exitUnreachable, "AADSTS50196", ""},
		{"Salesforce, too many", refresh, 400, "", `{"error":"rate_limit_exceeded","error_description":"rate limit exceeded"}`, exitUnreachable, "rate limit exceeded", ""},
		{"Zitadel, broken", refresh, 500, "", `{"error":"server_error","error_description":"Errors.Internal"}`, exitUnreachable, "Errors.Internal", ""},
		{"Google's gateway", refresh, 503, "", `{"error":{"code":503,"message":"The service is currently unavailable.","status":"UNAVAILABLE"}}`, exitUnreachable, "The service is currently unavailable.", ""},
		{"Apigee", refresh, 500, "", `{"fault":{"faultstring":"Execution of ServiceCallout failed","detail":{"errorcode":"steps.servicecallout.ExecutionFailed"}}}`, exitUnreachable, "ServiceCallout failed", ""},
		{"RFC 9457", refresh, 502, "application/problem+json", `{"type":"about:blank","title":"Bad Gateway","status":502,"detail":"the realm's database is away"}`, exitUnreachable, "the realm's database is away", ""},
		{"a page", refresh, 403, "text/html", `<html><body><h1>403 Forbidden</h1></body></html>`, exitUnreachable, "HTTP 403 Forbidden", ""},

		// The user's token is refused (RFC 8693 §2.2.2 has invalid_request for it).
		{"RFC 8693", exchange, 400, "", `{"error":"invalid_request","error_description":"subject_token is invalid"}`, exitVerify, "subject_token is invalid", "get a new access token for the user"},
		{"WSO2's exchange", exchange, 400, "", `{"error":"invalid_request","error_description":"Subject token is expired"}`, exitVerify, "Subject token is expired", "get a new access token for the user"},
		{"MITREid", exchange, 401, "", `{"error":"invalid_token","error_description":"Access token not found"}`, exitVerify, "Access token not found", "get a new access token for the user"},
		{"another type", exchange, 400, "", `{"error":"invalid_request","error_description":"unsupported subject_token_type"}`, exitRefused, "unsupported subject_token_type", ""},
		{"Authentik", exchange, 400, "", `{"error":"unsupported_grant_type","error_description":"The authorization grant type is not supported by the authorization server"}`, exitRefused, "unsupported_grant_type", "t2-cred login --profile gep"},
		{"Auth0's exchange", exchange, 403, "", `{"error":"unauthorized_client","error_description":"Grant type 'urn:ietf:params:oauth:grant-type:token-exchange' not allowed for the client."}`, exitRefused, "not allowed for the client", "allow this client the token-exchange grant"},
	}
}

// TestProducts_answers: what products that cannot run here answer ends with the right
// exit code, their own words, and a hint that helps. No grant is lost by it, unless the
// answer says that it has ended.
func TestProducts_answers(t *testing.T) {
	h := newHomeWith(t, oidctest.Neutral())
	h.addProfile("openid email profile offline_access ellip gep")
	subject := h.userToken("alice")
	for _, p := range productAnswers() {
		t.Run(p.name, func(t *testing.T) {
			h.t = t
			if code := h.run("exchange", "--token-file", subject, "--replace"); code != exitOK {
				t.Fatalf("exchange ends with %d: %s", code, h.stderr.String())
			}
			remove := h.issuer.Inject(p.fault())
			args := []string{"get", "--fresh"}
			if p.grant == "token-exchange" {
				args = []string{"exchange", "--token-file", subject, "--replace"}
			}
			p.see(t, h, args)
			remove()
			h.forgetDocuments()
			if code := h.run("get", "--fresh"); code != exitOK {
				t.Errorf("later, get ends with %d: %s", code, h.stderr.String())
			}
		})
	}
	h.t = t
	h.check()
}

// see runs the command and compares what is said.
func (p productAnswer) see(t *testing.T, h *home, args []string) {
	t.Helper()
	code := h.run(args...)
	said := h.stderr.String()
	_, message, _ := strings.Cut(said, "t2-cred: ")
	message, hint, _ := strings.Cut(message, "\nhint: ")
	if code != p.exit || !strings.Contains(message, p.says) {
		t.Errorf("it ends with %d, want %d: %s", code, p.exit, message)
	}
	if !strings.Contains(hint, p.hint) || strings.Contains(hint, "Keycloak") {
		t.Errorf("the hint is %q, want %q", hint, p.hint)
	}
	if p.exit != exitLogin && strings.Contains(hint, comeBack) {
		t.Errorf("the user is sent for: %s", hint)
	}
}
