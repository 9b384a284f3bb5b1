package e2e

import (
	"regexp"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/run"
)

// TestIssuers_optionalScopes: Keycloak grants optional scopes in an exchange only if the
// user's token has them too. What is missing is said by name, and a required one is an
// error.
func TestIssuers_optionalScopes(t *testing.T) {
	s := newStage(t, server(t).Realm(t, keycloak.LegacyOptional))
	user := func() string { return s.realm.UserToken("alice", "openid", "offline_access") }
	r := s.WantDo(0, run.Cmd{Args: []string{"exchange"}, Stdin: user()})
	if strings.Count(r.Stderr, "did not grant these scopes: ellip gep;") != 1 {
		t.Errorf("it says %s", r)
	}
	if r := s.Want(0, "get", "--fresh"); r.Stderr != "" {
		t.Errorf("it is said again: %s", r)
	}
	s.Want(0, "erase")
	appendProfile(t, s.Home, `required_scopes = ["gep"]`)
	wantFailure(t, s.Input(user(), "exchange"), 8, "required_scopes of the profile names: gep;", "")
	s.Want(4, "get")
	s.WantDo(0, run.Cmd{Args: []string{"exchange"}, Stdin: s.realm.UserToken("alice", "openid", "offline_access", "ellip", "gep")})
}

// TestIssuers_withdrawnScope: an administrator takes a scope away. The next refresh says
// so once, and status shows what the token has.
func TestIssuers_withdrawnScope(t *testing.T) {
	s := newStage(t, server(t).NewRealm(t, keycloak.Legacy))
	s.exchange("alice")
	s.realm.TakeScope(keycloak.ClientID, "gep")
	if r := s.Want(0, "get", "--fresh"); strings.Count(r.Stderr, "did not grant these scopes: gep;") != 1 {
		t.Errorf("it says %s", r)
	}
	if r := s.Want(0, "get", "--fresh"); r.Stderr != "" {
		t.Errorf("it is said again: %s", r)
	}
	if out := s.Want(0, "status").Stdout; !regexp.MustCompile(`(?m)^not granted: +gep$`).MatchString(out) {
		t.Errorf("status says\n%s", out)
	}
}

// TestIssuers_renamedUser: the old name of a user was given to somebody else. Each account
// has the name that its last token had.
func TestIssuers_renamedUser(t *testing.T) {
	s := newStage(t, server(t).NewRealm(t, keycloak.Legacy))
	s.exchange("alice", "--account", "first")
	s.realm.RenameUser("alice", "alicia")
	s.realm.RenameUser("bob", "alice")
	s.Want(0, "get", "--fresh", "--account", "first")
	subject := s.realm.UserID("alice")
	for _, command := range []string{"status", "list"} {
		args := []string{command}
		if command == "status" {
			args = append(args, "--account", "first")
		}
		if out := s.Want(0, args...).Stdout; !strings.Contains(out, "alicia") || strings.Contains(strings.ReplaceAll(out, "alicia", ""), "alice") {
			t.Errorf("%s says\n%s", command, out)
		}
	}
	if sub := keycloak.Claims(s.Want(0, "get", "--account", "first").Token())["sub"]; sub != subject {
		t.Errorf("the token is %v's", sub)
	}
}

// TestIssuers_noSubject: a client without the scope basic gets access tokens that name no
// subject. The ID token beside it does: that is the grant's, and no other user's grant replaces
// it unasked.
func TestIssuers_noSubject(t *testing.T) {
	s := newStage(t, server(t).NewRealm(t, keycloak.Legacy))
	s.realm.TakeScope(keycloak.ClientID, "basic")
	p := watch(s.realm, nil)
	s.exchange("alice")
	r := s.Want(0, "get", "--fresh")
	given := p.granted(t)[0]
	for _, token := range []string{r.Token(), given.AccessToken, given.RefreshToken} {
		if _, named := keycloak.Claims(token)["sub"]; named {
			t.Fatal("the token names a subject: this shows nothing")
		}
	}
	readJSON(t, s.Want(0, "status", "--json").Stdout).want(t, object{"subject": s.realm.UserID("alice")})
	if out := s.Want(0, "claims").Stdout; strings.Contains(out, "opaque") || !strings.Contains(out, "ellip-test-ades") {
		t.Errorf("claims says\n%s", out)
	}
	wantFailure(t, s.Input(s.realm.UserToken("bob"), "exchange"), 2, "has the grant of another user", "--replace")
}

// TestIssuers_dpop: the application's client demands DPoP. That is said by name at the
// exchange and at a refresh, nothing is lost, and it works again when the demand is gone.
func TestIssuers_dpop(t *testing.T) {
	s := newStage(t, server(t).NewRealm(t, keycloak.Legacy))
	demand := func(on string) {
		s.realm.ConfigureClient(keycloak.ClientID, map[string]any{"attributes": map[string]any{"dpop.bound.access.tokens": on}})
	}
	const hint = "the issuer demands DPoP (RFC 9449) of this client, which t2-cred does not speak"
	demand("true")
	wantFailure(t, s.Input(s.realm.UserToken("alice"), "exchange"), 8, "DPoP proof is missing", hint)
	s.Want(4, "get")
	demand("false")
	s.exchange("alice")
	demand("true")
	wantFailure(t, s.Run("get", "--fresh"), 8, "DPoP proof is missing", hint)
	s.get("alice") // what is cached is still good
	demand("false")
	s.Want(0, "get", "--fresh")
}
