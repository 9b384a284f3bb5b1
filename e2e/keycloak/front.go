package keycloak

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/terradue/t2-cred/e2e/ledger"
)

// Call is one request that reached Keycloak at an endpoint of the OpenID protocol
// or at the discovery document, and its answer.
type Call struct {
	Realm    string
	Endpoint string // "token", "revoke", "certs", "logout", ".well-known/openid-configuration"
	Grant    string // grant_type, of token
	Client   string // who asked, if it said so
	Status   int
	Error    string // the OAuth error of the answer
}

// front is the reverse proxy that the clients talk to.
type front struct {
	url    string
	server *http.Server
	ledger *ledger.Ledger

	mu     sync.Mutex
	target *url.URL // scheme and host only: paths are the same on both sides
	proxy  http.Handler
	calls  []Call
	inside map[string]func(http.Handler) http.Handler // by realm
}

func listen(port int, l *ledger.Ledger) (*front, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(context.Background(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	f := &front{
		url:    "http://" + ln.Addr().String() + "/auth",
		ledger: l,
		inside: map[string]func(http.Handler) http.Handler{},
	}
	f.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			f.mu.Lock()
			defer f.mu.Unlock()
			r.SetURL(f.target)
			r.Out.Host = r.In.Host
			r.Out.Header.Del("Accept-Encoding") // the answers are read here
		},
		ModifyResponse: f.record,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			if !errors.Is(err, context.Canceled) {
				http.Error(w, err.Error(), http.StatusBadGateway)
			}
		},
	}
	f.server = &http.Server{Handler: f, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = f.server.Serve(ln) }()
	return f, nil
}

func (f *front) to(base string) {
	u, err := url.Parse(base)
	if err != nil {
		panic(err) // it was made here
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.target = &url.URL{Scheme: u.Scheme, Host: u.Host}
}

func (f *front) close() { _ = f.server.Close() }

// call is carried from the request to its answer.
type callKey struct{}

// ServeHTTP lets the test's own handler, if there is one, get in between.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := describe(r)
	r = r.WithContext(context.WithValue(r.Context(), callKey{}, call))
	h := f.proxy
	f.mu.Lock()
	if m := f.inside[call.Realm]; m != nil {
		h = m(h)
	}
	f.mu.Unlock()
	h.ServeHTTP(w, r)
}

// describe reads the request without consuming it.
func describe(r *http.Request) *Call {
	c := &Call{}
	rest, ok := strings.CutPrefix(r.URL.Path, "/auth/realms/")
	if !ok {
		return c
	}
	c.Realm, c.Endpoint, _ = strings.Cut(rest, "/")
	c.Endpoint = strings.TrimPrefix(c.Endpoint, "protocol/openid-connect/")
	if r.Method != http.MethodPost {
		return c
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return c
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if form, err := url.ParseQuery(string(body)); err == nil {
		c.Grant, c.Client = form.Get("grant_type"), form.Get("client_id")
	}
	if user, _, ok := r.BasicAuth(); ok {
		c.Client = user
	}
	return c
}

// record reads the answer without consuming it.
func (f *front) record(res *http.Response) error {
	call, _ := res.Request.Context().Value(callKey{}).(*Call)
	if call == nil || call.Realm == "" {
		return nil
	}
	done := *call
	done.Status = res.StatusCode
	if strings.Contains(res.Header.Get("Content-Type"), "json") {
		body, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
		if err != nil {
			return err
		}
		_ = res.Body.Close()
		res.Body = io.NopCloser(bytes.NewReader(body))
		var a Answer
		if json.Unmarshal(body, &a) == nil {
			done.Error = a.Error
			f.learn(call, a)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, done)
	return nil
}

// learn tells the ledger what the server gave out. What the portal gets is a
// user's own token, which t2-cred takes in and never prints.
func (f *front) learn(call *Call, a Answer) {
	kind := ledger.Access
	if call.Client == PortalID {
		kind = ledger.Subject
	}
	f.ledger.Add(kind, a.AccessToken)
	f.ledger.Add(ledger.Refresh, a.RefreshToken)
	f.ledger.Add(ledger.ID, a.IDToken)
}

func (f *front) callsOf(realm string) []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.calls), func(c Call) bool { return c.Realm != realm })
}

func (f *front) intercept(realm string, m func(http.Handler) http.Handler) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m == nil {
		delete(f.inside, realm)
	} else {
		f.inside[realm] = m
	}
}
