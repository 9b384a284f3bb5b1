package oidctest

import (
	"slices"
	"sync"
)

// A Spending is a POST that carried a refresh token.
type Spending struct {
	Token string // the refresh token that was sent
	Given string // the refresh token that was answered, if any
	// Access is the access token that was answered, if any.
	Access string
	// Status is what was answered; zero while nothing was.
	Status int
}

// Spendings is a list of what arrived, which a test can read at any time.
type Spendings struct {
	mu   sync.Mutex
	list []*Spending
}

// Watch lists every POST with a refresh token from now on. What was spent is thus
// known although [Issuer.Requests] hides it. It is a fault that does no harm: call it
// before [Issuer.Inject], as a fault that answers itself hides a request from those
// that come later. Remove ends it; so does [Issuer.Clear].
func (i *Issuer) Watch() (seen *Spendings, remove func()) {
	seen = &Spendings{}
	calls := map[*Call]*Spending{}
	remove = i.Inject(Fault{
		Name: "watch", Endpoint: Token, Grant: "refresh_token", About: "lists what is spent", Harmless: true,
		Before: func(c *Call) *Answer {
			s := &Spending{Token: c.Form.Get("refresh_token")}
			seen.mu.Lock()
			defer seen.mu.Unlock()
			seen.list = append(seen.list, s)
			calls[c] = s
			return nil
		},
		Edit: func(c *Call, object map[string]any) {
			seen.mu.Lock()
			defer seen.mu.Unlock()
			if s := calls[c]; s != nil {
				s.Given, _ = object["refresh_token"].(string)
				s.Access, _ = object["access_token"].(string)
			}
		},
		After: func(c *Call, a *Answer) {
			seen.mu.Lock()
			defer seen.mu.Unlock()
			if s := calls[c]; s != nil {
				s.Status = a.Status
				delete(calls, c)
			}
		},
	})
	return seen, remove
}

// All are the spendings so far, in the order of their arrival.
func (s *Spendings) All() []Spending {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Spending, len(s.list))
	for n, one := range s.list {
		all[n] = *one
	}
	return all
}

// Forget begins a new list.
func (s *Spendings) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = nil
}

// Twice are the refresh tokens that arrived more than once.
func (s *Spendings) Twice() []string {
	var once, twice []string
	for _, one := range s.All() {
		switch {
		case !slices.Contains(once, one.Token):
			once = append(once, one.Token)
		case !slices.Contains(twice, one.Token):
			twice = append(twice, one.Token)
		}
	}
	return twice
}
