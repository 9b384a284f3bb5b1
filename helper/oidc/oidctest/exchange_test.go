package oidctest

import (
	"testing"
	"time"
)

// The answers are those recorded from Keycloak 26.7.3.
func TestExchange_modes(t *testing.T) {
	type form map[string]string
	const online = "openid email profile"
	for name, test := range map[string]struct {
		opts    []Option
		subject string
		form    form
		typ     string // of the refresh token; empty for none
		scope   string
		status  int
		code    string
		words   string
	}{
		"legacy, default scopes":  {subject: "openid", typ: "Offline", scope: seedScope},
		"legacy, optional, had":   {opts: []Option{Exchange(LegacyOnline)}, subject: "openid offline_access ellip gep", typ: "Offline", scope: seedScope},
		"legacy, optional: trap":  {opts: []Option{Exchange(LegacyOnline)}, subject: "openid", typ: "Refresh", scope: online},
		"legacy, access token":    {subject: "openid", form: form{"requested_token_type": typeAccessToken}, scope: seedScope},
		"legacy, unknown scope":   {subject: "openid", form: form{"scope": "openid nonsense"}, typ: "Offline", scope: seedScope},
		"legacy, unknown type":    {subject: "openid", form: form{"requested_token_type": "x"}, status: 400, code: "invalid_request", words: "requested_token_type unsupported"},
		"legacy, ID token":        {subject: "openid", form: form{"subject_token_type": "urn:ietf:params:oauth:token-type:id_token"}, status: 400, code: "invalid_request", words: "Invalid token type, must be access token"},
		"legacy, other audience":  {subject: "openid", form: form{"audience": PortalID}, status: 403, code: "access_denied", words: "Client not allowed to exchange"},
		"unknown audience":        {subject: "openid", form: form{"audience": "nobody"}, status: 400, code: "invalid_client", words: "Audience not found"},
		"legacy, forbidden":       {opts: []Option{Exchange(LegacyForbidden)}, subject: "openid", status: 403, code: "access_denied", words: "Client not allowed to exchange"},
		"standard, seed's":        {opts: []Option{Exchange(Standard)}, subject: "openid", scope: seedScope},
		"standard, offline":       {opts: []Option{Exchange(Standard)}, subject: "openid", form: form{"requested_token_type": typeRefreshToken}, status: 400, code: "invalid_request", words: "Scope offline_access not allowed for token exchange"},
		"standard, online":        {opts: []Option{Exchange(Standard)}, subject: "openid", form: form{"requested_token_type": typeRefreshToken, "scope": "openid"}, typ: "Refresh", scope: online},
		"standard, offline user":  {opts: []Option{Exchange(Standard)}, subject: "openid offline_access", form: form{"requested_token_type": typeRefreshToken, "scope": "openid"}, status: 400, code: "invalid_request", words: "Refresh token not valid as requested_token_type because creating a new session is needed"},
		"standard, no mapper":     {opts: []Option{Exchange(Standard), NoAudienceMapper()}, subject: "openid", status: 400, code: "invalid_request", words: "Requested audience not available: ellip-test-ades"},
		"standard, no refresh":    {opts: []Option{Exchange(StandardNoRefresh)}, subject: "openid", form: form{"requested_token_type": typeRefreshToken, "scope": "openid"}, status: 400, code: "invalid_request", words: "requested_token_type unsupported"},
		"standard, ID token":      {opts: []Option{Exchange(Standard)}, subject: "openid", form: form{"subject_token_type": "x"}, status: 400, code: "invalid_request", words: "Parameter 'subject_token' supports access tokens only"},
		"standard, public client": {opts: []Option{Exchange(Standard)}, subject: "openid", form: form{"client_id": PortalID}, status: 400, code: "invalid_client", words: "Public client is not allowed to exchange token"},
		"switch off":              {opts: []Option{Exchange(SwitchOff)}, subject: "openid", status: 400, code: "invalid_request", words: "Standard token exchange is not enabled for the requested client"},
		"feature off":             {opts: []Option{Exchange(FeatureOff)}, subject: "openid", status: 400, code: "unsupported_grant_type", words: "Unsupported grant_type"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := start(t, test.opts...)
			f := exchangeForm(i.UserToken("alice", Scope(test.subject)))
			for k, v := range test.form {
				f.Set(k, v)
			}
			status, a := ask(t, i, Token, f)
			if test.status != 0 {
				refused(t, status, a, test.status, test.code, test.words)
				return
			}
			if status != 200 || a["scope"] != test.scope {
				t.Errorf("%d, scope %q, want %q", status, a["scope"], test.scope)
			}
			if test.typ == "" {
				if a["refresh_token"] != nil || a["issued_token_type"] != typeAccessToken {
					t.Errorf("a refresh token, or %v", a["issued_token_type"])
				}
				return
			}
			lives := map[string]float64{"Offline": 0, "Refresh": 1800}[test.typ]
			if typ := claims(t, a["refresh_token"], 1)["typ"]; typ != test.typ || a["refresh_expires_in"] != lives || a["issued_token_type"] != typeRefreshToken {
				t.Errorf("typ %v, refresh_expires_in %v, %v", typ, a["refresh_expires_in"], a["issued_token_type"])
			}
		})
	}
}

