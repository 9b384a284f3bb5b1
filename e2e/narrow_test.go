package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/run"
)

// opened is what a token opens, by a look into it.
func opened(token string) (scopes, audience string) {
	claims := keycloak.Claims(token)
	list := strings.Fields(fmt.Sprint(claims["scope"]))
	slices.Sort(list)
	return strings.Join(list, " "), strings.Trim(fmt.Sprint(claims["aud"]), "[]")
}

func wantOpens(t *testing.T, token, scopes, audience string) {
	t.Helper()
	if s, a := opened(token); s != scopes || a != audience {
		t.Errorf("the token has scopes %q and aud %q, not %q and %q", s, a, scopes, audience)
	}
}

// addToProfile appends TOML to the profile's own file.
func addToProfile(t *testing.T, home *run.Home, profile, text string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(home.Dir, ".config", "t2-cred", "profiles.d", profile+".toml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

const everyScope = "ellip email gep offline_access openid profile"

// TestNarrow_keycloakStandard: Keycloak's standard exchange narrows our own tokens, by
// scope and by audience. The refresh token has no part in it.
func TestNarrow_keycloakStandard(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Standard)
	home := loginHome(t, realm)
	home.Want(0, "profile", "edit", "gep", "--host", "git.example.org", "--host", "api.example.org")
	home.WantDo(0, run.Cmd{Args: []string{"import"}, Stdin: givenElsewhere(t, realm, "alice", keycloak.Scopes).RefreshToken})
	whole := home.Want(0, "get").Token()
	wantOpens(t, whole, everyScope, keycloak.ClientID+" account")
	spent := realm.RefreshCount()

	narrow := home.Want(0, "get", "--scope", "email profile gep", "--audience", keycloak.ClientID).Token()
	wantOpens(t, narrow, "email gep profile", keycloak.ClientID)
	wantOpens(t, home.Want(0, "get", "--scope", "email profile").Token(), "email profile", keycloak.ClientID+" account")
	wantOpens(t, home.Want(0, "get", "--audience", "account").Token(), "email profile", "account")
	asked := len(realm.Calls())
	if again := home.Want(0, "get", "--audience", keycloak.ClientID, "--scope", "gep profile email").Token(); again != narrow {
		t.Error("the cached one is another")
	}
	if n := len(realm.Calls()) - asked; n != 0 {
		t.Errorf("a cached narrower token cost %d requests", n)
	}
	if n := realm.RefreshCount() - spent; n != 0 {
		t.Errorf("%d refresh tokens were spent", n)
	}

	// Keycloak adds Default client scopes: refused, and the hint is a request that works.
	wantFailure(t, home.Run("get", "--scope", "gep"), 8, "the issuer gave these scopes too: email profile; nothing broader is sent", "--scope 'email gep profile'")
	wantFailure(t, home.Run("get", "--audience", "portal"), 8, "Requested audience not available: portal", "audience mapper")
	wantFailure(t, home.Run("get", "--audience", "nobody"), 8, "Audience not found", "name another audience")
	wantFailure(t, home.Run("get", "--scope", "nonsense"), 8, "the grant does not have nonsense", "t2-cred status")

	// A hook, by the profile.
	addToProfile(t, home, "gep", "\n[[narrow]]\nhosts = [\"git.example.org\"]\nscopes = [\"email\", \"profile\", \"gep\"]\naudience = [\"account\"]\n")
	answer := home.WantDo(0, run.Cmd{Args: []string{"git", "get"}, Stdin: "protocol=https\nhost=git.example.org\n\n"}).Stdout
	_, password, _ := strings.Cut(answer, "password=")
	password, _, _ = strings.Cut(password, "\n")
	wantOpens(t, password, "email gep profile", "account")
	if got := home.Want(0, "get", "--url", "https://api.example.org/").Token(); got != whole {
		t.Error("a host without a table gets another token than the whole")
	}
	if r := home.Want(0, "doctor"); !strings.Contains(r.Stdout, "narrow") || !strings.Contains(r.Stdout, "git.example.org") {
		t.Errorf("doctor: %s", r)
	}

	// The grant is as it was; its end ends the narrower tokens.
	wantOpens(t, home.Want(0, "get", "--fresh").Token(), everyScope, keycloak.ClientID+" account")
	home.Want(0, "erase")
	wantFailure(t, home.Run("get", "--audience", "account"), 4, "nothing is stored", "t2-cred exchange")
}

// TestNarrow_keycloakEndedSession: the whole token is cached and good by its dates, and
// Keycloak has ended its session. That is found out by the exchange, and said as exit 4.
func TestNarrow_keycloakEndedSession(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Standard)
	home := loginHome(t, realm)
	given := givenElsewhere(t, realm, "alice", keycloak.Scopes)
	home.WantDo(0, run.Cmd{Args: []string{"import"}, Stdin: given.RefreshToken})
	home.Want(0, "get")
	realm.Revoke(given.RefreshToken)
	wantFailure(t, home.Run("get", "--audience", "account"), 4, "invalid_grant", "t2-cred exchange")
}

