package e2e

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/run"
)

// TestModes_exchange shows what comes of an exchange with each behaviour of the
// server: an offline token, an online one only for who says so, or exit 8 and the
// setting to ask for.
func TestModes_exchange(t *testing.T) {
	everything := strings.Fields(keycloak.Scopes)
	const online, offline = "online", "offline"
	for _, c := range []struct {
		name    string
		kind    keycloak.Kind
		subject []string // scopes of the user's token
		args    []string
		kept    string // or else a refusal, with these words
		message string
		hint    string
		asked   int // exchanges that reach the server
	}{
		{name: "legacy", kind: keycloak.Legacy, kept: offline, asked: 1},
		{name: "legacy, online allowed", kind: keycloak.Legacy, args: []string{"--allow-online"}, kept: offline, asked: 1},
		{name: "rotation", kind: keycloak.Rotation, kept: offline, asked: 1},
		{
			name: "legacy, optional scopes", kind: keycloak.LegacyOptional, asked: 1,
			message: "the issuer quietly gave an online refresh token", hint: "make offline_access a Default client scope of ellip-test-ades",
		},
		{name: "legacy, optional scopes, online allowed", kind: keycloak.LegacyOptional, args: []string{"--allow-online"}, kept: online, asked: 1},
		{name: "legacy, optional scopes that the user's token has", kind: keycloak.LegacyOptional, subject: everything, kept: offline, asked: 1},
		{
			name: "standard", kind: keycloak.Standard, asked: 2,
			message: `invalid_request "Scope offline_access not allowed for token exchange"`, hint: "switch it off for this client",
		},
		{name: "standard, online allowed", kind: keycloak.Standard, args: []string{"--allow-online"}, kept: online, asked: 3},
		{
			name: "standard, the user's token is offline", kind: keycloak.Standard, subject: everything, args: []string{"--allow-online"}, asked: 2,
			message: "creating a new session is needed", hint: "log the user in again without offline_access",
		},
		{
			name: "standard, default scope", kind: keycloak.StandardDefault, args: []string{"--allow-online"}, asked: 3,
			message: "Scope offline_access not allowed for token exchange", hint: "switch it off for this client",
		},
		{
			name: "standard, no audience mapper", kind: keycloak.StandardNoMapper, asked: 1,
			message: "Requested audience not available: ellip-test-ades", hint: "add an audience mapper",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			realm := server(t).Realm(t, c.kind)
			s := newStage(t, realm)
			subject := realm.UserToken("alice", c.subject...)
			before := len(realm.Calls())
			r := s.Input(subject, append([]string{"exchange"}, c.args...)...)
			if n := exchanges(realm.Calls()[before:]); n != c.asked {
				t.Errorf("%d exchanges reached the server, want %d", n, c.asked)
			}
			if c.kept == "" {
				wantFailure(t, r, 8, c.message, c.hint)
				wantFailure(t, s.Run("get"), 4, "nothing is stored", "t2-cred exchange")
				if out := s.Want(0, "list", "--json").Stdout; strings.TrimSpace(out) != "[]" {
					t.Errorf("a refused exchange has left something: %s", out)
				}
				return
			}
			if r.Code != 0 || r.Stdout != "" || !strings.Contains(r.Stderr, "kept an "+c.kept+" token for alice") {
				t.Fatalf("got %s", r)
			}
			warned := strings.Contains(r.Stderr, "an online token ends with the user's session")
			if warned != (c.kept == online) {
				t.Errorf("warned of an online token: %t: %s", warned, r)
			}
			o := readJSON(t, s.Want(0, "status", "--json").Stdout)
			o.want(t, object{"kind": c.kept, "state": "ok"})
			if ends := o["refresh_expires_at"] != nil; ends != (c.kept == online) {
				t.Errorf("refresh_expires_at is %v", o["refresh_expires_at"])
			}
			s.get("alice")
			s.get("alice", "--fresh")
			s.get("alice", "--fresh")
		})
	}
}

func exchanges(calls []keycloak.Call) (n int) {
	for _, c := range calls {
		if c.Grant == keycloak.ExchangeGrant {
			n++
		}
	}
	return n
}

// TestModes_onlineTokenEndsWithTheSession is why an online token is not kept
// unasked.
func TestModes_onlineTokenEndsWithTheSession(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.LegacyOptional)
	s := newStage(t, realm)
	s.exchange("alice", "--allow-online")
	s.get("alice", "--fresh")
	realm.Logout("alice")
	wantFailure(t, s.Run("get", "--fresh"), 4, "the issuer ended the grant: invalid_grant", "t2-cred exchange")
	readJSON(t, s.Want(0, "status", "--json").Stdout).want(t, object{"kind": "online", "state": "dead"})
}

func TestModes_disabledUser(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Legacy)
	s := newStage(t, realm)
	subject := realm.UserToken("bob")
	s.exchange("bob")
	realm.DisableUser("bob")
	wantFailure(t, s.Run("get", "--fresh"), 4, `invalid_grant "User disabled"`, "t2-cred exchange")
	if out := s.Want(0, "status").Stdout; !strings.Contains(out, "dead") || !strings.Contains(out, "User disabled") {
		t.Errorf("status does not say why: %q", out)
	}
	wantFailure(t, s.Input(subject, "exchange"), 7, `invalid_request "Invalid token"`, "the user is disabled")
}

