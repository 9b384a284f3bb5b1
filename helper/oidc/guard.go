package oidc

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
)

// maxBody is the most that is read of any answer, after decompression.
const maxBody = 1 << 20

var errBodyTooLarge = errors.New("the answer is larger than 1 MiB")

// guard is the transport that every request passes: it names us, caps what
// comes back and remembers the issuer's clock. With -v it says what was asked
// of whom; never a header, never a body.
type guard struct {
	issuer *Issuer
	next   http.RoundTripper
	// holds says that what is said of a request waits for LogHeld.
	holds bool
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	start := g.issuer.opt.Now()
	if ua := g.issuer.opt.UserAgent; ua != "" {
		req = req.Clone(req.Context())
		req.Header.Set("User-Agent", ua)
	}
	connected := false
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected = true }}
	resp, err := g.next.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if err != nil && !connected {
		err = g.blameProxy(req, err)
	}
	took := g.issuer.opt.Now().Sub(start).Round(time.Millisecond)
	if err != nil {
		g.log("request failed", "method", req.Method, "url", req.URL.Redacted(), "took", took, "error", kindOf(err))
		return nil, err
	}
	g.log("request", "method", req.Method, "url", req.URL.Redacted(), "status", resp.StatusCode, "took", took)
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		g.issuer.mu.Lock()
		g.issuer.skew, g.issuer.dated = date.Sub(g.issuer.opt.Now()), true
		g.issuer.mu.Unlock()
	}
	resp.Body = &cappedBody{ReadCloser: resp.Body, left: maxBody}
	return resp, nil
}

// log is for -v. Standard error may block: a full pipe that nobody reads, or a terminal
// after Ctrl-S. No answer with a new refresh token may wait for that.
func (g *guard) log(msg string, args ...any) {
	say := func() { g.issuer.opt.Log.Debug(msg, args...) }
	if !g.holds {
		g.issuer.LogHeld()
		say()
		return
	}
	g.issuer.mu.Lock()
	defer g.issuer.mu.Unlock()
	g.issuer.held = append(g.issuer.held, say)
}

// LogHeld logs what was held back while a refresh token was under way. The caller has
// stored what came.
func (i *Issuer) LogHeld() {
	i.mu.Lock()
	held := i.held
	i.held = nil
	i.mu.Unlock()
	for _, say := range held {
		say()
	}
}

// blameProxy names the proxy of a connection that was not made, unless the error says
// already what went wrong.
func (g *guard) blameProxy(req *http.Request, err error) error {
	var refused *proxyError
	var certificate *tls.CertificateVerificationError
	transport, ok := g.next.(*http.Transport)
	if !ok || transport.Proxy == nil || errors.As(err, &refused) || errors.As(err, &certificate) {
		return err
	}
	if proxy, wrong := transport.Proxy(req); wrong == nil && proxy != nil {
		return &proxyFailure{host: proxy.Host, err: err}
	}
	return err
}

// cappedBody fails, rather than ends, past the cap.
type cappedBody struct {
	io.ReadCloser
	left int64
}

func (b *cappedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errBodyTooLarge
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return 0, errBodyTooLarge
	}
	return n, err
}

// kindOf is what may be logged of a transport's error.
func kindOf(err error) string { return Clean(transportError(err).Error()) }

// transportError is [secret.TransportError], which knows our own transport's errors too.
func transportError(err error) error {
	var proxy *proxyError
	var failure *proxyFailure
	var wrong *ConfigError
	var asked *url.Error
	switch {
	case err == nil, errors.As(err, &wrong), errors.Is(err, errBodyTooLarge), errors.Is(err, errEnded):
		return err
	case errors.As(err, &proxy):
		return proxy
	case errors.As(err, &failure):
		return failure
	case errors.As(err, &asked):
		return &url.Error{Op: asked.Op, URL: asked.URL, Err: secret.TransportError(asked.Err)}
	}
	return secret.TransportError(err)
}
