package e2e

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/ledger"
)

// TestKeycloak_behavesAsDocumented holds the server to what t2-cred was built on:
// when a new version answers otherwise, this fails before anything subtler does.
func TestKeycloak_behavesAsDocumented(t *testing.T) {
	srv := server(t)
	all := strings.Fields(keycloak.Scopes)
	set := func(kv ...string) func(url.Values) {
		return func(f url.Values) {
			for i := 0; i < len(kv); i += 2 {
				f.Set(kv[i], kv[i+1])
			}
		}
	}
	const (
		requested = "requested_token_type"
		online    = "openid email profile ellip gep"
	)
	for _, c := range []struct {
		name    string
		kind    keycloak.Kind
		subject []string // scopes that the user's token was asked for with; none is openid
		change  func(url.Values)
		refresh string // the kind of refresh token that comes back
		scope   bool   // whether the answer's scope names offline_access
		refuse  string // the refusal, where there is one
	}{
		{"legacy, default scopes: offline", keycloak.Legacy, nil, set(), "Offline", true, ""},
		{"legacy, optional scopes, all of them in the user's token: offline", keycloak.LegacyOptional,
			all, set(), "Offline", true, ""},
		{"legacy, optional scopes: the silent trap", keycloak.LegacyOptional, nil, set(), "Refresh", false, ""},
		{"standard: access token only", keycloak.Standard, nil, set(), "none", true, ""},
		{"standard, a refresh token is asked for, with offline_access", keycloak.Standard, nil,
			set(requested, keycloak.RefreshTokenType), "", false,
			`400 invalid_request "Scope offline_access not allowed for token exchange"`},
		{"standard, a refresh token is asked for, without offline_access", keycloak.Standard, nil,
			set(requested, keycloak.RefreshTokenType, "scope", online), "Refresh", false, ""},
		{"standard, the same where offline_access is a default scope", keycloak.StandardDefault, nil,
			set(requested, keycloak.RefreshTokenType, "scope", online), "", false,
			`400 invalid_request "Scope offline_access not allowed for token exchange"`},
		{"standard, the user's token is of an offline session", keycloak.Standard, all,
			set(requested, keycloak.RefreshTokenType, "scope", online), "", false,
			`400 invalid_request "Refresh token not valid as requested_token_type because creating a new session is needed"`},
		{"standard, no mapper: the own id is no audience", keycloak.StandardNoMapper, nil, set(), "", false,
			`400 invalid_request "Requested audience not available: ellip-test-ades"`},
		{"garbage as subject token", keycloak.Legacy, nil, set("subject_token", "garbage"), "", false,
			`400 invalid_request "Invalid token"`},
		{"unknown audience", keycloak.Legacy, nil, set("audience", "nobody"), "", false,
			`400 invalid_client "Audience not found"`},
		{"unknown scope: ignored", keycloak.Legacy, nil, set("scope", keycloak.Scopes+" no-such-scope"), "Offline", true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			realm := srv.Realm(t, c.kind)
			form := keycloak.ExchangeForm(realm.UserToken("alice", c.subject...))
			c.change(form)
			a := realm.PostAsClient(form)
			if c.refuse != "" {
				wantAnswer(t, a, c.refuse)
				return
			}
			if a.Status != http.StatusOK || a.RefreshType() != c.refresh || a.HasScope("offline_access") != c.scope {
				t.Fatalf("got %s; want refresh=%s, offline_access in scope: %t", a, c.refresh, c.scope)
			}
			// An offline token says that it has no end; an online one ends with the
			// user's session, half an hour after it was last used.
			if end := a.RefreshExpiresIn; c.refresh == "Offline" && end != 0 || c.refresh == "Refresh" && (end < 1700 || end > 1800) {
				t.Errorf("refresh_expires_in is %d", end)
			}
		})
	}
}

func TestKeycloak_offlineTokenOutlivesTheUsersSession(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Legacy)
	token := exchange(t, realm, "alice").RefreshToken
	before := realm.RefreshCount()

	realm.Logout("alice")
	if n := realm.Sessions("alice"); n != 0 {
		t.Fatalf("alice has %d sessions after logging out", n)
	}
	refresh(t, realm, token, "200 access=true refresh=Offline")

	// The same with the sessions ended by an administrator.
	realm.UserToken("alice")
	realm.EndSessions("alice")
	if n := realm.Sessions("alice"); n != 0 {
		t.Fatalf("alice has %d sessions after they were ended", n)
	}
	refresh(t, realm, token, "200 access=true refresh=Offline")
	if n := realm.RefreshCount() - before; n != 2 {
		t.Errorf("the server counted %d refreshes, want 2", n)
	}
}

func TestKeycloak_refusesTheClient(t *testing.T) {
	realm := server(t).Realm(t, keycloak.Legacy)
	form := keycloak.ExchangeForm(realm.UserToken("alice"))
	form.Set("client_id", keycloak.ClientID)
	form.Set("client_secret", "wrong")
	wantAnswer(t, realm.Post(form), `401 unauthorized_client "Invalid client or Invalid client credentials"`)
	form.Set("client_id", "nobody")
	wantAnswer(t, realm.Post(form), `401 invalid_client "Invalid client or Invalid client credentials"`)
}

