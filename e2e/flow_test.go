package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/keyring"
	"github.com/terradue/t2-cred/e2e/run"
)

// TestFlow_seed is the main job: a user's token is exchanged once, the user goes
// home, and days later there are still fresh tokens.
func TestFlow_seed(t *testing.T) { mainJob(t, server(t).NewRealm(t, keycloak.Legacy)) }

func mainJob(t *testing.T, realm *keycloak.Realm) {
	t.Helper()
	ring := keyring.Start(t)
	s := &stage{program(t).NewHome(t).Set(ring.Bus()), t, ring, realm}

	// Discovery: the issuer is pasted with a slash too many, and saved as it is.
	args := addProfile(t, realm)
	args[slices.Index(args, realm.Issuer())] += "/"
	args = slices.DeleteFunc(args, func(arg string) bool { return arg == "--unproven" })
	if r := s.Want(0, args...); r.Stdout != "" || !strings.Contains(r.Stderr, "saved profile gep: client "+keycloak.ClientID+" at "+realm.Issuer()+"\n") {
		t.Errorf("profile add: %s", r)
	}
	readJSON(t, s.Want(0, "profile", "show", "gep", "--json").Stdout).want(t, object{
		"name": "gep", "issuer": realm.Issuer(), "client_id": keycloak.ClientID, "client_auth": "auto", "default": true,
	})
	wantFailure(t, s.Run("get"), 4, "nothing is stored for gep/default", "t2-cred exchange")
	wantFailure(t, s.Run("status"), 4, "nothing is stored for gep/default", "t2-cred exchange")

	// Exchange.
	r := s.WantDo(0, run.Cmd{Args: []string{"exchange", "--token-file", secretFile(t, realm.UserToken("alice"))}})
	if r.Stdout != "" || !strings.Contains(r.Stderr, "kept an offline token for alice as gep/default in the keyring store\n") ||
		!strings.Contains(r.Stderr, "end unknown") {
		t.Errorf("exchange: %s", r)
	}

	// Cached: the exchange's own access token, without asking anybody.
	var first string
	s.free("a cached get", func() {
		r := s.Want(0, "get")
		first = r.Token()
		if r.Stdout != first+"\n" || r.Stderr != "" {
			t.Errorf("get printed more than a token and a line end: %s", r)
		}
		if again := s.get("alice"); again != first {
			t.Error("the second get printed another token")
		}
	})

	// Claims, verified.
	want := keycloak.Claims(first)
	if got := readJSON(t, s.Want(0, "claims", "--json").Stdout); fmt.Sprint(got) != fmt.Sprint(object(want)) {
		t.Errorf("claims --json printed\n%v\nthe token says\n%v", got, want)
	}
	readJSON(t, s.Want(0, "claims", "--json").Stdout).want(t, object{
		"iss": realm.Issuer(), "sub": realm.UserID("alice"), "azp": keycloak.ClientID, "preferred_username": "alice",
	})
	if out := s.Want(0, "claims").Stdout; !strings.Contains(out, "alice@example.org") || !strings.Contains(out, "(20") {
		t.Errorf("claims for people: %q", out)
	}

	// The user logs out, and an administrator ends what sessions there are.
	realm.Logout("alice")
	realm.UserToken("alice")
	realm.EndSessions("alice")
	if n := realm.Sessions("alice"); n != 0 {
		t.Fatalf("alice has %d sessions after logging out", n)
	}
	before := realm.RefreshCount()
	second := s.get("alice", "--fresh")
	if second == first {
		t.Error("get --fresh printed the cached token")
	}

	// Days later: the token has expired, another process asks.
	realm.SetAccessTokenLifespan(3 * time.Second)
	short := s.get("alice", "--fresh")
	expire(t, short)
	r = s.Want(0, "get", "--min-valid", "1s")
	if r.Token() == short || r.Stderr != "" {
		t.Errorf("get after the token's end: %s", r)
	}
	if n := realm.RefreshCount() - before; n != 3 {
		t.Errorf("the server counted %d refreshes, want 3", n)
	}
	if r := s.Want(0, "get", "--min-valid", "1h"); !strings.Contains(r.Stderr, "warning: the issuer's tokens live shorter than asked") {
		t.Errorf("get --min-valid 1h: %s", r)
	}
}

