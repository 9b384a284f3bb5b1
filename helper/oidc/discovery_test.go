package oidc

import (
	"strings"
	"testing"
)

func TestNormalize_forgivesWhatPeoplePaste(t *testing.T) {
	const want = "https://iam.example.org/auth/realms/master"
	for _, typed := range []string{
		want,
		want + "/",
		"  " + want + "\n",
		want + "/.well-known/openid-configuration",
		"https://iam.example.org/.well-known/oauth-authorization-server/auth/realms/master",
		"iam.example.org/auth/realms/master",
		"http://iam.example.org/auth/realms/master",
		"https:/iam.example.org/auth/realms/master",
		"https//iam.example.org/auth/realms/master",
		"http:iam.example.org/auth/realms/master",
		"https:///iam.example.org/auth/realms/master",
	} {
		if got, _ := normalize(typed); got != want {
			t.Errorf("normalize(%q) = %q", typed, got)
		}
	}
	if _, notes := normalize("http://iam.example.org"); len(notes) != 1 || !strings.Contains(notes[0], "https://iam.example.org") {
		t.Errorf("plain http is changed without a word: %q", notes)
	}
	for typed, want := range map[string]string{ // a host that is called as a scheme is
		"https:8443/realms/x": "https://https:8443/realms/x", "http.example.org": "https://http.example.org", "https-iam/x": "https://https-iam/x",
	} {
		if got, _ := normalize(typed); got != want {
			t.Errorf("normalize(%q) = %q", typed, got)
		}
	}
	if got, notes := normalize("http://127.0.0.1:8080/realms/x"); got != "http://127.0.0.1:8080/realms/x" || len(notes) != 0 {
		t.Errorf("loopback: %q %q", got, notes)
	}
}

// TestSameIssuer: spellings of one address, such as ForgeRock's with the port of https.
func TestSameIssuer(t *testing.T) {
	const plain = "https://am.example.org/am/oauth2"
	for other, same := range map[string]bool{
		"https://am.example.org:443/am/oauth2": true, "HTTPS://AM.Example.org/am/oauth2/": true, plain + "/": true,
		"https://am.example.org:8443/am/oauth2": false, "http://am.example.org:443/am/oauth2": false, "https://am.example.org/AM/oauth2": false,
		"https://am.example.org.evil.example/am/oauth2": false, "https://am.example.org@evil.example/am/oauth2": false, plain + "?x": false, "": false,
	} {
		if got := sameIssuer(plain) == sameIssuer(other); got != same {
			t.Errorf("%q: the same: %t", other, got)
		}
	}
	if sameIssuer("http://127.0.0.1:80/x") != sameIssuer("http://127.0.0.1/x") {
		t.Error("port 80 is http's own")
	}
}

func TestWellKnown_placesAndRefusals(t *testing.T) {
	got, err := wellKnown("https://h.example/a/b")
	if err != nil || len(got) != 2 || got[0] != "https://h.example/a/b/.well-known/openid-configuration" || got[1] != "https://h.example/.well-known/oauth-authorization-server/a/b" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := wellKnown("http://h.example/a"); err != nil || !strings.HasPrefix(got[0], "https://") {
		t.Errorf("a plain http issuer is asked in clear: %q, %v", got, err)
	}
	for _, bad := range []string{"", "h.example", "ftp://h.example", "https://u:p@h.example", "https://h.example?x=1", "https://h.example#f", "https://"} {
		if got, err := wellKnown(bad); err == nil {
			t.Errorf("wellKnown(%q) = %q", bad, got)
		}
	}
}

func TestSecureURL(t *testing.T) {
	const here, there = "http://127.0.0.1:1", "https://h.example"
	for _, good := range []struct{ url, issuer string }{
		{"https://h.example/token", there}, {"https://h.example/t?tenant=1", there}, {"https://127.0.0.1/t", there},
		{"http://127.0.0.1:1/token", here}, {"http://[::1]:1/t", here}, {"http://localhost/t", "https://localhost"}, {"https://h.example/t", here},
	} {
		if _, err := secureURL(good.url, good.issuer); err != nil {
			t.Errorf("%s: %v", good.url, err)
		}
	}
	for _, bad := range []string{
		"", "/token", "http://h.example/token", "javascript:alert(1)", "https:opaque", "https://user:pw@h.example/", "https://h.example/#f",
		"http://127.0.0.1.evil.example/", "http://localhost.evil.example/", "http://0x7f000001/", "file:///etc/passwd", "https://",
	} {
		for _, issuer := range []string{here, there} {
			if _, err := secureURL(bad, issuer); err == nil {
				t.Errorf("%q passes", bad)
			} else if strings.Contains(err.Error(), "pw") {
				t.Errorf("%q: the message shows the password: %v", bad, err)
			}
		}
	}
	// In clear to this machine is for an issuer on this machine alone.
	for _, bad := range []string{"http://127.0.0.1:1/token", "http://[::1]:1/t", "http://localhost/t"} {
		if _, err := secureURL(bad, there); err == nil {
			t.Errorf("%q passes for an issuer elsewhere", bad)
		}
	}
}

