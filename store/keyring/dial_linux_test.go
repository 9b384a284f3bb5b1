package keyring

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/store/backend"
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

// TestGreet_waitsForNoAnswer: all that authenticates is sent at once. A bus that refuses ends
// the connection with its first answer, and one that never answers holds nothing up.
func TestGreet_waitsForNoAnswer(t *testing.T) {
	for answer, refused := range map[string]bool{"DATA\r\nOK 0123456789abcdef\r\n": false, "REJECTED DBUS_COOKIE_SHA1\r\n": true, strings.Repeat("DATA", 4000): true} {
		l, err := net.Listen("unix", filepath.Join(t.TempDir(), "bus"))
		if err != nil {
			t.Fatal(err)
		}
		conn, err := dial(op{Context: t.Context()}, "unix:path="+l.Addr().String())
		if err != nil {
			t.Fatalf("before the bus has answered: %v", err)
		}
		bus, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		const all = "\x00AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"
		got := make([]byte, len(all)+1) // and the first byte of the hello
		if _, err := io.ReadFull(bus, got); err != nil || string(got) != all+"l" && string(got) != all+"B" {
			t.Errorf("the bus was told %q, %v", got, err)
		}
		if _, err := io.WriteString(bus, answer); err != nil {
			t.Error(err)
		}
		call := conn.BusObject().Go("org.example.Ask", 0, nil)
		select {
		case <-call.Done:
			if !refused || call.Err == nil {
				t.Errorf("%.20q: %v", answer, call.Err)
			}
		case <-time.After(200 * time.Millisecond):
			if refused {
				t.Errorf("%.20q: the connection goes on", answer)
			}
		}
		_ = errors.Join(conn.Close(), bus.Close(), l.Close())
	}
}

// TestTalk_namesTheBusThatRefuses: the error of a bus that ended the connection names the bus,
// and no keyring service, which was not asked.
func TestTalk_namesTheBusThatRefuses(t *testing.T) {
	for _, answer := range []string{"REJECTED DBUS_COOKIE_SHA1\r\n", "", "DATA\r\nOK 0123456789abcdef\r\n"} {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(t.TempDir(), "bus"))
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if conn, err := l.Accept(); err == nil {
				_, _ = io.WriteString(conn, answer)
				_ = conn.Close()
			}
		}()
		b := &bus{getenv: func(name string) string {
			return map[string]string{addressVariable: "unix:path=" + l.Addr().String()}[name]
		}}
		_, err = b.talk(op{Context: t.Context()})
		if err == nil || !errors.Is(err, backend.ErrUnavailable) || !strings.Contains(err.Error(), "cannot connect to the session bus at unix:path="+l.Addr().String()) {
			t.Errorf("after %q: %v", answer, err)
		}
		_ = l.Close()
	}
}

// TestAddress_notBelowTheCurrentDirectory: a relative XDG_RUNTIME_DIR is ignored.
func TestAddress_notBelowTheCurrentDirectory(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", "bus")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for runtimeDir, ours := range map[string]bool{dir: true, ".": false} {
		b := &bus{getenv: func(name string) string { return map[string]string{"XDG_RUNTIME_DIR": runtimeDir}[name] }}
		address, err := b.address()
		if found := err == nil && strings.HasPrefix(address, "unix:path="+dir) || address == "unix:path=bus"; found != ours {
			t.Errorf("XDG_RUNTIME_DIR=%s: %q, %v", runtimeDir, address, err)
		}
	}
}