// TestModes_refusedClient: what is wrong is the client, so no grant is given up.
func TestModes_refusedClient(t *testing.T) {
	realm := server(t).Realm(t, keycloak.Legacy)
	s := newStage(t, realm)
	s.exchange("alice")
	subject := realm.UserToken("alice")
	const words = `"Invalid client or Invalid client credentials"`

	s.WantDo(0, run.Cmd{Args: []string{"profile", "set-secret", "gep", "--client-secret-file", "-", "--unproven"}, Stdin: "not-the-secret"})
	wantFailure(t, s.Run("get", "--fresh"), 8, "unauthorized_client "+words, "t2-cred profile set-secret")
	wantFailure(t, s.Input(subject, "exchange"), 8, "unauthorized_client "+words, "t2-cred profile set-secret")
	wantFailure(t, s.Run("erase"), 8, words, "t2-cred profile set-secret")
	s.Want(0, "profile", "set-secret", "gep", "--client-secret-file", secretFile(t, realm.ClientSecret()))
	s.get("alice", "--fresh")

	add := func(name, client, audience string) {
		s.Want(0, "profile", "add", name, "--issuer", realm.Issuer(), "--client-id", client, "--audience", audience,
			"--scope", keycloak.Scopes, "--client-secret-file", secretFile(t, realm.ClientSecret()))
	}
	add("audience", keycloak.ClientID, "nobody")
	wantFailure(t, s.Input(subject, "exchange", "--profile", "audience"), 8, `invalid_client "Audience not found"`, "check the profile's audience")
	readJSON(t, s.Want(0, "status", "--json").Stdout).want(t, object{"state": "ok"})
}

// TestModes_subjectToken: the usual mistakes with the user's token are called by
// their names, and cost no request where a look at the token is enough.
func TestModes_subjectToken(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Legacy)
	other := server(t).Realm(t, keycloak.Legacy)
	s := newStage(t, realm)
	login := realm.UserLogin("alice")

	// A user who logged in at a client without an audience mapper.
	elsewhere := realm.Post(url.Values{
		"grant_type": {"password"}, "client_id": {"admin-cli"}, "scope": {"openid"},
		"username": {"alice"}, "password": {realm.Password("alice")},
	})
	if elsewhere.AccessToken == "" || keycloak.Claims(elsewhere.AccessToken)["azp"] != "admin-cli" {
		t.Fatalf("login at admin-cli: %s", elsewhere)
	}
	realm.SetAccessTokenLifespan(time.Second)
	expired := realm.UserToken("alice")
	realm.SetAccessTokenLifespan(5 * time.Minute)
	expire(t, expired)
	// The issuer's documents are at hand: what a token may say depends on the product.
	s.exchange("bob")
	s.Want(0, "erase")
	before := realm.Events("TOKEN_EXCHANGE", "TOKEN_EXCHANGE_ERROR")

	for _, c := range []struct {
		name, token   string
		code          int
		message, hint string
		asks          bool
	}{
		{name: "expired", token: expired, code: 7, message: "it expired", hint: "get a new access token"},
		{name: "of another realm", token: other.UserToken("alice"), code: 7, message: "it is of another issuer", hint: "log the user in at the profile's issuer"},
		{name: "ID token", token: login.IDToken, code: 7, message: "it is an ID token", hint: "take the access_token"},
		{name: "refresh token", token: login.RefreshToken, code: 7, message: "it is a refresh token", hint: "take the access_token"},
		{name: "our client is not in its audience", token: elsewhere.AccessToken, code: 7, message: "client ellip-test-ades is missing from its audience", hint: "audience mapper"},
		{name: "with the word Bearer", token: "Bearer " + login.AccessToken, code: 7, message: "the word Bearer", hint: "leave the word Bearer out"},
		{name: "of two lines", token: login.AccessToken + "\n" + login.AccessToken, code: 7, message: "a line end", hint: "on one line"},
		{name: "empty", token: " \n", code: 2, message: "no token given", hint: ""},
		{name: "garbage", token: "garbage", code: 7, message: `invalid_request "Invalid token"; what was brought is no JWT`, hint: "look which file that was", asks: true},
		{name: "forged", token: forged(login.AccessToken), code: 7, message: `invalid_request "Invalid token"`, hint: "get a new access token", asks: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r run.Result
			do := func() { r = s.Input(c.token, "exchange") }
			if c.asks {
				do()
			} else {
				(&stage{s.Home, t, s.ring, realm}).free("the exchange", do)
			}
			wantFailure(t, r, c.code, c.message, c.hint)
			wantFailure(t, s.Run("get"), 4, "nothing is stored", "t2-cred exchange")
		})
	}
	if n := len(realm.Events("TOKEN_EXCHANGE", "TOKEN_EXCHANGE_ERROR")) - len(before); n != 2 {
		t.Errorf("the server counted %d exchanges, want 2", n)
	}
}

// forged is a token with a signature that is not the issuer's.
func forged(token string) string {
	b := []byte(token)
	slices.Reverse(b[strings.LastIndexByte(token, '.')+1:])
	return string(b)
}
