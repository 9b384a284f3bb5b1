package e2e

import (
	"strings"
	"testing"

	"github.com/terradue/t2-cred/e2e/keycloak"
)

// TestExchange_subjectIssuer: Keycloak exchanges a token of another issuer that it knows
// as an identity provider (external to internal), and gives an offline token for its own
// user.
func TestExchange_subjectIssuer(t *testing.T) {
	here, there := server(t).NewRealm(t, keycloak.Legacy), server(t).NewRealm(t, keycloak.Standard)
	s := newStage(t, here)
	login := there.UserLogin("alice")

	// Without the alias it is not sent; with it and without an identity provider it is refused.
	before := len(here.Calls())
	wantFailure(t, s.Input(login.AccessToken, "exchange"), 7, "it is of another issuer", "--subject-issuer ALIAS")
	if n := exchanges(here.Calls()[before:]); n != 0 {
		t.Errorf("%d exchanges were sent", n)
	}
	if r := s.Input(login.AccessToken, "exchange", "--subject-issuer", "partner", "--subject-token-type", "jwt"); r.Code != 8 {
		t.Errorf("an unknown alias: %s", r)
	}

	here.Partner("partner", there)
	r := s.Input(login.AccessToken, "exchange", "--subject-issuer", "partner", "--subject-token-type", "jwt")
	wantFailure(t, r, 8, `invalid_token "User already exists"`, "link the user's account")
	here.LinkPartner("partner", "alice", there, "alice")
	for kind, token := range map[string]string{"jwt": login.AccessToken, "id_token": login.IDToken, "access_token": login.AccessToken} {
		account := strings.ReplaceAll(kind, "_", "-")
		r := s.Input(token, "exchange", "--subject-issuer", "partner", "--subject-token-type", kind, "--account", account)
		if r.Code != 0 || !strings.Contains(r.Stderr, "kept an offline token for alice as gep/"+account) {
			t.Fatalf("%s: %s", kind, r)
		}
		if strings.Contains(r.Stderr, "is of subject") {
			t.Errorf("%s: another issuer's subject is compared: %s", kind, r)
		}
		if sub := keycloak.Claims(s.Want(0, "get", "--fresh", "--account", account).Token())["sub"]; sub != here.UserID("alice") {
			t.Errorf("%s: the token is of %v", kind, sub)
		}
		// The same user again, into the same account.
		if r := s.Input(token, "exchange", "--subject-issuer", "partner", "--subject-token-type", kind, "--account", account); r.Code != 0 {
			t.Errorf("%s, again: %s", kind, r)
		}
	}
	// Another user of the partner's is another user here.
	bob := there.UserToken("bob")
	here.LinkPartner("partner", "bob", there, "bob")
	r = s.Input(bob, "exchange", "--subject-issuer", "partner", "--subject-token-type", "jwt", "--account", "jwt")
	wantFailure(t, r, 2, "has the grant of another user", "--replace")
	// A token that the partner did not sign.
	r = s.Input(forged(login.AccessToken), "exchange", "--subject-issuer", "partner", "--subject-token-type", "jwt", "--account", "forged")
	wantFailure(t, r, 7, `invalid_token "invalid token"`, "get a new access token")
}
