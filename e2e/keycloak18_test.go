package e2e

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/run"
)

// nextSecond lets Keycloak's clock go on. It compares the second in which a refresh
// token was made with that of the last refresh.
func nextSecond() { time.Sleep(1100 * time.Millisecond) }

const unsignedHeader = "eyJhbGciOiJub25lIn0" // {"alg":"none"}

func cutJWT(t *testing.T, token string) (header, payload, signature string) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("a token of %d characters is no JWT", len(token))
	}
	return parts[0], parts[1], parts[2]
}

// TestKeycloak18_behavesAsDocumented holds the server to what t2-cred knows of it.
func TestKeycloak18_behavesAsDocumented(t *testing.T) {
	realm := server18(t).NewRealm(t, keycloak.Legacy)
	token := realm.UserToken("alice")
	_, payload, _ := cutJWT(t, token)
	unsigned := unsignedHeader + "." + payload + "."
	with := func(name, value string) url.Values {
		f := keycloak.ExchangeForm(token)
		f.Set(name, value)
		return f
	}
	for name, c := range map[string]struct {
		form url.Values
		want string
	}{
		"offline":         {keycloak.ExchangeForm(token), "200 access=true refresh=Offline expires_in=300 refresh_expires_in=0"},
		"unknown scope":   {with("scope", "openid no-such-scope"), "200 access=true refresh=Offline"},
		"garbage":         {with("subject_token", "garbage"), `400 invalid_token "Invalid token"`},
		"unsigned":        {with("subject_token", unsigned), `500 unknown_error ""`},
		"none at all":     {url.Values{"grant_type": {keycloak.ExchangeGrant}}, `500 unknown_error ""`},
		"nobody's":        {with("audience", "nobody"), `400 invalid_client "Audience not found"`},
		"another type":    {with("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"), `400 invalid_token "Invalid token type, must be access token"`},
		"no refreshtoken": {keycloak.RefreshForm("x"), `400 invalid_grant "Invalid refresh token"`},
	} {
		a := realm.PostAsClient(c.form)
		got := strings.Replace(a.String(), "expires_in=299", "expires_in=300", 1) // a second has passed
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %s, want %s", name, a, c.want)
		}
	}
	form := keycloak.RefreshForm("x")
	form.Set("client_id", keycloak.ClientID)
	form.Set("client_secret", "wrong")
	wantAnswer(t, realm.Post(form), `401 unauthorized_client "Invalid client secret"`)
	form.Set("client_id", "nobody")
	wantAnswer(t, realm.Post(form), `400 invalid_client "Invalid client credentials"`)
	// A user whose session has ended, and one who is disabled.
	realm.Logout("alice")
	wantAnswer(t, realm.PostAsClient(keycloak.ExchangeForm(token)), `400 invalid_token "Invalid token"`)
	bob := realm.UserToken("bob")
	realm.DisableUser("bob")
	wantAnswer(t, realm.PostAsClient(keycloak.ExchangeForm(bob)), `400 invalid_token "Invalid token"`)
}

// TestKeycloak18_mainJob is the seed's job, on the generation of its own server.
func TestKeycloak18_mainJob(t *testing.T) { mainJob(t, server18(t).NewRealm(t, keycloak.Legacy)) }

func TestKeycloak18_loginByBrowser(t *testing.T) {
	loginByBrowser(t, server18(t).NewRealm(t, keycloak.Legacy))
}

func TestKeycloak18_loginByDevice(t *testing.T) {
	loginByDevice(t, server18(t).NewRealm(t, keycloak.Legacy))
}

// TestKeycloak18_oneRefresh: many processes find the token expired, where a refresh
// token spent twice ends the grant.
func TestKeycloak18_oneRefresh(t *testing.T) {
	raceForOneRefresh(t, newStage(t, server18(t).NewRealm(t, keycloak.Rotation)))
}

// TestKeycloak18_rotation: each refresh token serves once, and a thief's use of a spent
// one ends the grant. That is said, and the issuer is not asked again.
func TestKeycloak18_rotation(t *testing.T) {
	s := newStage(t, server18(t).NewRealm(t, keycloak.Rotation))
	p := watch(s.realm, nil)
	s.exchange("alice")
	for range 3 {
		nextSecond()
		s.get("alice", "--fresh")
	}
	given := p.granted(t)
	if len(given) != 4 || given[0].RefreshToken == given[1].RefreshToken || s.realm.RefreshErrors() != 0 {
		t.Fatalf("%d refresh tokens were given, %d refused", len(given), s.realm.RefreshErrors())
	}
	nextSecond()
	wantAnswer(t, s.realm.PostAsClient(keycloak.RefreshForm(given[1].RefreshToken)), `400 invalid_grant "`)
	wantFailure(t, s.Run("get", "--fresh"), 4, "invalid_grant", "t2-cred exchange")
	s.free("a dead grant", func() { s.Want(4, "get", "--min-valid", "10m") })
}

