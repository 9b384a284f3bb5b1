package openbao

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/safefile"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

const (
	maxAnswer    = 8 << 20 // bytes of one answer
	maxRedirects = 3
	// attemptTime bounds one request at one address. A stopped node accepts a connection
	// and never answers.
	attemptTime = 5 * time.Second
	// awayPatience is how long an engine without a leader is waited for. The longest gap
	// that was measured is 15.6 s.
	awayPatience = 20 * time.Second
	// gonePatience is for an engine of which no node listens, or whose nodes are sealed.
	gonePatience = 2 * time.Second
)

// A client speaks to the engine. Nothing is opened before the first request.
type client struct {
	cfg  Config
	opt  backend.Options
	http func() (*http.Client, error)

	auth   sync.Mutex // held while the token is looked for
	mu     sync.Mutex // of what follows
	at     int        // the address that answered last
	index  string     // of the newest state that this process has seen
	clock  time.Time  // of the engine, at its last answer
	token  secret.Secret
	logged time.Time // when this process logged in; zero for a token from the cache
}

// A request is one call of the engine's API.
type request struct {
	method, path string // the path without /v1/
	query        url.Values
	body         any
	bare         bool            // it needs no token
	only         string          // the one address that is asked, once; empty for any
	quick        bool            // it is not repeated
	hidden       []secret.Secret // in the body; an error that repeats one is not shown
}

// A reply is an answer of the engine.
type reply struct {
	status int
	body   []byte
	at     string // the address that gave it
	index  string
	date   time.Time
	retry  time.Duration // what Retry-After says
}

func newClient(cfg Config, opt backend.Options) *client {
	c := &client{cfg: cfg, opt: opt}
	c.http = sync.OnceValues(c.open)
	return c
}

// open makes the HTTP client. The proxies of the environment are for the issuer and are
// not used: they would see every grant of the machines.
func (c *client) open() (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(0)}
	if c.cfg.CAFile != "" {
		text, err := safefile.Read(c.cfg.CAFile, safefile.Want{Max: 4 << 20, Trust: safefile.Ours})
		if err != nil {
			return nil, c.unusable(err, "ca_file")
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, c.unusable(nil, "ca_file %s holds no certificate", c.cfg.CAFile)
		}
	}
	if c.cfg.Auth == authCert {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.certificate() }
	}
	dialer := &net.Dialer{Timeout: attemptTime}
	return &http.Client{
		Transport:     &http.Transport{DialContext: secret.Dial(dialer), TLSClientConfig: config, MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

func (c *client) certificate() (*tls.Certificate, error) {
	cert, err := c.readFile("cert_file", c.cfg.CertFile, safefile.Ours)
	if err != nil {
		return nil, err
	}
	key, err := c.readFile("key_file", c.cfg.KeyFile, safefile.Private)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair([]byte(cert.Reveal()), []byte(key.Reveal())) // signs the handshake
	if err != nil {
		return nil, c.unusable(nil, "cert_file %s and key_file %s are no pair", c.cfg.CertFile, c.cfg.KeyFile)
	}
	return &pair, nil
}

// readFile reads what a machine proves itself by.
func (c *client) readFile(key, path string, trust safefile.Trust) (secret.Secret, error) {
	if !filepath.IsAbs(path) {
		dir := c.opt.Getenv("CREDENTIALS_DIRECTORY")
		if !filepath.IsAbs(dir) {
			return "", c.unusable(nil, "%s names a systemd credential, and CREDENTIALS_DIRECTORY is not set to an absolute path", key)
		}
		path, trust = filepath.Join(dir, path), safefile.Anyone // the directory is the service's alone
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return "", c.unusable(nil, "%s: %s has no such credential (the name is not shown: it may be the secret itself)", key, dir)
		}
	}
	text, err := safefile.Read(path, safefile.Want{Max: secret.MaxSize, Trust: trust})
	if err != nil {
		return "", c.unusable(err, "%s", key)
	}
	if value := secret.WithoutLineEnd(text); value != "" {
		return value, nil
	}
	return "", c.unusable(nil, "%s %s is empty", key, path)
}

// do sends a request with the machine's token. A 403 may mean that the token has ended,
// or that a standby does not know a new one yet.
func (c *client) do(ctx context.Context, r request) (reply, error) {
	if r.bare {
		return c.call(ctx, r, "")
	}
	refused := secret.Secret("")
	for {
		token, err := c.engineToken(ctx, refused)
		if err != nil {
			return reply{}, err
		}
		rep, err := c.call(ctx, r, token)
		for wait := 50 * time.Millisecond; err == nil && rep.status == http.StatusForbidden && c.justLoggedIn() && wait < time.Second && sleep(ctx, wait); wait *= 2 {
			rep, err = c.call(ctx, r, token)
		}
		if err != nil || rep.status != http.StatusForbidden || refused != "" || !c.mayRenew() {
			return rep, err
		}
		refused = token
	}
}

// call sends a request until it is answered. Everything that is asked here may be sent
// twice: a check-and-set that took place is refused the second time, and looked into.
func (c *client) call(ctx context.Context, r request, token secret.Secret) (reply, error) {
	patient, cancel := context.WithTimeout(ctx, awayPatience)
	defer cancel()
	waited := time.Duration(0)
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		rep, err := c.round(patient, r, token)
		if err == nil {
			return rep, nil
		}
		if errors.Is(ctx.Err(), context.Canceled) {
			return reply{}, ctx.Err()
		}
		var a *away
		if !errors.As(err, &a) || r.quick || r.only != "" {
			return rep, err
		}
		wait := max(a.retry, pause/2+rand.N(pause)) //nolint:gosec // only to wait apart from the others
		if waited += wait; waited > a.patience || !sleep(patient, wait) {
			return rep, err
		}
	}
}

