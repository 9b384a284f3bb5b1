package oidc

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"
)

// TestConnect: the request that follows takes the connection, over TLS too, and none is
// left behind. The count is of connections, one of them for the discovery document.
func TestConnect(t *testing.T) {
	for name, secure := range map[string]bool{"http": false, "https": true} {
		t.Run(name, func(t *testing.T) {
			f := newTokenFront(t, secure, answer(200, "application/json", goodBody))
			if _, err := f.issuer.Metadata(t.Context()); err != nil {
				t.Fatal(err)
			}
			before := f.made.Load()
			for n := range int32(2) {
				f.issuer.Connect(t.Context(), frontClient)
				if r, err := f.spend(t.Context(), Spending{}); err != nil || r.RefreshToken != newToken {
					t.Fatalf("%+v, %v", r, err)
				}
				if got := f.made.Load() - before; got != n+1 {
					t.Errorf("%d connections for %d requests", got, n+1)
				}
			}
			// Without a request it ends, and a later request makes its own. Two are begun, as by
			// two accounts at once.
			f.issuer.Connect(t.Context(), frontClient)
			f.issuer.Connect(t.Context(), frontClient)
			time.Sleep(connectLife + 300*time.Millisecond)
			if got := f.made.Load() - before; got != 4 {
				t.Errorf("%d connections, want a third and a fourth", got)
			}
			if r, err := f.spend(t.Context(), Spending{}); err != nil || r.RefreshToken != newToken {
				t.Fatalf("%+v, %v", r, err)
			}
			if got := f.made.Load() - before; got != 5 {
				t.Errorf("%d connections, want a fifth", got)
			}

			if got := f.posts.Load(); got != 3 {
				t.Errorf("%d requests arrived", got)
			}
			for end := time.Now().Add(3 * time.Second); f.open.Load() > 1 && time.Now().Before(end); {
				time.Sleep(20 * time.Millisecond)
			}
			if got := f.open.Load(); got > 1 {
				t.Errorf("%d connections stay open", got)
			}
		})
	}
}

// TestConnect_fails: that nobody answers is said by the request, of which nothing left.
func TestConnect_fails(t *testing.T) {
	f := newTokenFront(t, false, answer(200, "application/json", goodBody))
	if _, err := f.issuer.Metadata(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.Close()
	f.issuer.Connect(t.Context(), frontClient)
	ctx, cancel := contextWithTimeout(t, 300*time.Millisecond)
	defer cancel()
	if _, err := f.spend(ctx, Spending{}); err == nil || Sent(err) {
		t.Errorf("%v, sent: %v", err, Sent(err))
	}
}

// TestConnect_ofAnotherCaller: accounts of one issuer share what was begun, and not the
// time of whoever began it.
func TestConnect_ofAnotherCaller(t *testing.T) {
	f := newTokenFront(t, false, answer(200, "application/json", goodBody))
	if _, err := f.issuer.Metadata(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, of := range []func() context.Context{
		func() context.Context {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			return ctx
		},
		func() context.Context {
			ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
			t.Cleanup(cancel)
			return ctx
		},
	} {
		f.issuer.Connect(of(), frontClient)
		var own net.Dialer
		conn, err := f.issuer.dialer(own.DialContext)(t.Context(), "tcp", f.Listener.Addr().String())
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		_ = conn.Close()
	}
}

// TestConnect_notThroughAProxy: what is begun would go past it.
func TestConnect_notThroughAProxy(t *testing.T) {
	f := newTokenFront(t, false, answer(200, "application/json", goodBody))
	client, err := f.issuer.client()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.issuer.Metadata(t.Context()); err != nil {
		t.Fatal(err)
	}
	client.Transport.(*guard).next.(*http.Transport).Proxy = http.ProxyURL(mustURL(t, "http://127.0.0.1:1"))
	f.issuer.Connect(t.Context(), frontClient)
	if f.issuer.begun != nil {
		t.Error("a connection was begun")
	}
}

func mustURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
