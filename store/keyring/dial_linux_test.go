package keyring

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"
)

// TestDial_unixSocketsAlone: nobody knows whose the other end of a TCP connection is, so
// such a bus is told nothing.
func TestDial_unixSocketsAlone(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"tcp:host=127.0.0.1,port=" + port, "nonce-tcp:host=127.0.0.1,port=" + port + ",noncefile=/dev/null", "unixexec:path=/bin/true", "autolaunch:", ""} {
		if conn, err := dial(op{Context: context.Background()}, address); conn != nil || !errors.Is(err, errNotASocket) {
			t.Errorf("%q: %v", address, err)
		}
	}
	if conn, err := dial(op{Context: context.Background()}, "unix:path="+t.TempDir()+"/none;tcp:host=127.0.0.1,port="+port); conn != nil || err == nil {
		t.Errorf("after a socket that is not there: %v", err)
	}
	if err := l.(*net.TCPListener).SetDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if conn, err := l.Accept(); err == nil {
		_ = conn.Close()
		t.Error("the bus was connected to")
	}
}
