package oidc

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"time"
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
		g.issuer.opt.Log.Debug("request failed", "method", req.Method, "url", req.URL.Redacted(), "took", took, "error", kindOf(err))
		return nil, err
	}
	g.issuer.opt.Log.Debug("request", "method", req.Method, "url", req.URL.Redacted(), "status", resp.StatusCode, "took", took)
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		g.issuer.mu.Lock()
		g.issuer.skew, g.issuer.dated = date.Sub(g.issuer.opt.Now()), true
		g.issuer.mu.Unlock()
	}
	resp.Body = &cappedBody{ReadCloser: resp.Body, left: maxBody}
	return resp, nil
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

// kindOf is what may be logged of a transport's error. Others quote what the server
// sent, and that may be an echo of what it was sent.
func kindOf(err error) string {
	var op *net.OpError
	var certificate *tls.CertificateVerificationError
	var proxy *proxyError
	switch {
	case errors.As(err, &certificate):
		return Clean(certificate.Error())
	case errors.As(err, &proxy):
		return Clean(proxy.Error())
	case errors.As(err, &op):
		return Clean(op.Error())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was cut"
	}
	return "the answer is not HTTP, or the connection failed"
}
