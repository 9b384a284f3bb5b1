package front

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A Cut says where a connection ends.
type Cut struct {
	// Answer is whether the answer is cut, and not the request.
	Answer bool
	// After is how many bytes pass, counted from the beginning of the POST, or of the
	// answer to it.
	After int
	// Reset has the connection reset, and not closed in order.
	Reset bool
}

// Cutter is a front without TLS that hands on what it gets, byte by byte, and cuts
// connections that carry a POST.
type Cutter struct {
	arrivals
	// Base is its address, http://HOST:PORT.
	Base string

	addr    string
	backend *http.Server
	behind  string

	mu      sync.Mutex
	l       net.Listener
	cut     *Cut
	answers int // bytes of the last answer to a POST
}

// NewCutter starts a front. It is to be closed.
func NewCutter(issuer http.Handler) (*Cutter, error) {
	var lc net.ListenConfig
	back, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &Cutter{behind: back.Addr().String(), backend: &http.Server{Handler: issuer, ReadHeaderTimeout: 10 * time.Second}}
	go func() { _ = f.backend.Serve(back) }()
	f.addr = "127.0.0.1:0"
	if err := f.Open(); err != nil {
		_ = f.backend.Close()
		return nil, err
	}
	f.Base = "http://" + f.addr
	return f, nil
}

// Open has the front listen, after Shut at the same address.
func (f *Cutter) Open() error {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", f.addr)
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.l, f.addr = l, l.Addr().String()
	f.mu.Unlock()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go f.serve(c)
		}
	}()
	return nil
}

// Shut has connections refused.
func (f *Cutter) Shut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = f.l.Close()
}

// Close stops the front.
func (f *Cutter) Close() {
	f.Shut()
	_ = f.backend.Close()
}

// Set has the POSTs from now on cut; nil has them pass.
func (f *Cutter) Set(c *Cut) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut = c
}

func (f *Cutter) now() *Cut {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cut
}

// AnswerSize is how many bytes the last answer to a POST had.
func (f *Cutter) AnswerSize() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.answers
}

// A cutConn is one connection through the front.
type cutConn struct {
	f             *Cutter
	client, issue net.Conn

	mu      sync.Mutex
	arrival *Arrival // of the POST that is under way
	cut     *Cut
	back    int // bytes of the answer to it
}

func (f *Cutter) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	issue, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", f.behind)
	if err != nil {
		return
	}
	defer func() { _ = issue.Close() }()
	c := &cutConn{f: f, client: client, issue: issue}
	done := make(chan struct{}, 2)
	go func() { c.copy(issue, client, c.request); done <- struct{}{} }()
	go func() { c.copy(client, issue, c.answer); done <- struct{}{} }()
	<-done // one side has ended: the other ends too, as the connection is closed
}

// copy hands on what may pass.
func (c *cutConn) copy(to, from net.Conn, may func(b []byte) int) {
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		pass := may(b[:n])
		if pass > 0 {
			if _, err := to.Write(b[:pass]); err != nil {
				return
			}
		}
		if pass < n || c.due() {
			c.end()
			return
		}
		if err != nil {
			return
		}
	}
}

// request tells how much of what the client sent may pass.
func (c *cutConn) request(b []byte) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if strings.HasPrefix(string(b), "POST ") {
		c.arrival, c.cut, c.back = c.f.begin("HTTP/1.1"), c.f.now(), 0
	}
	if c.arrival == nil {
		return len(b)
	}
	pass := len(b)
	if c.cut != nil && !c.cut.Answer {
		pass = max(0, min(pass, c.cut.After-c.arrival.Bytes))
	}
	c.f.change(func() {
		c.arrival.Bytes += len(b)
		c.arrival.Whole = pass == len(b)
	})
	return pass
}

// answer tells how much of what the issuer sent may pass.
func (c *cutConn) answer(b []byte) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.arrival == nil {
		return len(b)
	}
	pass := len(b)
	if c.cut != nil && c.cut.Answer {
		pass = max(0, min(pass, c.cut.After-c.back))
	}
	c.back += len(b)
	c.f.mu.Lock()
	c.f.answers = c.back
	c.f.mu.Unlock()
	return pass
}

// due tells whether all has passed that may, and some is to come.
func (c *cutConn) due() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.cut == nil || c.arrival == nil:
		return false
	case c.cut.Answer:
		return c.back >= c.cut.After && c.back > 0
	}
	return c.arrival.Bytes >= c.cut.After
}

// end ends the connection.
func (c *cutConn) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if tcp, ok := c.client.(*net.TCPConn); ok && c.cut != nil && c.cut.Reset {
		_ = tcp.SetLinger(0)
	} else if ok {
		// What was sent but not read would turn the close into a reset.
		_ = tcp.CloseWrite()
		_ = tcp.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		_, _ = io.Copy(io.Discard, tcp)
	}
	_ = c.client.Close()
}