// TestFlow_getFormats holds the shapes of get to the contract, to the letter.
func TestFlow_getFormats(t *testing.T) {
	realm := server(t).Realm(t, keycloak.Legacy)
	s := newStage(t, realm)
	s.exchange("alice")
	token := s.get("alice")
	exp := int64(keycloak.Claims(token)["exp"].(float64))

	for format, want := range map[string]string{
		"token":  token + "\n",
		"header": "Authorization: Bearer " + token + "\n",
		"env":    "export T2_CRED_ACCESS_TOKEN='" + token + "'\n",
	} {
		if r := s.Want(0, "get", "--format", format); r.Stdout != want || r.Stderr != "" {
			t.Errorf("--format %s: %s", format, r)
		}
	}

	for _, args := range [][]string{{"get", "--format", "json"}, {"get", "--json"}} {
		out := s.Want(0, args...).Stdout
		members := []string{"access_token", "token_type", "expires_at", "expires_in", "scope", "subject", "profile", "account", "issuer"}
		if got := memberNames(t, out); !slices.Equal(got, members) {
			t.Errorf("%v: members %q, want %q", args, got, members)
		}
		o := readJSON(t, out)
		o.want(t, object{
			"access_token": token, "token_type": "Bearer", "subject": realm.UserID("alice"),
			"profile": "gep", "account": "default", "issuer": realm.Issuer(),
		})
		text, _ := o["expires_at"].(string)
		at, err := time.Parse(time.RFC3339, text)
		if err != nil || !strings.HasSuffix(text, "Z") || at.Unix() < exp-5 || at.Unix() > exp+5 {
			t.Errorf("expires_at is %q, exp is %d", text, exp)
		}
		if in, _ := o["expires_in"].(float64); in != float64(int64(in)) || in <= 0 || in > 300 {
			t.Errorf("expires_in is %v", o["expires_in"])
		}
		scope, _ := o["scope"].(string)
		for _, name := range []string{"offline_access", "ellip", "gep", "email"} {
			if !slices.Contains(strings.Fields(scope), name) {
				t.Errorf("scope %q lacks %s", scope, name)
			}
		}
	}
	if r := s.Run("get", "--format", "xml"); r.Code != 2 || r.Stdout != "" {
		t.Errorf("--format xml: %s", r)
	}
	r := s.Run("get", "--json", "--account", "nobody")
	e, _ := readJSON(t, r.Stderr)["error"].(map[string]any)
	object(e).want(t, object{"code": "login_required", "exit": 4.0})
	if r.Code != 4 || r.Stdout != "" || len(e) != 4 || e["message"] == "" || e["hint"] == "" {
		t.Errorf("an error as JSON: %s", r)
	}
}

// memberNames are the names of an object's members, in their order.
func memberNames(t *testing.T, text string) (names []string) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name.(string))
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// TestFlow_statusAndList show what is kept, never how.
func TestFlow_statusAndList(t *testing.T) {
	realm := server(t).Realm(t, keycloak.Legacy)
	s := newStage(t, realm)
	began := time.Now().Add(-2 * time.Second)
	s.exchange("alice")
	s.exchange("bob", "--account", "job-4711")

	s.free("status and list", func() {
		o := readJSON(t, s.Want(0, "status", "--json", "--account", "job-4711").Stdout)
		o.want(t, object{
			"profile": "gep", "account": "job-4711", "state": "ok", "kind": "offline", "subject": realm.UserID("bob"),
			"username": "bob", "issuer": realm.Issuer(), "client_id": keycloak.ClientID, "store": "keyring", "refresh_expires_at": nil,
		})
		for _, name := range []string{"created_at", "refreshed_at", "access_expires_at"} {
			text, _ := o[name].(string)
			if at, err := time.Parse(time.RFC3339, text); err != nil || at.Before(began) || at.After(began.Add(10*time.Minute)) {
				t.Errorf("%s is %v", name, o[name])
			}
		}
		out := s.Want(0, "status").Stdout
		for _, word := range []string{"gep/default", "offline", "alice", "keyring", "offline_access", realm.Issuer()} {
			if !strings.Contains(out, word) {
				t.Errorf("status does not say %q: %q", word, out)
			}
		}
		var all []object
		if err := json.Unmarshal([]byte(s.Want(0, "list", "--json").Stdout), &all); err != nil || len(all) != 2 {
			t.Fatalf("list --json: %v, %v", all, err)
		}
		all[0].want(t, object{"account": "default", "username": "alice", "state": "ok"})
		all[1].want(t, object{"account": "job-4711", "username": "bob", "state": "ok"})
		if out := s.Want(0, "list").Stdout; strings.Count(out, "\n") != 3 {
			t.Errorf("list: %q", out)
		}
	})
}