func TestExchange_subject(t *testing.T) {
	i := start(t)
	invalid := func(name string, opts ...SubjectOption) {
		t.Helper()
		status, a := ask(t, i, Token, exchangeForm(i.UserToken(name, opts...)))
		refused(t, status, a, 400, "invalid_request", "Invalid token")
	}
	invalid("alice", Expired())
	invalid("alice", Forged())
	invalid("alice", FromIssuer("https://idp.example"))
	invalid("alice", AsIDToken())
	invalid("alice", AsRefreshToken())
	i.Disable("bob")
	invalid("bob")
	i.Enable("bob")
	subject := i.UserToken("bob")
	i.Logout("bob")
	status, a := ask(t, i, Token, exchangeForm(subject))
	refused(t, status, a, 400, "invalid_request", "Invalid token")
	if status, a = ask(t, i, Token, exchangeForm(i.UserToken("bob"))); status != 200 {
		t.Errorf("logged in again: %d %v", status, a)
	}
	for _, mode := range []Mode{LegacyOffline, Standard} {
		i.Set(Exchange(mode))
		status, a = ask(t, i, Token, exchangeForm(i.UserToken("alice", Audience())))
		refused(t, status, a, 403, "access_denied", "Client is not within the token audience")
	}
	status, _ = ask(t, i, Token, exchangeForm(i.UserToken("alice", Audience(), IssuedTo(ClientID))))
	if status != 200 {
		t.Error("a token of our own was not exchanged")
	}
	if c := claims(t, i.UserToken("alice", FromIssuer("https://idp.example"), For(time.Minute)), 1); c["iss"] != "https://idp.example" || c["azp"] != PortalID {
		t.Errorf("claims: %v", c)
	}
}

func TestRefresh_refused(t *testing.T) {
	for name, test := range map[string]struct {
		mode  Mode
		harm  func(i *Issuer)
		words string
	}{
		"admin":        {harm: func(i *Issuer) { i.EndGrants("alice") }, words: "Offline user session not found"},
		"disabled":     {harm: func(i *Issuer) { i.Disable("alice") }, words: "User disabled"},
		"offline idle": {harm: func(i *Issuer) { i.Clock.Advance(31 * 24 * time.Hour) }, words: "Offline session not active"},
		"logout":       {mode: LegacyOnline, harm: func(i *Issuer) { i.Logout("alice") }, words: "Session not active"},
		"online admin": {mode: LegacyOnline, harm: func(i *Issuer) { i.EndGrants("alice") }, words: "Session not active"},
		"online idle":  {mode: LegacyOnline, harm: func(i *Issuer) { i.Clock.Advance(31 * time.Minute) }, words: "Token is not active"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := start(t, Exchange(test.mode))
			token := grantFor(t, i, "alice")["refresh_token"]
			test.harm(i)
			status, a := ask(t, i, Token, refreshForm(token))
			refused(t, status, a, 400, "invalid_grant", test.words)
		})
	}
	i := start(t)
	status, a := ask(t, i, Token, refreshForm("garbage"))
	refused(t, status, a, 400, "invalid_grant", "Invalid refresh token")
	f := refreshForm(grantFor(t, i, "alice")["refresh_token"])
	f.Set("client_id", PortalID)
	status, a = ask(t, i, Token, f)
	refused(t, status, a, 400, "invalid_grant", "Invalid refresh token. Token client and authorized client don't match")
	f.Del("client_id")
	f.Set("scope", "openid admin")
	status, a = ask(t, i, Token, f)
	refused(t, status, a, 400, "invalid_scope", "Invalid scopes: openid admin")
	f.Set("scope", "openid gep")
	if status, a = ask(t, i, Token, f); status != 200 || a["scope"] != "openid gep" {
		t.Errorf("fewer scopes: %d %v", status, a)
	}
}

func TestRefresh_atOnce(t *testing.T) {
	i := start(t, Refresh(Revoke))
	token := grantFor(t, i, "alice")["refresh_token"]
	const n = 20
	results := make(chan int, n)
	for range n {
		go func() {
			out, _ := i.refreshGrant(ClientID, refreshForm(token))
			if out != nil {
				results <- 1
			} else {
				results <- 0
			}
		}()
	}
	won := 0
	for range n {
		won += <-results
	}
	if won != 1 || i.Refreshes() != 1 || i.Grants("alice") != 0 {
		t.Errorf("%d of %d won, %d refreshes, %d grants", won, n, i.Refreshes(), i.Grants("alice"))
	}
}
