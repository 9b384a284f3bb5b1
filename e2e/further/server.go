package further

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/terradue/t2-cred/e2e/ledger"
	"github.com/terradue/t2-cred/e2e/proc"
	"github.com/terradue/t2-cred/e2e/tb"
)

// startTimeout is generous: some seconds on two idle cores, but the cores may be busy.
const startTimeout = 3 * time.Minute

// Server is a running issuer. Its methods fail the test that it was started for.
type Server struct {
	t        tb.T
	front    *httptest.Server
	ledger   *ledger.Ledger
	secret   string
	password string

	mu    sync.Mutex
	calls []Call
}

// Call is a POST to the issuer and its answer.
type Call struct {
	Path   string
	Form   url.Values
	Status int
	Said   map[string]any
}

// Issuer is the issuer's identifier, http on loopback.
func (s *Server) Issuer() string { return s.front.URL }

// Secret is the secret of the confidential client.
func (s *Server) Secret() string { return s.secret }

// Password is the password of each user.
func (s *Server) Password() string { return s.password }

// Calls are the POSTs to a path so far, in their order.
func (s *Server) Calls(path string) (calls []Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if c.Path == path {
			calls = append(calls, c)
		}
	}
	return calls
}

// Post sends a form, as the confidential client if it is asked for.
func (s *Server) Post(path string, form url.Values, client ...string) (status int, said map[string]any) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Issuer()+path, strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatalf("%s: %v", path, err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if len(client) == 1 {
		req.SetBasicAuth(client[0], s.secret)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatalf("%s: %v", path, err)
	}
	defer func() { _ = res.Body.Close() }()
	_ = json.NewDecoder(res.Body).Decode(&said) // an empty body is an answer too
	return res.StatusCode, said
}

// start starts the front, then the server behind it, and waits until that answers.
func start(t tb.T, l *ledger.Ledger, server func(port int, s *Server) *exec.Cmd) *Server {
	t.Helper()
	s := &Server{t: t, ledger: l, secret: rand.Text(), password: rand.Text()}
	l.Add(ledger.Client, s.secret)
	l.Add(ledger.Other, s.password)
	port, err := freePort()
	if err != nil {
		t.Fatalf("%v", err)
	}
	back := &url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", port)}
	s.front = httptest.NewServer(s.record(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(back)
			r.Out.Host = r.In.Host // the server calls itself by it
			r.Out.Header.Del("Accept-Encoding")
		},
	}))
	t.Cleanup(s.front.Close)

	cmd := server(port, s)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	process, err := proc.Start(cmd)
	if err != nil {
		t.Fatalf("%s: %v", cmd.Path, err)
	}
	t.Cleanup(process.Kill)
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(100 * time.Millisecond) {
		if answers(back.String() + "/.well-known/openid-configuration") { // not through the front, which would complain
			return s
		}
		if !process.Alive() || time.Now().After(deadline) {
			process.Kill()
			<-process.Done()
			t.Fatalf("%s is not ready:\n%s", cmd.Path, log.String())
		}
	}
}

// answers reports whether there is a page.
func answers(address string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// record keeps each POST and its answer.
func (s *Server) record(server http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			server.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			return // its sender died in the middle
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer := httptest.NewRecorder()
		server.ServeHTTP(answer, r)
		c := Call{Path: r.URL.Path, Status: answer.Code}
		c.Form, _ = url.ParseQuery(string(body))
		_ = json.Unmarshal(answer.Body.Bytes(), &c.Said) // a page is none
		s.keep(c)
		for name, values := range answer.Header() {
			w.Header()[name] = slices.Clone(values)
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
}

func (s *Server) keep(c Call) {
	kinds := map[string]ledger.Kind{
		"access_token": ledger.Access, "refresh_token": ledger.Refresh, "id_token": ledger.ID, "device_code": ledger.Other,
	}
	if c.Form.Get("client_id") == PortalID { // a user's own token, which t2-cred takes in
		kinds["access_token"] = ledger.Subject
	}
	for name, kind := range kinds {
		if secret, _ := c.Said[name].(string); secret != "" {
			s.ledger.Add(kind, secret)
		}
	}
	for _, name := range []string{"code", "code_verifier"} {
		if secret := c.Form.Get(name); secret != "" {
			s.ledger.Add(ledger.Other, secret)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, c)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}
