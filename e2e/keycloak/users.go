package keycloak

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"

	"github.com/terradue/t2-cred/e2e/ledger"
)

// user is one user of a realm.
type user struct {
	id       string
	password string
	sessions []string // the refresh tokens of the sessions at the portal
}

func (s *Server) addUser(ctx context.Context, st *state, name string) error {
	u := &user{password: rand.Text()}
	s.opts.Ledger.Add(ledger.Other, u.password)
	var err error
	// A whole profile, so that no login asks the user to complete it.
	u.id, err = s.admin.do(ctx, http.MethodPost, "/"+st.name+"/users", object{
		"username": name, "enabled": true,
		"email": name + "@example.org", "emailVerified": true,
		"firstName": strings.ToUpper(name[:1]) + name[1:], "lastName": "Example",
		"credentials": []object{{"type": "password", "value": u.password, "temporary": false}},
	}, nil)
	if err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.users[name] = u
	return nil
}

// AddUser makes one more user, besides alice and bob.
func (r *Realm) AddUser(name string) {
	r.t.Helper()
	r.must(r.s.addUser(context.Background(), r.state, name))
}

func (r *Realm) user(name string) *user {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.users[name]
	if u == nil {
		r.t.Fatalf("keycloak: realm %s has no user %s", r.name, name)
	}
	return u
}

// UserID is the user's subject, the `sub` of the tokens.
func (r *Realm) UserID(name string) string { r.t.Helper(); return r.user(name).id }

// Password is the user's password.
func (r *Realm) Password(name string) string { r.t.Helper(); return r.user(name).password }

// UserToken logs the user in at the portal and gives the access token that a
// person would hand to t2-cred. Without a scope it asks for openid.
func (r *Realm) UserToken(name string, scope ...string) string {
	r.t.Helper()
	return r.UserLogin(name, scope...).AccessToken
}

// UserLogin logs the user in at the portal.
func (r *Realm) UserLogin(name string, scope ...string) Answer {
	r.t.Helper()
	u := r.user(name)
	if len(scope) == 0 {
		scope = []string{"openid"}
	}
	a := r.Post(url.Values{
		"grant_type": {"password"}, "client_id": {PortalID}, "scope": {strings.Join(scope, " ")},
		"username": {name}, "password": {u.password},
	})
	if a.AccessToken == "" {
		r.t.Fatalf("keycloak: realm %s: log %s in: %s", r.name, name, a)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	u.sessions = append(u.sessions, a.RefreshToken)
	return a
}

// Logout ends the sessions that UserToken and UserLogin began, as the user does
// with the portal's own button. Offline tokens live on.
func (r *Realm) Logout(name string) {
	r.t.Helper()
	u := r.user(name)
	r.mu.Lock()
	sessions := u.sessions
	u.sessions = nil
	r.mu.Unlock()
	for _, token := range sessions {
		a := r.post("/protocol/openid-connect/logout", url.Values{"client_id": {PortalID}, "refresh_token": {token}})
		if a.Status/100 != 2 {
			r.t.Fatalf("keycloak: realm %s: log %s out: %s", r.name, name, a)
		}
	}
}

// EndSessions ends all online sessions of the user, one by one, as an
// administrator. Offline tokens live on.
func (r *Realm) EndSessions(name string) {
	r.t.Helper()
	var sessions []struct{ ID string }
	r.must(r.do(http.MethodGet, "/users/"+r.UserID(name)+"/sessions", nil, &sessions))
	for _, s := range sessions {
		r.must(r.do(http.MethodDelete, "/sessions/"+s.ID+"?isOffline=false", nil, nil))
	}
}

// Sessions tells how many online sessions the user has.
func (r *Realm) Sessions(name string) int {
	r.t.Helper()
	var sessions []object
	r.must(r.do(http.MethodGet, "/users/"+r.UserID(name)+"/sessions", nil, &sessions))
	return len(sessions)
}

// LogoutEverywhere is the administrator's "Sign out all sessions" of a user. It
// takes along what was issued before this very second, offline tokens too.
func (r *Realm) LogoutEverywhere(name string) {
	r.t.Helper()
	r.must(r.do(http.MethodPost, "/users/"+r.UserID(name)+"/logout", nil, nil))
}

// DisableUser disables the user.
func (r *Realm) DisableUser(name string) { r.t.Helper(); r.enable(name, false) }

// EnableUser enables the user again.
func (r *Realm) EnableUser(name string) { r.t.Helper(); r.enable(name, true) }

func (r *Realm) enable(name string, on bool) { r.t.Helper(); r.configureUser(name, "enabled", on) }

// RenameUser gives the user another name to log in with. The methods of Realm go on to
// call the user by the old one.
func (r *Realm) RenameUser(name, now string) {
	r.t.Helper()
	r.Configure(object{"editUsernameAllowed": true})
	r.configureUser(name, "username", now)
}

func (r *Realm) configureUser(name, setting string, value any) {
	r.t.Helper()
	path := "/users/" + r.UserID(name)
	// The whole of it, since what is left out of a user is taken away.
	var u object
	r.must(r.do(http.MethodGet, path, nil, &u))
	u[setting] = value
	r.must(r.do(http.MethodPut, path, u, nil))
}