// TestKeycloak18_refusedUserTokens: what is wrong with the user's token is said as
// that (exit 7), and not as a fault of the configuration or of the server.
func TestKeycloak18_refusedUserTokens(t *testing.T) {
	s := newStage(t, server18(t).NewRealm(t, keycloak.Legacy))
	exchange := func(token string) run.Result {
		return s.Do(run.Cmd{Args: []string{"exchange"}, Stdin: token})
	}
	token := s.realm.UserToken("alice")
	header, payload, signature := cutJWT(t, token)
	unsigned := unsignedHeader + "." + payload + "."
	wantFailure(t, exchange(unsigned), 7, "it is not signed", "get a new access token")
	wantFailure(t, exchange(header+"."+payload), 7, "cut off or damaged", "copy the whole token")
	if n := exchanges(s.realm.Calls()); n != 0 {
		t.Errorf("%d tokens were sent that no server takes", n)
	}
	forged := header + "." + payload + "." + strings.Repeat("A", len(signature))
	wantFailure(t, exchange(forged), 7, "invalid_token", "get a new access token")
	s.realm.Logout("alice")
	wantFailure(t, exchange(token), 7, "invalid_token", "its session has ended")
	bob := s.realm.UserToken("bob")
	s.realm.DisableUser("bob")
	wantFailure(t, exchange(bob), 7, "invalid_token", "the user is disabled")
	s.Want(4, "get")
}

// TestKeycloak18_refusedScopes: a scope that the client does not have is left out of the
// answer without a word. Its name is said, and a required one is an error.
func TestKeycloak18_refusedScopes(t *testing.T) {
	s := newStage(t, server18(t).NewRealm(t, keycloak.LegacyOptional))
	s.realm.ConfigureClient(keycloak.ClientID, map[string]any{"fullScopeAllowed": true})
	s.Want(0, "profile", "edit", "gep", "--scope", keycloak.Scopes+" publish")
	r := s.exchange("alice")
	if strings.Count(r.Stderr, "did not grant these scopes: publish;") != 1 {
		t.Errorf("it says %s", r)
	}
	if out := s.Want(0, "status").Stdout; !strings.Contains(out, "publish") {
		t.Errorf("status does not name what was asked and not granted:\n%s", out)
	}
	s.Want(0, "erase")
	appendProfile(t, s.Home, `required_scopes = ["publish"]`)
	wantFailure(t, s.WantDo(8, run.Cmd{Args: []string{"exchange"}, Stdin: s.realm.UserToken("alice")}), 8, "required_scopes of the profile names: publish;", "")
	s.Want(4, "get")
}

// TestKeycloak18_erase: a revocation ends all offline grants of the user and client
// (keycloak#26532). All accounts that end are named, and no other.
func TestKeycloak18_erase(t *testing.T) {
	s := newStage(t, server18(t).NewRealm(t, keycloak.Legacy))
	for _, account := range []string{"job-1", "job-2", "job-3"} {
		s.exchange("alice", "--account", account)
	}
	s.exchange("bob", "--account", "bob")
	r := s.Want(0, "erase", "--account", "job-2")
	if !strings.Contains(r.Stderr, "warning: revoking gep/job-2 also ends gep/job-1, gep/job-3: this Keycloak (before 26.1)") ||
		!strings.Contains(r.Stderr, "revoked and erased gep/job-2") || strings.Contains(r.Stderr, "bob") {
		t.Errorf("it says %s", r)
	}
	for _, account := range []string{"job-1", "job-3"} {
		wantFailure(t, s.Run("get", "--fresh", "--account", account), 4, "Offline user session not found", "t2-cred exchange")
	}
	s.Want(0, "get", "--fresh", "--account", "bob")
	if r := s.Want(0, "erase", "--account", "bob"); strings.Contains(r.Stderr, "warning") {
		t.Errorf("it says %s", r)
	}
	// A dead one is erased, too.
	s.Want(0, "erase", "--account", "job-1")
}

