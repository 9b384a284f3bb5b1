package oidc

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A tokenFront is an issuer whose token endpoint is a function. It counts the token
// requests that arrive, whole or not, and the connections.
type tokenFront struct {
	*httptest.Server
	posts  atomic.Int32
	made   atomic.Int32
	open   atomic.Int32
	issuer *Issuer
}

func newTokenFront(t *testing.T, secure bool, token http.HandlerFunc) *tokenFront {
	t.Helper()
	f := &tokenFront{}
	f.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/.well-known/") {
			fmt.Fprintf(w, `{"issuer":%q,"token_endpoint":"%[1]s/token","jwks_uri":"%[1]s/jwks"}`, f.URL)
			return
		}
		f.posts.Add(1)
		token(w, r)
	}))
	f.Listener = &countedListener{f.Listener, f}
	f.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	opt := Options{Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	if secure {
		f.EnableHTTP2 = true
		f.StartTLS()
		opt.CAFile = certFile(t, f.Certificate())
	} else {
		f.Start()
	}
	t.Cleanup(f.Close)
	f.issuer = New(f.URL, opt)
	return f
}

type countedListener struct {
	net.Listener
	of *tokenFront
}

func (l *countedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.of.made.Add(1)
	l.of.open.Add(1)
	return &countedConn{Conn: conn, of: l.of}, nil
}

type countedConn struct {
	net.Conn
	of   *tokenFront
	once sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.of.open.Add(-1) })
	return c.Conn.Close()
}

var frontClient = Client{ID: "front-client", Auth: AuthBasic, Secret: "Zp4uClientSecretOfTheFrontN6"}

func (f *tokenFront) spend(ctx context.Context, s Spending) (Response, error) {
	return f.issuer.Spend(ctx, frontClient, RefreshGrant(oldToken), s)
}

func answer(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{contentType}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// The front must not pass without HTTP/2 on offer.
func TestTokenFront_hasHTTP2(t *testing.T) {
	f := newTokenFront(t, true, answer(200, "application/json", goodBody))
	conn, err := tls.Dial("tcp", f.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil || conn.ConnectionState().NegotiatedProtocol != "h2" {
		t.Errorf("%v", err)
	}
	conn.Close()
}