// TestFlow_eraseRevokes: after erase the refresh token is of no use to anybody, and
// nothing of the account is left here.
func TestFlow_eraseRevokes(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Legacy)
	s := newStage(t, realm)
	p := watch(realm, nil)
	s.exchange("alice")
	s.exchange("bob", "--account", "bob")
	granted := p.granted(t)
	alices, bobs := granted[0].RefreshToken, granted[1].RefreshToken

	if r := s.Want(0, "erase"); r.Stdout != "" || !strings.Contains(r.Stderr, "revoked and erased gep/default") {
		t.Errorf("erase: %s", r)
	}
	if n := len(realm.Events("REVOKE_GRANT")); n != 1 {
		t.Errorf("the server counted %d revocations, want 1", n)
	}
	if a := realm.PostAsClient(keycloak.RefreshForm(alices)); a.Error != "invalid_grant" {
		t.Errorf("the erased refresh token: %s", a)
	}
	s.free("commands on an erased account", func() {
		for _, command := range []string{"get", "status", "claims"} {
			wantFailure(t, s.Run(command), 4, "nothing is stored for gep/default", "t2-cred exchange")
		}
		wantFailure(t, s.Run("erase"), 4, "nothing is stored for gep/default", "t2-cred list")
	})
	for _, item := range s.ring.Items() {
		if strings.Contains(item.Value, alices) || strings.Contains(item.Attributes["username"], "default") {
			t.Errorf("the keyring still has %v", item.Attributes)
		}
	}

	// The other account is as it was, until its local copy alone is erased.
	s.get("bob", "--account", "bob", "--fresh")
	s.free("erase --local-only", func() { s.Want(0, "erase", "--account", "bob", "--local-only") })
	wantFailure(t, s.Run("get", "--account", "bob"), 4, "nothing is stored for gep/bob", "--account")
	refresh(t, realm, bobs, "200 access=true refresh=Offline")

	s.exchange("alice", "--account", "a")
	s.exchange("bob", "--account", "b")
	s.Want(0, "erase", "--all")
	if out := s.Want(0, "list", "--json").Stdout; strings.TrimSpace(out) != "[]" {
		t.Errorf("after erase --all: %q", out)
	}
	if n := len(realm.Events("REVOKE_GRANT")); n != 3 {
		t.Errorf("the server counted %d revocations, want 3", n)
	}
}

// TestFlow_grantsOfOneLogin: Keycloak keeps all grants that were made from one login
// in one session. So erase, which revokes, ends the others with it, as the README
// and erase itself say, and erase --local-only spares them.
func TestFlow_grantsOfOneLogin(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Legacy)
	s := newStage(t, realm)
	login := realm.UserToken("alice")
	for _, job := range []string{"job-1", "job-2", "job-3"} {
		s.WantDo(0, run.Cmd{Args: []string{"exchange", "--account", job}, Stdin: login})
	}
	s.exchange("alice") // of another login
	s.Want(0, "erase", "--account", "job-2", "--local-only")
	s.get("alice", "--fresh", "--account", "job-1")
	r := s.Want(0, "erase", "--account", "job-1")
	if !strings.Contains(r.Stderr, "gep/job-1 comes from the same login session as gep/job-3, which revoking may end too") {
		t.Errorf("it says %s", r)
	}
	wantFailure(t, s.Run("get", "--fresh", "--account", "job-3"), 4, "the issuer ended the grant: invalid_grant", "t2-cred exchange")
	if r := s.Want(0, "erase", "--account", "job-3"); strings.Contains(r.Stderr, "same login") {
		t.Errorf("the other login has another session: %s", r)
	}
	s.get("alice", "--fresh")
}

