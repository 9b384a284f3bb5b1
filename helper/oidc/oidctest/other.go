package oidctest

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// otherHost is an attacker's: another port of loopback, where an issuer's
// faults try to lead. It answers anything with a token of its own, and with its
// own keys.
type otherHost struct {
	issuer *Issuer
	url    string
	server *http.Server
	stolen []Request // under the issuer's mu
}

func newOtherHost(i *Issuer) (*otherHost, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	o := &otherHost{issuer: i, url: "http://" + l.Addr().String()}
	o.server = &http.Server{Handler: o, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(i.trouble, "", 0)}
	go func() { _ = o.server.Serve(l) }()
	return o, nil
}

func (o *otherHost) close() { _ = o.server.Close() }

// ServeHTTP implements http.Handler.
func (o *otherHost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &Call{Issuer: o.issuer, Request: r, Endpoint: "other"}
	c.body, _ = io.ReadAll(io.LimitReader(r.Body, 1<<20))
	c.Form, _ = url.ParseQuery(string(c.body))
	c.Grant = c.Form.Get("grant_type")
	c.auth = readClientAuth(r, c.Form)
	seen := describe(c, o.issuer.Clock.Now())
	o.issuer.mu.Lock()
	o.issuer.saw(secretsOf(c)...)
	o.stolen = append(o.stolen, seen)
	o.issuer.mu.Unlock()
	if r.Method == http.MethodGet {
		send(w, c.json(http.StatusOK, map[string]any{"keys": []any{attackerJWK()}}))
		return
	}
	token := randomText(40)
	o.issuer.mu.Lock()
	o.issuer.saw(token)
	o.issuer.mu.Unlock()
	send(w, c.json(http.StatusOK, map[string]any{
		"access_token": token, "refresh_token": token, "token_type": "Bearer", "expires_in": 300,
	}))
}

// attackerJWK is the public key of [attackerRSA].
func attackerJWK() map[string]any {
	return (&key{id: "attacker", use: "sig", alg: "RS256", private: attackerRSA()}).jwk()
}

// OtherURL is the address of the other host that faults lead to.
func (i *Issuer) OtherURL() string { return i.other.url }

// Stolen are the requests that arrived at the other host. A client that keeps
// to its issuer sends none, at least none with a form or an Authorization.
func (i *Issuer) Stolen() []Request {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.other.stolen)
}