// TestKeycloak18_secondExchange: two grants of one login end each other as the refresh
// tokens rotate. The second exchange of a login is refused, and nothing is sent for it.
func TestKeycloak18_secondExchange(t *testing.T) {
	s := newStage(t, server18(t).NewRealm(t, keycloak.Rotation))
	login := s.realm.UserToken("alice")
	second := func(code int, more ...string) run.Result {
		return s.WantDo(code, run.Cmd{Args: append([]string{"exchange", "--account", "job-2"}, more...), Stdin: login})
	}
	s.WantDo(0, run.Cmd{Args: []string{"exchange", "--account", "job-1"}, Stdin: login})
	s.free("the second exchange", func() {
		wantFailure(t, second(8), 8, "gep/job-1 already has a grant of this login", "t2-cred get --profile gep --account job-1")
	})
	// Whoever insists is told, and it comes as it was said.
	if r := second(0, "--replace"); !strings.Contains(r.Stderr, "warning: gep/job-1 has a grant of the same login, which ends when this one is refreshed") {
		t.Errorf("it says %s", r)
	}
	nextSecond()
	s.Want(0, "get", "--fresh", "--account", "job-2")
	nextSecond()
	wantFailure(t, s.Run("get", "--fresh", "--account", "job-1"), 4, "Stale token", "t2-cred exchange")
	s.Want(4, "get", "--fresh", "--account", "job-2")
	// A login each: both live.
	for _, account := range []string{"job-1", "job-2"} {
		s.exchange("bob", "--account", account, "--replace")
	}
	for range 2 {
		for _, account := range []string{"job-1", "job-2"} {
			nextSecond()
			s.get("bob", "--fresh", "--account", account)
		}
	}
}

// TestKeycloak18_introspection: how this server calls a refresh token that has ended,
// and that t2-cred takes its word only for a grant that it called active before.
func TestKeycloak18_introspection(t *testing.T) {
	s := newStage(t, server18(t).NewRealm(t, keycloak.Rotation))
	p := watch(s.realm, nil)
	s.exchange("alice")
	nextSecond()
	s.get("alice", "--fresh")
	given := p.granted(t)
	spent, good := given[0].RefreshToken, given[1].RefreshToken
	ask := func(token string) string {
		return s.realm.Introspect(url.Values{"token": {token}, "token_type_hint": {"refresh_token"}}).String()
	}
	if a, b, c := ask(spent), ask(good), ask("garbage"); a != "200 active=false" || b != "200 active=true" || c != "200 active=false" {
		t.Errorf("a spent one: %s, the good one: %s, none: %s", a, b, c)
	}
	if out := s.Want(0, "status", "--check").Stdout; !strings.Contains(out, "active") || strings.Contains(out, "inactive") {
		t.Errorf("status --check says\n%s", out)
	}
	s.realm.Revoke(good)
	if a := ask(good); a != `400 invalid_request "Failed to introspect token."` {
		t.Errorf("a revoked one: %s", a)
	}
	before := s.realm.RefreshErrors()
	if out := s.Want(0, "status", "--check").Stdout; !strings.Contains(out, "inactive") || s.realm.RefreshErrors() != before {
		t.Errorf("status --check of a revoked grant says\n%s", out)
	}
}

// oneLine undoes the breaking of lines.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// TestKeycloak18_doctor: exchange is there though discovery does not list it, and the
// list for the admin is in Keycloak's words.
func TestKeycloak18_doctor(t *testing.T) {
	s := newStage(t, server18(t).NewRealm(t, keycloak.Legacy))
	wantReport(t, s.Want(0, "doctor"), `ok    discovery  http://`, `ok    keys       signing keys for RS256`, `ok    client     ellip-test-ades proved itself by basic$`,
		`ok    exchange   there is one, though the issuer does not list it;`, `ok    login      the issuer offers t2-cred login --browser and --device$`)
	s.exchange("alice")
	wantReport(t, s.Want(0, "doctor"), `ok    account    gep/default: offline, of alice, `)
	list := oneLine(s.Want(0, "doctor", "--for-admin").Stdout)
	for _, word := range []string{"realm " + s.realm.Name(), keycloak.ClientID, "offline_access", "Audience", "feature token-exchange"} {
		if !strings.Contains(list, word) {
			t.Errorf("the list for the admin does not say %q:\n%s", word, list)
		}
	}
	if strings.Contains(list, "Seen now") {
		t.Errorf("the list complains:\n%s", list)
	}
	s.realm.ChangeClientSecret()
	r := s.Want(8, "doctor")
	wantReport(t, r, `fail  client     ellip-test-ades, by basic: unauthorized_client "Invalid client`)
	if !strings.Contains(r.Stderr, "t2-cred profile set-secret") || strings.Contains(r.Stdout, "\nok    exchange") {
		t.Errorf("it says %s", r)
	}
	if !strings.Contains(oneLine(s.Want(8, "doctor", "--for-admin").Stdout), "Seen now: ellip-test-ades, by basic") {
		t.Error("the admin is not told")
	}
}