func TestParseMetadata_refusesWhatDoesNotFit(t *testing.T) {
	const id = "https://h.example"
	good := `{"issuer":"https://h.example","token_endpoint":"https://h.example/t","jwks_uri":"https://h.example/k"}`
	if _, err := parseMetadata([]byte(good), id); err != nil {
		t.Error(err)
	}
	for name, doc := range map[string]string{
		"other issuer":      strings.Replace(good, `"issuer":"https://h.example"`, `"issuer":"https://evil.example"`, 1),
		"trailing slash":    strings.Replace(good, `"issuer":"https://h.example"`, `"issuer":"https://h.example/"`, 1),
		"no token endpoint": `{"issuer":"https://h.example","jwks_uri":"https://h.example/k"}`,
		"http token":        strings.Replace(good, "https://h.example/t", "http://h.example/t", 1),
		"keys alone":        `{"issuer":"https://h.example","jwks_uri":"https://h.example/k"}`,
		"http keys":         strings.Replace(good, "https://h.example/k", "http://h.example/k", 1),
		"on loopback":       strings.Replace(good, "https://h.example/t", "http://127.0.0.1/t", 1),
		"relative token":    strings.Replace(good, "https://h.example/t", "/t", 1),
		"a list":            `[]`,
		"null":              `null`,
		"a number":          `{"issuer":7}`,
	} {
		if _, err := parseMetadata([]byte(doc), id); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}

// TestRemedies_knowEveryRefusalSeenLive has one row for each refusal that a
// real Keycloak gave, with a word that its remedy must have.
func TestRemedies_knowEveryRefusalSeenLive(t *testing.T) {
	for _, tt := range []struct {
		op, code, words, want string
		status                int
	}{
		{"exchange", "invalid_request", "Scope offline_access not allowed for token exchange", "standard token exchange", 400},
		{"exchange", "invalid_request", "Refresh token not valid as requested_token_type because creating a new session is needed", "log the user in again", 400},
		{"exchange", "invalid_request", "requested_token_type unsupported", "Allow refresh token", 400},
		{"exchange", "invalid_request", "Standard token exchange is not enabled for the requested client", "switch on", 400},
		{"exchange", "invalid_request", "Parameter 'subject_token' supports access tokens only", "not an access token", 400},
		{"exchange", "invalid_request", "Invalid token type, must be access token", "not an access token", 400},
		{"exchange", "invalid_request", "Invalid token", "expired", 400},
		{"exchange", "access_denied", "Client is not within the token audience", "audience mapper", 403},
		{"exchange", "access_denied", "Client not allowed to exchange", "permission", 403},
		{"exchange", "access_denied", "Client is not the holder of the token", "confidential", 403},
		{"exchange", "invalid_client", "Audience not found", "profile's audience", 400},
		{"exchange", "invalid_client", "Client requires user consent", "consent", 400},
		{"exchange", "invalid_client", "Public client is not allowed to exchange token", "confidential", 400},
		{"exchange", "invalid_scope", "Invalid scopes: gep", "scope", 400},
		{"exchange", "invalid_scope", "Missing consents for Token Exchange in client x", "consent", 400},
		{"exchange", "invalid_request", "Requested audience not available: ellip-test-ades", "audience", 400},
		{"exchange", "not_allowed", "Offline tokens not allowed for the user or client", "offline_access", 400},
		{"exchange", "unsupported_grant_type", "Unsupported grant_type", "token-exchange", 400},
		{"exchange", "unauthorized_client", "Invalid client or Invalid client credentials", "set-secret", 401},
		{"refresh", "invalid_client", "Invalid client or Invalid client credentials", "set-secret", 401},
		{"refresh", "unauthorized_client", "Invalid method used to get client secret. Client requires method 'client_secret_post'", "--client-auth", 401},
		{"exchange", "", "", "", 502},
	} {
		e := &Error{Op: tt.op, Status: tt.status, Code: tt.code, Description: tt.words, Product: Keycloak}
		if got := e.Hint().String(); !strings.Contains(strings.ToLower(got), strings.ToLower(tt.want)) || (tt.want == "") != (got == "") {
			t.Errorf("%s %s %q: %q, want %q in it", tt.op, tt.code, tt.words, got, tt.want)
		}
	}
	broken := &Error{Op: "exchange", Status: 500, Description: "No token exchange provider available"}
	if broken.Temporary() {
		t.Error("Keycloak's 500 for an exchange that nobody serves is taken for a passing fault")
	}
	if !(&Error{Status: 503}).Temporary() || !(&Error{Status: 429}).Temporary() || (&Error{Op: "refresh", Status: 400, Code: "invalid_grant"}).Temporary() {
		t.Error("Temporary is wrong about 503, 429 or 400")
	}
}
