package cli

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What peek sees, the reader still gets; and it waits for nothing.
func TestPeek(t *testing.T) {
	request := "protocol=https\nhost=git.example.org\n\n"
	long := request + strings.Repeat("wwwauth[]=Basic realm=x\n", 1000)
	pair := func(t *testing.T, socket bool) (r, w *os.File) {
		t.Helper()
		if !socket {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			return r, w
		}
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		return os.NewFile(uintptr(fds[0]), "r"), os.NewFile(uintptr(fds[1]), "w")
	}
	for name, socket := range map[string]bool{"pipe": false, "socket": true} {
		t.Run(name, func(t *testing.T) {
			for _, text := range []string{"", "x", request, long} {
				r, w := pair(t, socket)
				if _, err := io.WriteString(w, text); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				for range 2 {
					if got := string(peek(r)); got != text[:min(len(text), maxPeek)] {
						t.Errorf("of %d bytes it sees %d", len(text), len(got))
					}
				}
				if waited := time.Since(start); waited > 5*time.Second {
					t.Errorf("it waited for %s", waited)
				}
				_ = w.Close()
				if rest, err := io.ReadAll(r); string(rest) != text || err != nil {
					t.Errorf("of %d bytes %d are left, %v", len(text), len(rest), err)
				}
				if got := peek(r); len(got) > 0 {
					t.Errorf("at the end it sees %q", got)
				}
				_ = r.Close()
			}
		})
	}
}

func TestPeek_otherFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "request")
	if err := os.WriteFile(path, []byte("protocol=https\nhost=git.example.org\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	socket, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	closed, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = closed.Close(), w.Close()
	for name, f := range map[string]*os.File{"file": file, "null": null, "listener": socket, "closed": closed} {
		if got := peek(f); len(got) > 0 {
			t.Errorf("%s: %q", name, got)
		}
	}
}
