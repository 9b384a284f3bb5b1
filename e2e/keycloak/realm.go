package keycloak

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/terradue/t2-cred/e2e/ledger"
	"github.com/terradue/t2-cred/e2e/tb"
)

// Realm is a realm as one test sees it.
type Realm struct {
	t tb.T
	s *Server
	*state
}

// state is what all tests share of a realm.
type state struct {
	name string
	kind Kind
	base string // of a secure realm, in the place of the front's

	mu     sync.Mutex
	secret string // of the application
	users  map[string]*user
}

// Realm is the shared realm of a kind, made at its first use.
func (s *Server) Realm(t tb.T, k Kind) *Realm {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.realms[string(k)]
	if st == nil {
		var err error
		if st, err = s.create(context.Background(), k, string(k)); err != nil {
			t.Fatalf("keycloak: make realm %s: %v", k, err)
		}
		s.realms[string(k)] = st
	}
	return &Realm{t, s, st}
}

// NewRealm makes a realm of a kind for this test alone.
func (s *Server) NewRealm(t tb.T, k Kind) *Realm {
	t.Helper()
	s.mu.Lock()
	s.made++
	name := fmt.Sprintf("%s-%d", k, s.made)
	s.mu.Unlock()
	st, err := s.create(context.Background(), k, name)
	if err != nil {
		t.Fatalf("keycloak: make realm %s: %v", name, err)
	}
	return &Realm{t, s, st}
}

// Name is the realm's name.
func (r *Realm) Name() string { return r.name }

// Issuer is the realm's issuer.
func (r *Realm) Issuer() string {
	if r.base != "" {
		return r.base + "/realms/" + r.name
	}
	return r.s.Issuer(r.name)
}

// TokenURL is the realm's token endpoint.
func (r *Realm) TokenURL() string { return r.Issuer() + "/protocol/openid-connect/token" }

// ClientSecret is the secret of the application.
func (r *Realm) ClientSecret() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.secret
}

// Calls are the requests of clients that reached Keycloak in this realm so far,
// the test's own included.
func (r *Realm) Calls() []Call { return r.s.front.callsOf(r.name) }

// Intercept puts a handler between the clients and this realm, until the test
// ends or Intercept(nil) takes it away. What it answers itself, or hands on and
// then spoils, is how a broken network or an overloaded server looks.
func (r *Realm) Intercept(m func(keycloak http.Handler) http.Handler) {
	r.s.front.intercept(r.name, m)
	r.t.Cleanup(func() { r.s.front.intercept(r.name, nil) })
}

// Configure changes settings of the realm, by their names in the admin API.
func (r *Realm) Configure(settings map[string]any) {
	r.t.Helper()
	r.must(r.do(http.MethodPut, "", settings, nil))
}

// SetAccessTokenLifespan sets how long access tokens live, in whole seconds.
func (r *Realm) SetAccessTokenLifespan(d time.Duration) {
	r.t.Helper()
	r.Configure(object{"accessTokenLifespan": int(d.Seconds())})
}

// ConfigureClient changes settings of a client, by their names in the admin API.
func (r *Realm) ConfigureClient(clientID string, settings map[string]any) {
	r.t.Helper()
	var found []object
	r.must(r.do(http.MethodGet, "/clients?clientId="+clientID, nil, &found))
	if len(found) != 1 {
		r.t.Fatalf("keycloak: %d clients are called %s", len(found), clientID)
	}
	for k, v := range settings {
		found[0][k] = v
	}
	r.must(r.do(http.MethodPut, fmt.Sprintf("/clients/%s", found[0]["id"]), found[0], nil))
}

// TakeScope takes a default scope away from a client.
func (r *Realm) TakeScope(clientID, scope string) {
	r.t.Helper()
	var clients, scopes []struct{ ID, Name string }
	r.must(r.do(http.MethodGet, "/clients?clientId="+clientID, nil, &clients))
	if len(clients) != 1 {
		r.t.Fatalf("keycloak: %d clients are called %s", len(clients), clientID)
	}
	path := "/clients/" + clients[0].ID + "/default-client-scopes"
	r.must(r.do(http.MethodGet, path, nil, &scopes))
	for _, s := range scopes {
		if s.Name == scope {
			r.must(r.do(http.MethodDelete, path+"/"+s.ID, nil, nil))
			return
		}
	}
	r.t.Fatalf("keycloak: client %s has no default scope %s", clientID, scope)
}

// ChangeClientSecret gives the application a new secret, and tells it.
func (r *Realm) ChangeClientSecret() string {
	r.t.Helper()
	secret := rand.Text()
	r.s.opts.Ledger.Add(ledger.Client, secret)
	r.ConfigureClient(ClientID, object{"secret": secret})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secret = secret
	return secret
}

// do speaks the admin API under this realm.
func (r *Realm) do(method, path string, in, out any) error {
	_, err := r.s.admin.do(context.Background(), method, "/"+r.name+path, in, out)
	return err
}

func (r *Realm) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("keycloak: realm %s: %v", r.name, err)
	}
}
