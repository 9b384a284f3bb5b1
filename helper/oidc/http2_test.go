package oidc

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A drainingFront is a server that has HTTP/2 on offer and ends each stream in a way
// that lets a client send its request again. In HTTP/1.1 it answers.
type drainingFront struct {
	listener net.Listener
	end      func(net.Conn, uint32) error
	posts    atomic.Int32 // that arrived, in either protocol
	in1      atomic.Int32 // of them in HTTP/1.1
}

func newDrainingFront(t *testing.T, end func(net.Conn, uint32) error) (*drainingFront, *Issuer) {
	t.Helper()
	pair := httptest.NewUnstartedServer(nil)
	pair.StartTLS()
	t.Cleanup(pair.Close)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: pair.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	f := &drainingFront{listener: l, end: end}
	go f.serve()
	i := at("https://"+l.Addr().String(), certFile(t, pair.Certificate()))
	i.meta = &Metadata{Issuer: i.id, TokenEndpoint: i.id + "/token"}
	return f, i
}

func (f *drainingFront) serve() {
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			secure := conn.(*tls.Conn)
			if secure.Handshake() != nil {
				return
			}
			if secure.ConnectionState().NegotiatedProtocol == "h2" {
				f.serve2(conn)
				return
			}
			server := &http.Server{ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				f.posts.Add(1)
				f.in1.Add(1)
				answer(200, "application/json", goodBody)(w, r)
			})}
			_ = server.Serve(&oneConn{conn: conn, done: make(chan struct{})})
		}()
	}
}

// serve2 is as much of RFC 9113 as counts requests: frames have a header of 9 bytes, and
// the type 1 begins a request.
func (f *drainingFront) serve2(conn net.Conn) {
	if _, err := io.ReadFull(conn, make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
		return
	}
	_ = frame(conn, 4, 0, 0) // SETTINGS
	for {
		head := make([]byte, 9)
		if _, err := io.ReadFull(conn, head); err != nil {
			return
		}
		size := int64(head[0])<<16 | int64(head[1])<<8 | int64(head[2])
		if _, err := io.CopyN(io.Discard, conn, size); err != nil {
			return
		}
		switch kind, flags := head[3], head[4]; {
		case kind == 4 && flags&1 == 0:
			_ = frame(conn, 4, 1, 0) // SETTINGS with ACK
		case kind == 1:
			f.posts.Add(1)
			if f.end(conn, binary.BigEndian.Uint32(head[5:])) != nil {
				return
			}
		}
	}
}

func frame(conn net.Conn, kind, flags byte, stream uint32, payload ...byte) error {
	out := append([]byte{0, 0, byte(len(payload)), kind, flags}, binary.BigEndian.AppendUint32(nil, stream)...)
	_, err := conn.Write(append(out, payload...))
	return err
}

// goAway says which stream was the last to be processed, and that there is no error.
func goAway(conn net.Conn, last byte) { _ = frame(conn, 7, 0, 0, 0, 0, 0, last, 0, 0, 0, 0) }

// A oneConn is a listener for one connection.
type oneConn struct {
	conn net.Conn
	done chan struct{}
}

// Accept implements net.Listener.
func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.done
	return nil, io.EOF
}

// Close implements net.Listener.
func (l *oneConn) Close() error { return nil }

// Addr implements net.Listener.
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// TestSpend_drainingFront: a front that makes HTTP/2 clients send the request again and
// again gets it once. Go's own client shows that the front does so.
func TestSpend_drainingFront(t *testing.T) {
	for name, end := range map[string]func(net.Conn, uint32) error{
		"GOAWAY before the stream": func(c net.Conn, _ uint32) error {
			goAway(c, 0)
			return io.EOF
		},
		"REFUSED_STREAM": func(c net.Conn, id uint32) error { return frame(c, 3, 0, id, 0, 0, 0, 7) },
		"GOAWAY after two": func() func(net.Conn, uint32) error {
			var seen atomic.Int32
			return func(c net.Conn, _ uint32) error {
				if seen.Add(1)%2 == 0 {
					goAway(c, 1)
				} else {
					goAway(c, 0)
				}
				return io.EOF
			}
		}(),
	} {
		f, i := newDrainingFront(t, end)
		r, err := i.Spend(t.Context(), frontClient, RefreshGrant(oldToken), Spending{})
		if err != nil || r.RefreshToken != newToken || f.posts.Load() != 1 || f.in1.Load() != 1 {
			t.Errorf("%s: %v, %d requests, %d of them in HTTP/1.1", name, err, f.posts.Load(), f.in1.Load())
		}

		f.posts.Store(0)
		conf := must(i.client()).Transport.(*guard).next.(*http.Transport).TLSClientConfig.Clone()
		theirs := &http.Client{Transport: &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true}}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		req := must(http.NewRequestWithContext(ctx, http.MethodPost, i.meta.TokenEndpoint, strings.NewReader("grant_type=refresh_token")))
		if resp, err := theirs.Do(req); err == nil {
			resp.Body.Close()
		}
		cancel()
		if f.posts.Load() < 2 {
			t.Errorf("%s: the front got %d requests of Go's own client, so it proves nothing", name, f.posts.Load())
		}
		theirs.CloseIdleConnections()
	}
}