// TestNarrow_keycloakLegacy: the legacy exchange gives all Default client scopes whatever
// is asked for. Nothing of it is handed out, and rotation is not disturbed.
func TestNarrow_keycloakLegacy(t *testing.T) {
	s := newStage(t, server(t).NewRealm(t, keycloak.Rotation))
	s.exchange("alice")
	get := func(args ...string) run.Result { return s.Run(append([]string{"get"}, args...)...) }
	wantFailure(t, get("--scope", "gep"), 8, "the issuer gave these scopes too", "ask for all that it gives")
	wantFailure(t, get("--audience", "portal"), 8, "Client not allowed to exchange", "Standard token exchange")
	for range 3 {
		if r := get("--fresh"); r.Code != 0 {
			t.Fatalf("after it: %s", r)
		}
	}
	if n := s.realm.RefreshErrors(); n != 0 {
		t.Errorf("%d refreshes were refused", n)
	}
}

// TestNarrow_atRefresh: oidc-provider narrows at a refresh. The access token has these
// scopes alone, and the next refresh has all again: so quirks.go lists it.
func TestNarrow_atRefresh(t *testing.T) {
	s := newNodeStage(t, nativeClient("ellip", "none", nil), "--client-auth", "none", "--host", "api.example.org")
	s.browserLogin("alice")
	const whole, audience = "ellip email offline_access openid", "https://api.example.org"
	first := s.Want(0, "get").Token()
	wantOpens(t, first, whole, audience)
	before := len(s.provider.Calls("token"))
	wantOpens(t, s.Want(0, "get", "--scope", "ellip").Token(), "ellip", audience)
	wantOpens(t, s.Want(0, "get", "--scope", "email openid").Token(), "email openid", audience)
	s.Want(0, "get", "--scope", "openid email")
	calls := s.provider.Calls("token")[before:]
	if len(calls) != 2 || calls[0].Form["scope"] != "ellip" || calls[0].Form["grant_type"] != "refresh_token" {
		t.Fatalf("the requests are %v", calls)
	}
	if got := s.Want(0, "get").Token(); got != first {
		t.Error("the whole token is another")
	}
	// Each rotated token has all scopes; no reuse was seen, which would have ended the grant.
	wantOpens(t, s.Want(0, "get", "--fresh").Token(), whole, audience)
	wantOpens(t, s.Want(0, "get", "--scope", "ellip", "--fresh").Token(), "ellip", audience)
	wantOpens(t, s.Want(0, "get", "--fresh").Token(), whole, audience)
	if status := s.Want(0, "status").Stdout; !strings.Contains(status, "offline") || !strings.Contains(status, "openid email offline_access ellip") {
		t.Errorf("status: %s", status)
	}
	asked := len(s.provider.Calls("token"))
	wantFailure(t, s.Run("get", "--audience", "https://other.example.org"), 8, "narrows scopes only, at a refresh", "leave the audience out")
	wantFailure(t, s.Run("get", "--scope", "ellip admin"), 8, "the grant does not have admin", "t2-cred status")
	if n := len(s.provider.Calls("token")); n != asked {
		t.Errorf("%d requests for what is impossible", n-asked)
	}
	addToProfile(t, s.Home, "node", "\n[[narrow]]\nhosts = [\"api.example.org\"]\nscopes = [\"ellip\"]\n")
	answer := s.WantDo(0, run.Cmd{Args: []string{"bazel", "get"}, Stdin: `{"uri":"https://api.example.org/x"}`}).Stdout
	_, token, _ := strings.Cut(answer, "Bearer ")
	token, _, _ = strings.Cut(token, `"`)
	wantOpens(t, token, "ellip", audience)
}

// TestNarrow_opaqueAtRefresh: opaque tokens narrow by what the answer says of them.
func TestNarrow_opaqueAtRefresh(t *testing.T) {
	s := newNodeStage(t, nativeClient("opaque", "none", nil), "--client-auth", "none")
	s.browserLogin("alice")
	got := readJSON(t, s.Want(0, "get", "--scope", "openid email", "--format", "json").Stdout)
	if got["scope"] != "email openid" {
		t.Errorf("scope is %v", got["scope"])
	}
	s.Want(0, "get", "--fresh")
}