// TestFlow_failedRevocationKeepsTheGrant: the record is the only handle on a grant
// that lives.
func TestFlow_failedRevocationKeepsTheGrant(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Legacy)
	s := newStage(t, realm)
	s.exchange("alice")
	realm.Intercept(func(server http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/revoke") {
				http.Error(w, "down for maintenance", http.StatusServiceUnavailable)
				return
			}
			server.ServeHTTP(w, r)
		})
	})
	wantFailure(t, s.Run("erase"), 6, "HTTP 503", "")
	realm.Intercept(nil)
	s.get("alice", "--fresh")
	s.Want(0, "logout")
	wantFailure(t, s.Run("get"), 4, "nothing is stored", "exchange")
}

// TestFlow_endedGrant: an administrator signs alice out for good. That is final
// unless --fresh asks once more, costs one request, and status can say why.
func TestFlow_endedGrant(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Legacy)
	s := newStage(t, realm)
	s.exchange("alice")
	time.Sleep(1100 * time.Millisecond) // tokens of the same second outlive it
	realm.LogoutEverywhere("alice")

	s.free("a cached get", func() { s.get("alice") })
	wantFailure(t, s.Run("get", "--fresh"), 4, "the issuer ended the grant: invalid_grant", "t2-cred exchange")
	s.free("commands on a dead grant", func() {
		wantFailure(t, s.Run("get", "--min-valid", "24h"), 4, "the issuer ended the grant on 20", "t2-cred exchange")
		o := readJSON(t, s.Want(0, "status", "--json").Stdout)
		o.want(t, object{"state": "dead"})
		if refused, _ := o["refused"].(string); !strings.Contains(refused, "invalid_grant") {
			t.Errorf("status does not tell the server's words: %v", o)
		}
	})
	wantFailure(t, s.Run("get", "--fresh"), 4, "the issuer ended the grant: invalid_grant", "t2-cred get --fresh")
	s.exchange("alice")
	s.get("alice", "--fresh")
}

// TestFlow_setSecretKeepsTheGrant: the administrator regenerates the client's
// secret.
func TestFlow_setSecretKeepsTheGrant(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Legacy)
	s := newStage(t, realm)
	s.exchange("alice")
	created := readJSON(t, s.Want(0, "status", "--json").Stdout)["created_at"]
	changed := realm.ChangeClientSecret()

	wantFailure(t, s.Run("get", "--fresh"), 8, `unauthorized_client "Invalid client or Invalid client credentials"`, "t2-cred profile set-secret")
	if r := s.WantDo(0, run.Cmd{Args: []string{"profile", "set-secret", "gep", "--client-secret-file", "-"}, Stdin: changed + "\n"}); r.Stdout != "" {
		t.Errorf("set-secret: %s", r)
	}
	s.get("alice", "--fresh")
	readJSON(t, s.Want(0, "status", "--json").Stdout).want(t, object{"created_at": created, "state": "ok"})
}

// TestFlow_keyRotation: the realm signs with a new key, which is fetched once, and
// then the old ones are gone.
func TestFlow_keyRotation(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Legacy)
	s := newStage(t, realm)
	s.exchange("alice")
	old := keycloak.Header(s.get("alice"))["kid"]
	fetched := func() (n int) {
		for _, c := range realm.Calls() {
			if c.Endpoint == "certs" {
				n++
			}
		}
		return n
	}
	before := fetched()

	realm.RotateKeys()
	token := s.get("alice", "--fresh")
	if keycloak.Header(token)["kid"] == old {
		t.Fatal("the realm still signs with the old key")
	}
	s.get("alice", "--fresh")
	s.Want(0, "claims")
	if n := fetched() - before; n != 1 {
		t.Errorf("the keys were fetched %d times after the rotation, want once", n)
	}
	realm.DropOldKeys()
	s.get("alice", "--fresh")
	s.Want(0, "claims")
}
