package oidc

import (
	"errors"
	"io"
	"net/http"
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
	resp, err := g.next.RoundTrip(req)
	took := g.issuer.opt.Now().Sub(start).Round(time.Millisecond)
	if err != nil {
		g.issuer.opt.Log.Debug("request failed", "method", req.Method, "url", req.URL.Redacted(), "took", took, "error", Clean(err.Error()))
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
