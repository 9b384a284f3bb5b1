package e2e

import (
	"net/url"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/run"
)

// givenElsewhere are the tokens of a user who typed the password into another
// program of the same client.
func givenElsewhere(t *testing.T, realm *keycloak.Realm, user, scope string) keycloak.Answer {
	t.Helper()
	realm.ConfigureClient(keycloak.ClientID, map[string]any{"directAccessGrantsEnabled": true})
	a := realm.PostAsClient(url.Values{
		"grant_type": {"password"}, "username": {user}, "password": {realm.Password(user)}, "scope": {scope},
	})
	if a.RefreshToken == "" {
		t.Fatalf("the password grant: %s", a)
	}
	return a
}

func TestImport_offlineToken(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Legacy)
	home := loginHome(t, realm)
	given := givenElsewhere(t, realm, "alice", "openid offline_access")

	// An access token is told apart before anything is sent.
	before := len(realm.Calls())
	r := home.Input(given.AccessToken, "import")
	if r.Code != 7 || !strings.Contains(r.Stderr, "it is an access token") || len(realm.Calls()) != before {
		t.Errorf("an access token: %s", r)
	}
	r = home.WantDo(0, run.Cmd{Args: []string{"import"}, Stdin: given.RefreshToken + "\n"})
	if !strings.Contains(r.Stderr, "kept an offline token for alice as gep/default in the keyring store") || r.Stdout != "" {
		t.Errorf("it says %s", r)
	}
	if n := realm.RefreshCount(); n != 1 {
		t.Errorf("proven by %d refreshes", n)
	}
	realm.EndSessions("alice")
	if sub := keycloak.Claims(home.Want(0, "get", "--fresh").Token())["sub"]; sub != realm.UserID("alice") {
		t.Errorf("the token is %v's", sub)
	}
	realm.Revoke(given.RefreshToken)
	if r := home.Run("import", "--account", "late", "--token-file", "-"); r.Code != 2 {
		t.Errorf("an empty standard input: %s", r)
	}
	r = home.WantDo(4, run.Cmd{Args: []string{"import", "--account", "late"}, Stdin: given.RefreshToken})
	if !strings.Contains(r.Stderr, "does not take this refresh token: invalid_grant") {
		t.Errorf("a revoked one: %s", r)
	}
}

// TestImport_onlineToken is not what was meant, unless it is asked for.
func TestImport_onlineToken(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.LegacyOptional)
	home := loginHome(t, realm)
	given := givenElsewhere(t, realm, "alice", "openid")
	r := home.WantDo(8, run.Cmd{Args: []string{"import"}, Stdin: given.RefreshToken})
	if !strings.Contains(r.Stderr, "it was not sent, and nothing was kept") || realm.RefreshCount() != 0 {
		t.Errorf("an online token: %s", r)
	}
	home.WantDo(0, run.Cmd{Args: []string{"import", "--allow-online"}, Stdin: given.RefreshToken})
	home.Want(0, "get", "--fresh")
}

// TestImport_rotated: the proof spends what was brought; the successor is the grant.
func TestImport_rotated(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Rotation)
	home := loginHome(t, realm)
	given := givenElsewhere(t, realm, "bob", "openid offline_access")
	home.WantDo(0, run.Cmd{Args: []string{"import"}, Stdin: given.RefreshToken})
	home.Want(0, "get", "--fresh")
	home.Want(0, "get", "--fresh")
	if n := realm.RefreshCount(); n != 3 || realm.RefreshErrors() != 0 {
		t.Errorf("%d refreshes, %d refused", n, realm.RefreshErrors())
	}
}
