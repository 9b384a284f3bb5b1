package oidctest

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// An Endpoint is one of those an issuer has.
type Endpoint string

// The endpoints. Metadata is RFC 8414's address for what Discovery serves; a
// fault of Discovery is one of both. Any is for faults of all of them.
const (
	Discovery  Endpoint = "discovery"
	Metadata   Endpoint = "metadata"
	JWKS       Endpoint = "jwks"
	Token      Endpoint = "token"
	Revocation Endpoint = "revocation"
	Introspect Endpoint = "introspection"
	// Authorization is served by an issuer with a [Preset].
	Authorization Endpoint = "authorization"
	Any           Endpoint = ""
)

// A Call is one request that is being served.
type Call struct {
	Issuer   *Issuer
	Request  *http.Request
	Endpoint Endpoint
	Form     url.Values // of the body; parsed leniently
	// Grant is the grant asked for, in short: "token-exchange", "refresh_token".
	Grant string

	aliased bool // asked at the mutual TLS alias
	body    []byte
	auth    clientAuth
	faults  []Fault
}

// An Answer is what is about to be sent.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// wait sleeps, but not beyond the end of the request or of the issuer.
func (c *Call) wait(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.Request.Context().Done():
	case <-c.Issuer.closed:
	}
}

// ServeHTTP implements http.Handler.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if i.remote && strings.HasPrefix(r.URL.Path, "/control/") {
		i.serveControl(w, r)
		return
	}
	path, aliased := strings.CutPrefix(r.URL.EscapedPath(), "/mtls/") // as it was sent
	if aliased {
		path = "/" + path
	}
	c := &Call{Issuer: i, Request: r, Endpoint: i.route(path), aliased: aliased}
	c.body, _ = io.ReadAll(io.LimitReader(r.Body, 1<<20))
	c.Form, _ = url.ParseQuery(string(c.body))
	c.Grant = c.Form.Get("grant_type")
	if c.Grant == grantExchange {
		c.Grant = "token-exchange"
	}
	c.auth = readClientAuth(r, c.Form)
	n := i.note(c)
	c.faults = i.due(c)

	a := c.answer()
	for _, f := range c.faults {
		if f.After != nil {
			f.After(c, &a)
		}
	}
	i.noteStatus(n, a.Status)
	for _, f := range c.faults {
		if f.Send != nil {
			f.Send(c, w, a)
			return
		}
	}
	send(w, a)
}

func (c *Call) answer() Answer {
	for _, f := range c.faults {
		if f.Before == nil {
			continue
		}
		if a := f.Before(c); a != nil {
			if a.Header == nil {
				a.Header = http.Header{}
			}
			c.Issuer.date(a.Header)
			return *a
		}
	}
	a := c.serve()
	c.Issuer.date(a.Header)
	return a
}

// serve is the issuer as it should be.
func (c *Call) serve() Answer {
	switch c.Endpoint {
	case Discovery, Metadata:
		return c.serveMetadata()
	case JWKS:
		return c.serveKeys()
	case Token:
		return c.serveToken()
	case Revocation:
		return c.serveRevocation()
	case Introspect:
		return c.serveIntrospection()
	case Authorization:
		return c.serveAuthorization()
	}
	return c.fail(http.StatusNotFound, "HTTP 404 Not Found", "")
}

// date has the answer carry the issuer's own time.
func (i *Issuer) date(h http.Header) {
	h.Set("Date", i.Clock.Now().UTC().Format(http.TimeFormat))
}

// A logBook keeps what a server logs, instead of showing it: connections are cut
// on purpose here.
type logBook struct {
	mu    sync.Mutex
	lines []string
}

// Write implements io.Writer.
func (b *logBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, string(p))
	return len(p), nil
}

func send(w http.ResponseWriter, a Answer) {
	writeHeader(w, a)
	_, _ = w.Write(a.Body)
}

func writeHeader(w http.ResponseWriter, a Answer) {
	for name, values := range a.Header {
		w.Header()[name] = values
	}
	if w.Header().Get("Content-Length") == "" && a.Status != http.StatusNotModified && a.Status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(a.Body)))
	}
	w.WriteHeader(a.Status)
}

func (i *Issuer) route(path string) Endpoint {
	i.mu.Lock()
	only8414 := i.conf.only8414
	i.mu.Unlock()
	for _, e := range []Endpoint{Discovery, Metadata, JWKS, Token, Revocation, Introspect, Authorization} {
		if path == escapedPath(i.endpoint(e)) && (e != Discovery || !only8414) && (e != Metadata || only8414) {
			return e
		}
	}
	return "unknown"
}

// escapedPath is the path of an address as a client sends it.
func escapedPath(address string) string {
	u, err := url.Parse(address)
	if err != nil || address == "" {
		return ""
	}
	return u.EscapedPath()
}

// json is an answer with an object, after all faults have edited it.
func (c *Call) json(status int, object map[string]any) Answer {
	for _, f := range c.faults {
		if f.Edit != nil {
			f.Edit(c, object)
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(object); err != nil {
		panic("oidctest: " + err.Error())
	}
	return Answer{Status: status, Body: bytes.TrimSpace(b.Bytes()), Header: http.Header{
		"Content-Type":           {"application/json"},
		"Cache-Control":          {"no-store"},
		"Pragma":                 {"no-cache"},
		"X-Content-Type-Options": {"nosniff"},
	}}
}

// fail is an OAuth error (RFC 6749 §5.2).
func (c *Call) fail(status int, code, description string) Answer {
	object := map[string]any{"error": code}
	if description != "" {
		object["error_description"] = description
	}
	return c.json(status, object)
}

// checkForm refuses what a client should not send: RFC 6749 §3.2 has POST, a
// form, no parameter twice and none without a value. Keycloak would ignore a
// parameter that it does not know; here it is refused, so that tests see it.
func (c *Call) checkForm(known ...string) *Answer {
	refuse := func(status int, code, description string) *Answer {
		a := c.fail(status, code, description)
		return &a
	}
	if c.Request.Method != http.MethodPost {
		return refuse(http.StatusMethodNotAllowed, "HTTP 405 Method Not Allowed", "")
	}
	if t, _, _ := mime.ParseMediaType(c.Request.Header.Get("Content-Type")); t != "application/x-www-form-urlencoded" {
		return refuse(http.StatusUnsupportedMediaType, "HTTP 415 Unsupported Media Type", "")
	}
	if c.Request.URL.RawQuery != "" {
		return refuse(http.StatusBadRequest, "invalid_request", "parameters in the query")
	}
	if _, err := url.ParseQuery(string(c.body)); err != nil {
		return refuse(http.StatusBadRequest, "invalid_request", "malformed form")
	}
	allowed := map[string]bool{"client_id": true, "client_secret": true, "client_assertion": true, "client_assertion_type": true}
	for _, name := range known {
		allowed[name] = true
	}
	for name, values := range c.Form {
		switch {
		case !allowed[name]:
			return refuse(http.StatusBadRequest, "invalid_request", "unknown parameter: "+name)
		case len(values) > 1 && name != "audience" && name != "resource":
			return refuse(http.StatusBadRequest, "invalid_request", "duplicated parameter")
		case values[0] == "":
			return refuse(http.StatusBadRequest, "invalid_request", "parameter without a value: "+name)
		}
	}
	return nil
}
