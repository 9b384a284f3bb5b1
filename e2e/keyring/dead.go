package keyring

import (
	"context"
	"net"
	"path/filepath"
	"sync"

	"github.com/terradue/t2-cred/e2e/tb"
)

// DeadSocket is an address at which connections are accepted and never answered,
// as those of a bus that hangs. Only its Env, Bus, Address and Close are of use.
func DeadSocket(t tb.T) *Session {
	t.Helper()
	s := newSession(t)
	socket := filepath.Join(s.dir, "bus")
	s.address = "unix:path=" + socket
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "unix", socket)
	s.must("listen", err)

	var mu sync.Mutex
	var kept []net.Conn // or the collector would close them
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			kept = append(kept, c)
			mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range kept {
			_ = c.Close()
		}
	})
	return s
}