func TestKeycloak_rotation(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Rotation)
	first := exchange(t, realm, "alice").RefreshToken
	second := refresh(t, realm, first, "200 access=true refresh=Offline").RefreshToken
	if second == first {
		t.Fatal("the refresh token was not rotated")
	}
	refresh(t, realm, first, `400 invalid_grant "Maximum allowed refresh token reuse exceeded"`)
	// The replay took the winner's token with it.
	refresh(t, realm, second, `400 invalid_grant "Session doesn't have required client"`)
	if n := realm.RefreshErrors(); n != 2 {
		t.Errorf("the server counted %d refused refreshes, want 2", n)
	}
}

func TestKeycloak_revocation(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Legacy)
	one := exchange(t, realm, "alice").RefreshToken
	other := exchange(t, realm, "alice").RefreshToken
	if a := realm.Revoke(one); a.Status != 200 {
		t.Fatalf("revoke: %s", a)
	}
	a := realm.PostAsClient(keycloak.RefreshForm(one))
	if a.Error != "invalid_grant" ||
		a.Description != "Offline user session not found" && a.Description != "Session doesn't have required client" {
		t.Errorf("after revocation: %s", a)
	}
	refresh(t, realm, other, "200 access=true refresh=Offline")
}

func TestKeycloak_disabledUser(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Legacy)
	subject := realm.UserToken("bob")
	token := exchange(t, realm, "bob").RefreshToken
	realm.DisableUser("bob")
	refresh(t, realm, token, `400 invalid_grant "User disabled"`)
	wantAnswer(t, realm.PostAsClient(keycloak.ExchangeForm(subject)), `400 invalid_request "Invalid token"`)
	realm.EnableUser("bob")
	refresh(t, realm, token, "200 access=true refresh=Offline")
}

func TestKeycloak_anotherClientsToken(t *testing.T) {
	realm := server(t).Realm(t, keycloak.Legacy)
	refresh(t, realm, realm.UserLogin("alice").RefreshToken,
		`400 invalid_grant "Invalid refresh token. Token client and authorized client don't match"`)
}

func exchange(t *testing.T, realm *keycloak.Realm, user string) keycloak.Answer {
	t.Helper()
	a := realm.PostAsClient(keycloak.ExchangeForm(realm.UserToken(user)))
	if a.RefreshType() != "Offline" {
		t.Fatalf("exchange for %s: %s", user, a)
	}
	return a
}

func refresh(t *testing.T, realm *keycloak.Realm, token, want string) keycloak.Answer {
	t.Helper()
	a := realm.PostAsClient(keycloak.RefreshForm(token))
	wantAnswer(t, a, want)
	return a
}

func wantAnswer(t *testing.T, a keycloak.Answer, want string) {
	t.Helper()
	if !strings.HasPrefix(a.String(), want) {
		t.Errorf("got  %s\nwant %s", a, want)
	}
}

// TestKeycloak_signOutAll shows that the administrator's "Sign out all sessions"
// of a user is not what a user's own logout is: it takes the offline tokens along.
func TestKeycloak_signOutAll(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Legacy)
	token := exchange(t, realm, "alice").RefreshToken
	// It refuses what was issued before the second in which it happens.
	time.Sleep(1100 * time.Millisecond)
	realm.LogoutEverywhere("alice")
	if n := realm.Sessions("alice"); n != 0 {
		t.Fatalf("alice has %d sessions", n)
	}
	refresh(t, realm, token, `400 invalid_grant "`)
}

// TestKeycloak_keyRotation shows what clients see of a realm that rotates its keys:
// access tokens change their key at once, refresh tokens stay good throughout.
func TestKeycloak_keyRotation(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Legacy)
	token := exchange(t, realm, "alice")
	kid := keycloak.Header(token.AccessToken)["kid"]

	realm.RotateKeys()
	if !slices.Contains(realm.PublishedKeys(), kid.(string)) {
		t.Error("the old key is not published any more after RotateKeys")
	}
	a := refresh(t, realm, token.RefreshToken, "200 access=true refresh=Offline")
	if keycloak.Header(a.AccessToken)["kid"] == kid {
		t.Error("the access token is signed with the old key after RotateKeys")
	}
	realm.DropOldKeys()
	if slices.Contains(realm.PublishedKeys(), kid.(string)) {
		t.Error("the old key is still published after DropOldKeys")
	}
	refresh(t, realm, token.RefreshToken, "200 access=true refresh=Offline")
}

// TestKeycloak_front shows the front at work: it counts, and it lets a test in.
func TestKeycloak_front(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Legacy)
	token := exchange(t, realm, "alice").RefreshToken
	realm.Intercept(func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"error":"temporarily_unavailable"}`)
		})
	})
	refresh(t, realm, token, "503 temporarily_unavailable")
	realm.Intercept(nil)
	refresh(t, realm, token, "200 access=true refresh=Offline")

	var grants []string
	for _, c := range realm.Calls() {
		if c.Endpoint == "token" {
			grants = append(grants, c.Client+" "+c.Grant)
		}
	}
	want := []string{"portal password", "ellip-test-ades " + keycloak.ExchangeGrant, "ellip-test-ades refresh_token"}
	if !slices.Equal(grants, want) {
		t.Errorf("counted %q, want %q", grants, want)
	}
	if kind, _ := shared.ledger.Kind(token); kind != ledger.Refresh {
		t.Errorf("the ledger knows the refresh token as %q", kind)
	}
}
