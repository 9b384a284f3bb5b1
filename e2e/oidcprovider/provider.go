// Package oidcprovider starts node's oidc-provider, a certified OpenID provider, on
// loopback: an issuer that has nothing in common with Keycloak.
//
//	p := oidcprovider.Start(t, dir, ledger, oidcprovider.Client{"client_id": "ellip", …})
//	p.Issuer(); p.Calls("token"); p.Post("/token", form)
//
// Users log in by any name and password, on its development pages, which are plain
// forms. It asks for consent, rotates refresh tokens at each use, and ends a grant whose
// spent refresh token comes again. Access tokens are JWTs for https://api.example.org
// (RFC 8707, RFC 9068), except for the client "opaque". It dies with the test.
package oidcprovider

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/terradue/t2-cred/e2e/ledger"
	"github.com/terradue/t2-cred/e2e/proc"
	"github.com/terradue/t2-cred/e2e/tb"
)

//go:embed server.mjs
var server []byte

// A Client is one client's metadata (RFC 7591 §2).
type Client map[string]any

// Provider is a running issuer. Its methods fail the test that it was started for.
type Provider struct {
	t      tb.T
	issuer string
	ledger *ledger.Ledger
}

// A Call is a POST to an endpoint, and the answer.
type Call struct {
	Route  string         `json:"route"` // token, revocation, pushed_authorization_request, device_authorization
	Form   map[string]any `json:"form"`
	Header string         `json:"header"` // the scheme of Authorization, or empty
	Status int            `json:"status"`
	Said   map[string]any `json:"said"`
}

// Start starts a provider that has these clients. dir is what setup.d/oidcprovider.sh
// installed; the ledger is told every token that the provider gives.
func Start(t tb.T, dir string, l *ledger.Ledger, clients ...Client) *Provider {
	t.Helper()
	known, err := json.Marshal(clients)
	if err != nil {
		t.Fatalf("oidc-provider: %v", err)
	}
	module := filepath.Join(dir, "node_modules/oidc-provider/lib/index.js")
	// What is read from standard input first is the clients, so the program is an argument.
	cmd := exec.Command(filepath.Join(dir, "node"), "--input-type=module", "--eval", string(server), module) //nolint:noctx // ends by Kill
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	var said bytes.Buffer
	cmd.Stderr = &said
	if err1 != nil || err2 != nil {
		t.Fatalf("oidc-provider: %v, %v", err1, err2)
	}
	process, err := proc.Start(cmd)
	if err != nil {
		t.Fatalf("oidc-provider: %v", err)
	}
	p := &Provider{t: t, ledger: l}
	t.Cleanup(func() {
		if p.issuer != "" {
			p.Calls("")
		}
		process.Kill()
	})
	timer := time.AfterFunc(30*time.Second, process.Kill)
	defer timer.Stop()
	if _, err := stdin.Write(append(known, '\n')); err != nil {
		t.Fatalf("oidc-provider: %v", err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		process.Kill()
		t.Fatalf("oidc-provider did not start: %v\n%s", err, said.String())
	}
	p.issuer = strings.TrimSpace(line)
	return p
}

// Issuer is the issuer's identifier, http on loopback.
func (p *Provider) Issuer() string { return p.issuer }

// Calls are the calls of one route, or all, so far, in their order.
func (p *Provider) Calls(route string) (calls []Call) {
	p.t.Helper()
	_, body := p.ask(http.MethodGet, "/calls", nil)
	var all []Call
	if err := json.Unmarshal(body, &all); err != nil {
		p.t.Fatalf("oidc-provider: %v", err)
	}
	for _, c := range all {
		p.tell(c)
		if route == "" || c.Route == route {
			calls = append(calls, c)
		}
	}
	return calls
}

// tell has the ledger know what the issuer gave and what it was sent.
func (p *Provider) tell(c Call) {
	for name, kind := range map[string]ledger.Kind{
		"access_token": ledger.Access, "refresh_token": ledger.Refresh, "id_token": ledger.ID, "device_code": ledger.Other,
	} {
		if s, _ := c.Said[name].(string); s != "" {
			p.ledger.Add(kind, s)
		}
	}
	for _, name := range []string{"code", "code_verifier", "client_assertion"} {
		if s, _ := c.Form[name].(string); s != "" {
			p.ledger.Add(ledger.Other, s)
		}
	}
}

// Post sends a form as it is and returns the answer, with its status.
func (p *Provider) Post(path string, form url.Values) (status int, said map[string]any) {
	p.t.Helper()
	status, body := p.ask(http.MethodPost, path, form)
	_ = json.Unmarshal(body, &said) // an empty body is an answer too
	return status, said
}

func (p *Provider) ask(method, path string, form url.Values) (status int, body []byte) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, p.issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Fatalf("oidc-provider: %v", err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatalf("oidc-provider: %v", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if body, err = io.ReadAll(resp.Body); err != nil {
		p.t.Fatalf("oidc-provider: %v", err)
	}
	return resp.StatusCode, body
}
