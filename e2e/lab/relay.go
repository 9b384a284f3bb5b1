package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A Relay makes a server on the computer's loopback one on a machine's, at the same port,
// for clients that demand loopback where there is no TLS. It knows how each connection
// ended.
type Relay struct {
	target string
	mu     sync.Mutex
	all    []*Conn
}

// A Conn is one connection through a relay.
type Conn struct {
	Line     string    // the first line that the client sent
	Answered bool      // bytes of an answer were handed to the client's system
	At       time.Time // when the last of them were
	// Unread says that the client ended without having read all of the answer. Its system
	// resets such a connection, and closes one whose answer was read.
	Unread bool
	Ended  bool // by the client
	Over   bool // on both sides, so that nothing of the above changes any more
}

// Relay starts a relay on the machine to the server of a URL.
func (m *Machine) Relay(address string) *Relay {
	m.net.t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		m.net.t.Fatalf("lab: %v", err)
	}
	r := &Relay{target: u.Host}
	l, err := m.listen(r.target)
	if err != nil {
		m.net.t.Fatalf("lab: relay %s to %s: %v", r.target, m.Name, err)
	}
	m.net.t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go r.serve(c.(*net.TCPConn))
		}
	}()
	return r
}

// Since are the connections after the first n whose first line has this beginning.
func (r *Relay) Since(n int, beginning string) (all []Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.all[n:] {
		if strings.HasPrefix(c.Line, beginning) {
			all = append(all, *c)
		}
	}
	return all
}

// Wait waits until all connections are over. It reports whether they were in time.
func (r *Relay) Wait(limit time.Duration) bool {
	for began := time.Now(); time.Since(began) < limit; time.Sleep(10 * time.Millisecond) {
		open := false
		r.change(func() {
			for _, c := range r.all {
				open = open || !c.Over
			}
		})
		if !open {
			return true
		}
	}
	return false
}

// Count is how many connections there were.
func (r *Relay) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.all)
}

// listen opens a listener in the machine's network. A socket stays in the network that
// it was made in.
func (m *Machine) listen(address string) (l net.Listener, err error) {
	space, err := os.Open(fmt.Sprintf("/proc/%s/ns/net", m.holder.pid()))
	if err != nil {
		return nil, err
	}
	defer func() { _ = space.Close() }()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked, so that the thread ends with this
		if err = unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err == nil {
			l, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
		}
	}()
	<-done
	return l, err
}

// serve copies in both directions until both have ended.
func (r *Relay) serve(client *net.TCPConn) {
	defer func() { _ = client.Close() }()
	c := &Conn{}
	r.change(func() { r.all = append(r.all, c) })
	defer r.change(func() { c.Over = true })
	d, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", r.target)
	if err != nil {
		return
	}
	defer func() { _ = d.Close() }()
	server := d.(*net.TCPConn)
	var both sync.WaitGroup
	both.Go(func() {
		b := make([]byte, 32<<10)
		for {
			n, err := client.Read(b)
			if n > 0 {
				r.change(func() { c.begin(b[:n]) })
				_, _ = server.Write(b[:n])
			}
			if err != nil {
				r.ended(c, client, err)
				_ = server.CloseWrite()
				return
			}
		}
	})
	both.Go(func() {
		b := make([]byte, 32<<10)
		for {
			n, err := server.Read(b)
			if n > 0 {
				r.change(func() {
					c.Answered, c.At = true, time.Now()
					c.Unread = c.Unread || c.Ended // it comes too late
				})
				_, _ = client.Write(b[:n])
			}
			if err != nil {
				_ = client.CloseWrite()
				return
			}
		}
	})
	both.Wait()
}

func (r *Relay) change(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

func (c *Conn) begin(b []byte) {
	if c.Line == "" {
		line, _, _ := strings.Cut(string(b), "\r\n")
		c.Line = line
	}
}

// ended notes how the client's side has ended. An answer that crosses the end of the
// client makes its system send a reset after the end.
func (r *Relay) ended(c *Conn, client *net.TCPConn, err error) {
	r.change(func() { c.Ended = true })
	reset := !errors.Is(err, io.EOF)
	if !reset {
		time.Sleep(50 * time.Millisecond)
		if raw, err := client.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) {
				n, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
				reset = err != nil || n != 0
			})
		}
	}
	r.change(func() { c.Unread = c.Unread || reset })
}