// round asks the addresses one after the other until one answers.
func (c *client) round(ctx context.Context, r request, token secret.Secret) (rep reply, err error) {
	if r.only != "" {
		return c.ask(ctx, r.only, r, token)
	}
	c.mu.Lock()
	first := c.at
	c.mu.Unlock()
	var worst *away
	for i := range c.cfg.Address {
		n := (first + i) % len(c.cfg.Address)
		rep, err = c.ask(ctx, base(c.cfg.Address[n]), r, token)
		if err == nil {
			c.mu.Lock()
			c.at = n
			c.mu.Unlock()
			return rep, nil
		}
		var a *away
		if !errors.As(err, &a) {
			return rep, err
		}
		if worst == nil || a.patience > worst.patience {
			worst = a
		}
		if ctx.Err() != nil {
			break
		}
	}
	return reply{}, worst
}

// ask asks one address and follows it to another one of the list.
func (c *client) ask(ctx context.Context, at string, r request, token secret.Secret) (reply, error) {
	for followed := range maxRedirects {
		rep, location, err := c.once(ctx, at, r, token)
		var gone *away
		if followed > 0 && errors.As(err, &gone) { // a standby refers to a leader that has gone, until there is another
			return rep, &away{err: gone.err, patience: max(gone.patience, awayPatience), retry: gone.retry}
		}
		if err != nil || location == "" {
			return rep, err
		}
		if at = c.listed(location); at == "" {
			return reply{}, c.unavailable(nil, "the engine refers to %s, which address does not list", shown(location))
		}
	}
	return reply{}, &away{err: errors.New("the engine's nodes refer to each other"), patience: awayPatience}
}

// listed is the listed address that a location is at; empty when it is at none.
func (c *client) listed(location string) string {
	want := base(location)
	for _, address := range c.cfg.Address {
		if base(address) == want && want != "" {
			return want
		}
	}
	return ""
}

func (c *client) once(ctx context.Context, at string, r request, token secret.Secret) (rep reply, location string, err error) {
	client, err := c.http()
	if err != nil {
		return reply{}, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	req, err := c.newRequest(ctx, at, r, token)
	if err != nil {
		return reply{}, "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return reply{}, "", c.noAnswer(at, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return reply{}, "", c.noAnswer(at, err)
	case len(body) > maxAnswer:
		return reply{}, "", c.unavailable(nil, "the answer of %s has more than %d bytes", at, maxAnswer)
	case resp.StatusCode >= 300 && resp.StatusCode < 400 && resp.Header.Get("Location") != "":
		return reply{}, resp.Header.Get("Location"), nil
	}
	rep = reply{status: resp.StatusCode, body: body, at: at, index: resp.Header.Get("X-Vault-Index")}
	rep.date, _ = http.ParseTime(resp.Header.Get("Date"))
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		rep.retry = min(time.Duration(seconds)*time.Second, awayPatience)
	}
	c.saw(rep)
	if rep.status >= http.StatusBadRequest && repeats(said(rep.body), append(r.hidden, token)) {
		rep.body = nil
	}
	return rep, "", c.isAway(rep)
}

// saw keeps what an answer tells beside its body.
func (c *client) saw(rep reply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if rep.index != "" {
		c.index = rep.index
	}
	if !rep.date.IsZero() {
		c.clock = rep.date
	}
}

func (c *client) newRequest(ctx context.Context, at string, r request, token secret.Secret) (*http.Request, error) {
	var body io.Reader
	if r.body != nil {
		raw, err := json.Marshal(r.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(raw)
	}
	address := at + "/v1/" + escapePath(r.path)
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Vault-Request", "true")
	if token != "" {
		req.Header.Set("X-Vault-Token", token.Reveal()) // leaves for the engine
	}
	if c.cfg.Namespace != "" {
		req.Header.Set("X-Vault-Namespace", c.cfg.Namespace)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.index != "" { // with it a standby that is behind passes the request on
		req.Header.Set("X-Vault-Index", c.index)
		req.Header.Set("X-Vault-Inconsistent", "forward-active-node")
	}
	return req, nil
}

func escapePath(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/")
}

// away is of a request that got no answer, or one that says to try again.
type away struct {
	err      error
	patience time.Duration // how long trying again may help
	retry    time.Duration
}

func (a *away) Error() string { return a.err.Error() }
func (a *away) Unwrap() error { return a.err }

// noAnswer is the error of a connection.
func (c *client) noAnswer(at string, err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var wrong *hint.Error
	if errors.As(err, &wrong) && errors.Is(wrong, backend.ErrConfig) { // a file of ours; nobody was asked
		return wrong
	}
	patience := awayPatience
	var dns *net.DNSError
	var bad *tls.CertificateVerificationError
	switch {
	case errors.As(err, &bad):
		patience = 0
	case errors.Is(err, syscall.ECONNREFUSED), errors.As(err, &dns):
		patience = gonePatience
	}
	// net/http quotes what it cannot read, and the answer may be a record.
	return &away{err: c.unavailable(secret.TransportError(err), "the engine at %s does not answer", at), patience: patience}
}

// sleep returns false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
