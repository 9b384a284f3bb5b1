package lab

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Relay makes a server on the computer's loopback one on the machine's, at the same port,
// for clients that demand loopback where there is no TLS.
func (m *Machine) Relay(address string) {
	m.net.t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		m.net.t.Fatalf("lab: %v", err)
	}
	target := u.Host
	l, err := m.listen(target)
	if err != nil {
		m.net.t.Fatalf("lab: relay %s to %s: %v", target, m.Name, err)
	}
	m.net.t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go relay(c, target)
		}
	}()
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

// relay copies in both directions until both have ended.
func relay(c net.Conn, target string) {
	defer func() { _ = c.Close() }()
	d, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", target)
	if err != nil {
		return
	}
	defer func() { _ = d.Close() }()
	var both sync.WaitGroup
	pipe := func(to, from net.Conn) {
		_, err := io.Copy(to, from)
		if err != nil { // a client that was killed ends its request at the server too
			_ = to.Close()
			return
		}
		if t, ok := to.(*net.TCPConn); ok {
			_ = t.CloseWrite()
		}
	}
	both.Go(func() { pipe(d, c) })
	both.Go(func() { pipe(c, d) })
	both.Wait()
}
