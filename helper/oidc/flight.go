package oidc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
)

// errEnded is of a request that was given up before it left.
var errEnded = errors.New("given up before it was sent")

// A flight is one try to send one request, on a connection of its own. It knows
// whether a byte of the request has left.
type flight struct {
	before func() error
	began  chan struct{} // closed when before has allowed the request

	mu      sync.Mutex
	ready   bool  // the connection is made: what is written now is the request
	over    bool  // nothing more may begin
	allowed bool  // before was asked and allowed it
	left    bool  // the system took a byte of the request
	refused error // before's answer
}

func newFlight(before func() error) *flight {
	if before == nil {
		before = func() error { return nil }
	}
	return &flight{before: before, began: make(chan struct{})}
}

// isReady is told by the transport when TLS and the proxies are done.
func (f *flight) isReady() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ready = true
}

// write is what a connection of this flight does to write.
func (f *flight) write(conn net.Conn, p []byte) (int, error) {
	f.mu.Lock()
	if !f.ready || f.left {
		f.mu.Unlock()
		return conn.Write(p)
	}
	defer f.mu.Unlock()
	if err := f.allow(); err != nil {
		return 0, err
	}
	n, err := conn.Write(p)
	f.left = n > 0
	return n, err
}

// allow asks before, once. The caller holds mu.
func (f *flight) allow() error {
	switch {
	case f.over:
		return errEnded
	case f.refused != nil:
		return f.refused
	case f.allowed:
		return nil
	}
	if f.refused = f.before(); f.refused != nil {
		return f.refused
	}
	f.allowed = true
	close(f.began)
	return nil
}

// end keeps the request from leaving. It reports whether that was in time.
func (f *flight) end() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.allowed {
		return false
	}
	f.over = true
	return true
}

// result is what became of it. Nothing can leave afterwards.
func (f *flight) result() (left bool, refused error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over, f.allowed = true, false
	return f.left, f.refused
}

// watch cancels the request when ctx ends before it has begun. After that it is ctx
// or, where the request spends something, the wait in running time that ends it.
func (f *flight) watch(ctx context.Context, spends bool, wait time.Duration, done <-chan struct{}, cancel context.CancelCauseFunc) {
	select {
	case <-done:
		return
	case <-f.began:
	case <-ctx.Done():
		if !spends || f.end() {
			cancel(ctx.Err())
			return
		}
	}
	if !spends {
		select {
		case <-done:
		case <-ctx.Done():
			cancel(ctx.Err())
		}
		return
	}
	// Ticks that fall into a stop of the process are lost, so it is not counted.
	const tick = 50 * time.Millisecond
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for spent := time.Duration(0); spent < wait; spent += tick {
		select {
		case <-done:
			return
		case <-ticker.C:
		}
	}
	cancel(fmt.Errorf("no answer in %s: %w", wait, context.DeadlineExceeded))
}

// A flightConn tells its flight of each write.
type flightConn struct {
	net.Conn
	flight *flight
}

// Write implements io.Writer.
func (c *flightConn) Write(p []byte) (int, error) { return c.flight.write(c.Conn, p) }

// transport is like base, with a connection of its own for this flight, which dial makes. Its
// connections are wrapped below TLS; between the moment when a connection is ready
// and its first byte there is nothing but the request.
func (f *flight) transport(base *http.Transport, dial func(ctx context.Context, network, address string) (net.Conn, error)) *http.Transport {
	own := base.Clone()
	own.DisableKeepAlives = true
	own.DisableCompression = true // an answer that is compressed all the same is read by plainText
	own.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &flightConn{conn, f}, nil
	}
	return own
}

// sendOnce sends a request and reads the answer. The error tells the outcome.
func (i *Issuer) sendOnce(ctx context.Context, client *http.Client, req *http.Request, c Client, g Grant, s Spending) (Response, error) {
	if err := ctx.Err(); err != nil {
		return Response{}, unreachable(g.op, err)
	}
	if s.Wait == 0 {
		s.Wait = cmp.Or(i.opt.AnswerTime, answerTime)
	}
	sent := append(c.secrets(), g.sent...)
	f := newFlight(s.Before)
	flying, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	done := make(chan struct{})
	defer cancel(nil)
	defer close(done)
	go f.watch(ctx, g.spends, s.Wait, done, cancel)

	base := client.Transport.(*guard).next.(*http.Transport)
	own := f.transport(base, i.dialer(base.DialContext))
	defer own.CloseIdleConnections()
	once := &guard{issuer: i, next: own, holds: g.spends} // an http.Client would look at redirects before we see the answer
	traced := httptrace.WithClientTrace(flying, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { f.isReady() }})
	req = req.WithContext(traced)
	req.GetBody = nil // with it the transport could send the body again
	resp, err := once.RoundTrip(req)
	if err != nil {
		err = &url.Error{Op: "Post", URL: req.URL.Redacted(), Err: err}
		return Response{}, f.failure(ctx, flying, g.op, err, sent)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	answer, err := i.readAnswer(g, resp, plainText(body), transportError(err), sent, s.Known...)
	return answer, err
}

// failure is the error of a request that got no answer.
func (f *flight) failure(ctx, flying context.Context, op string, err error, sent []secret.Secret) error {
	left, refused := f.result()
	var proxy *proxyFailure
	if cause := context.Cause(flying); cause != nil {
		if errors.As(err, &proxy) {
			proxy.err = cause
		} else {
			err = cause
		}
	}
	err = transportError(err)
	switch {
	case left:
		return &outcomeError{NoAnswer, unreachable(op, err, sent...)}
	case refused != nil:
		return refused
	case ctx.Err() != nil:
		if proxy == nil {
			err = ctx.Err()
		}
	}
	return unreachable(op, err, sent...)
}
