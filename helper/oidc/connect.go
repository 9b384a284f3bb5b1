package oidc

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"golang.org/x/net/idna"
)

// connectLife is how long a connection waits for the request that it is for.
const connectLife = time.Second

// A connecting is a connection on its way. Only the one request takes it.
type connecting struct {
	address string
	done    chan struct{} // closed when conn, err and over are there
	conn    net.Conn
	err     error
	over    bool // the time of the caller who began it was up
}

// Connect begins to connect to the token endpoint, for an [Issuer.Spend] that is about to
// come. Nothing is sent. What goes wrong is for Spend to say. It begins nothing where a
// proxy is in between.
func (i *Issuer) Connect(ctx context.Context, c Client) {
	meta, err := i.Metadata(ctx)
	if err != nil {
		return
	}
	endpoint, client, err := i.open(meta.tokenEndpoint(), c)
	if err != nil {
		return
	}
	to, err := url.Parse(endpoint)
	if err != nil {
		return
	}
	transport := client.Transport.(*guard).next.(*http.Transport)
	if proxy, err := transport.Proxy(&http.Request{URL: to}); err != nil || proxy != nil {
		return
	}
	b := &connecting{address: dialAddress(to), done: make(chan struct{})}
	i.mu.Lock()
	unused := i.begun
	i.begun = b
	i.mu.Unlock()
	if unused != nil {
		go unused.drop()
	}
	go func() {
		defer close(b.done)
		b.conn, b.err = transport.DialContext(ctx, "tcp", b.address)
		b.over = b.err != nil && ctx.Err() != nil
	}()
	time.AfterFunc(connectLife, func() {
		if i.takeBegun(func(now *connecting) bool { return now == b }) != nil {
			b.drop()
		}
	})
}

// drop closes a connection that nobody takes.
func (b *connecting) drop() {
	<-b.done
	if b.conn != nil {
		_ = b.conn.Close()
	}
}

// dialAddress is what net/http dials for a URL of an endpoint.
func dialAddress(u *url.URL) string {
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	host := u.Hostname()
	if ascii, err := idna.Lookup.ToASCII(host); err == nil && !isASCII(host) {
		host = ascii
	}
	return net.JoinHostPort(host, port)
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}

// takeBegun takes the connection that was begun, if it is that one.
func (i *Issuer) takeBegun(is func(*connecting) bool) *connecting {
	i.mu.Lock()
	defer i.mu.Unlock()
	b := i.begun
	if b == nil || !is(b) {
		return nil
	}
	i.begun = nil
	return b
}

// dialer dials as dial does, or takes the connection that was begun.
func (i *Issuer) dialer(dial func(ctx context.Context, network, address string) (net.Conn, error)) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		b := i.takeBegun(func(b *connecting) bool { return b.address == address })
		if b == nil {
			return dial(ctx, network, address)
		}
		select {
		case <-b.done:
			if b.over {
				return dial(ctx, network, address)
			}
			return b.conn, b.err
		case <-ctx.Done():
			go b.drop()
			return nil, ctx.Err()
		}
	}
}
