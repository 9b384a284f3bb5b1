package oidctest

import (
	"net/url"
	"slices"
	"time"
)

// A Request is one that an issuer got.
type Request struct {
	Time     time.Time
	Method   string
	Path     string
	Endpoint Endpoint
	// Grant is the grant asked for, in short: "token-exchange", "refresh_token". A refresh
	// that only has the client prove itself is "client-proof".
	Grant string
	// ClientAuth is "basic", "post", "none" (an id only), "both", or empty.
	ClientAuth string
	ClientID   string
	// Authorization reports whether there was an Authorization header.
	Authorization bool
	UserAgent     string
	IfNoneMatch   string
	// Form is the form that was sent, with "[redacted]" for its secrets.
	Form url.Values
	// Status is what was answered, even if a fault cut the answer short; zero when
	// nothing was, or not yet.
	Status int
}

// noToken is what t2-cred sends as a refresh token where none is at stake.
const noToken = "t2-cred-doctor-holds-no-token"

var secretParameters = []string{"client_secret", "subject_token", "refresh_token", "token", "actor_token", "client_assertion", "assertion", "code", "code_verifier"}

func describe(c *Call, now time.Time) Request {
	grant := c.Grant
	if grant == "refresh_token" && c.Form.Get("refresh_token") == noToken {
		grant = "client-proof"
	}
	form := url.Values{}
	for name, values := range c.Form {
		form[name] = slices.Clone(values)
		if slices.Contains(secretParameters, name) {
			form[name] = []string{"[redacted]"}
		}
	}
	return Request{
		Time: now, Method: c.Request.Method, Path: c.Request.URL.Path,
		Endpoint: c.Endpoint, Grant: grant, Form: form,
		ClientAuth: c.auth.method, ClientID: c.auth.id,
		Authorization: c.Request.Header.Get("Authorization") != "",
		UserAgent:     c.Request.UserAgent(),
		IfNoneMatch:   c.Request.Header.Get("If-None-Match"),
	}
}

// note logs a request and its secrets, and returns its number.
func (i *Issuer) note(c *Call) int {
	r := describe(c, i.Clock.Now())
	i.mu.Lock()
	defer i.mu.Unlock()
	i.saw(secretsOf(c)...)
	i.requests = append(i.requests, r)
	return len(i.requests) - 1
}

func (i *Issuer) noteStatus(n, status int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if n < len(i.requests) {
		i.requests[n].Status = status
	}
}

// Requests are all requests since the start, in the order of their arrival.
func (i *Issuer) Requests() []Request {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.requests)
}

// Count is how many requests there were of a grant ("refresh_token",
// "token-exchange") or to an endpoint ("discovery", "jwks", "token",
// "revocation"), whatever was answered.
func (i *Issuer) Count(what string) int {
	n := 0
	for _, r := range i.Requests() {
		if r.Grant == what || string(r.Endpoint) == what {
			n++
		}
	}
	return n
}

// Refreshes is how many refresh tokens were spent with success, whether or not
// the answer arrived.
func (i *Issuer) Refreshes() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.spent
}
