package e2e

import (
	"strings"
	"testing"

	"github.com/terradue/t2-cred/e2e/keycloak"
)

// TestIssuers_pairwise: Keycloak knows each user by one subject at the portal and by another
// at the application. The grant has the application's, in all of its tokens. The difference
// is said once, and a second exchange of the same user is no other user's.
func TestIssuers_pairwise(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Legacy)
	realm.PairwiseSubjects(keycloak.ClientID)
	realm.PairwiseSubjects(keycloak.PortalID)
	s := newStage(t, realm)
	p := watch(realm, nil)
	user := realm.UserToken("alice")
	theirs, _ := keycloak.Claims(user)["sub"].(string)
	first := s.Input(user, "exchange")
	if first.Code != 0 || strings.Count(first.Stderr, "is of subject "+theirs+" and ") != 1 || !strings.Contains(first.Stderr, "kept an offline token for alice") {
		t.Fatalf("it says %s", first)
	}
	given := p.granted(t)[0]
	ours, _ := keycloak.Claims(given.AccessToken)["sub"].(string)
	if ours == "" || ours == theirs || ours == realm.UserID("alice") || theirs == realm.UserID("alice") {
		t.Fatalf("the portal has subject %s and we have %s, and the user's id is %s: this shows nothing", theirs, ours, realm.UserID("alice"))
	}
	s.Want(0, "get", "--fresh")
	for _, g := range p.granted(t) {
		for _, token := range []string{g.AccessToken, g.RefreshToken, g.IDToken} {
			if keycloak.Claims(token)["sub"] != ours {
				t.Errorf("a token has subject %v, not %s", keycloak.Claims(token)["sub"], ours)
			}
		}
	}
	readJSON(t, s.Want(0, "status", "--json").Stdout).want(t, object{"subject": ours, "kind": "offline", "state": "ok"})
	readJSON(t, s.Want(0, "claims", "--json").Stdout).want(t, object{"sub": ours})

	if r := s.exchange("alice"); strings.Contains(r.Stderr, "is of subject") {
		t.Errorf("it is said again: %s", r)
	}
	wantFailure(t, s.Input(realm.UserToken("bob"), "exchange"), 2, "has the grant of another user, alice", "--replace")

	// The application's own token is compared: there a subject is one user's.
	own := s.Want(0, "get").Token()
	if r := s.Input(own, "exchange"); r.Code != 0 || strings.Contains(r.Stderr, "warning") {
		t.Errorf("our own token: %s", r)
	}
	s.Want(0, "erase")
}

// TestIssuers_pairwiseNameless: the portal's tokens have no user name either. Only the
// answer tells whose the new grant is.
func TestIssuers_pairwiseNameless(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Legacy)
	realm.PairwiseSubjects(keycloak.ClientID)
	realm.TakeScope(keycloak.PortalID, "profile")
	s := newStage(t, realm)
	if _, named := keycloak.Claims(realm.UserToken("alice"))["preferred_username"]; named {
		t.Fatal("the user's token has a name: this shows nothing")
	}
	s.exchange("alice")
	s.exchange("alice")
	before := s.Want(0, "get").Token()
	wantFailure(t, s.Input(realm.UserToken("bob"), "exchange"), 2, "has the grant of another user, alice; the new one is of bob", "--replace")
	if s.Want(0, "get").Token() != before {
		t.Error("alice's grant was replaced")
	}
	s.Want(0, "get", "--fresh")
}

// TestIssuers_pairwiseLater: an administrator makes the subjects of a client pairwise. The
// answer to the stored grant names another subject and is not adopted. The hint begins a new
// grant.
func TestIssuers_pairwiseLater(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Legacy)
	s := newStage(t, realm)
	s.exchange("alice")
	before := realm.UserID("alice")
	realm.PairwiseSubjects(keycloak.ClientID)
	wantFailure(t, s.Run("get", "--fresh"), 7, "it is for another subject", "t2-cred exchange --profile gep --token-file FILE --replace")
	readJSON(t, s.Want(0, "status", "--json").Stdout).want(t, object{"subject": before})
	// What is still good is given out, and no other user's grant is replaced unasked.
	s.get("alice")
	wantFailure(t, s.Input(realm.UserToken("alice"), "exchange"), 2, "has the grant of another user", "--replace")
	s.exchange("alice", "--replace")
	r := s.Want(0, "get", "--fresh")
	if sub := keycloak.Claims(r.Token())["sub"]; sub == before || r.Stderr != "" {
		t.Errorf("the token is of %v; it says %s", sub, r.Stderr)
	}
}
