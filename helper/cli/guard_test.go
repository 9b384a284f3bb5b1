package cli

import (
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestWaitFor_survivesAPanic: a panic in what is waited for is an internal error of
// the command, and its value is not printed.
func TestWaitFor_survivesAPanic(t *testing.T) {
	const value = "pQ7vN2xLs9RtK4mZc8WbY1dFh6GjT3aE"
	_, err := waitFor(context.Background(), func() (int, error) { panic(value) })
	var said bytes.Buffer
	a := &app{Env: Env{Stderr: &said, Getenv: func(string) string { return "" }}}
	if code := a.report(a.root(), err); code != exitUnexpected {
		t.Errorf("exit code %d", code)
	}
	if text := said.String(); !strings.HasPrefix(text, "t2-cred: internal error (string)") || !strings.Contains(text, "guard_test.go") || strings.Contains(text, value) {
		t.Errorf("it says %s", text)
	}
}

// TestMain_netHTTPLogsNothing: net/http logs the bytes that come after an answer, which
// may be the rest of its tokens, and the values of panics in a server's handlers.
func TestMain_netHTTPLogsNothing(t *testing.T) {
	const key = "gY7sRtK4mZc8WbY1dFh6GjT3aEpQ7vN2xLs9"
	before := log.Writer()
	t.Cleanup(func() { log.SetOutput(before) })
	var said lockedBuffer
	log.SetOutput(&said)
	unasked := func() string {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"+key)
		}()
		client := &http.Client{Transport: &http.Transport{}}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String(), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		for end := time.Now().Add(time.Second); said.String() == "" && time.Now().Before(end); {
			time.Sleep(5 * time.Millisecond)
		}
		return said.String()
	}
	if text := unasked(); !strings.Contains(text, key) {
		t.Fatalf("net/http logs %q: this shows nothing", text)
	}
	if code := Main(t.Context(), Env{Name: "t2-cred", Args: []string{"version"}, Stdout: io.Discard, Stderr: io.Discard, Getenv: func(string) string { return "" }, Now: time.Now}); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	said.Reset()
	if text := unasked(); text != "" {
		t.Errorf("logged: %s", text)
	}
	if log.Writer() != io.Discard {
		t.Error("the log goes somewhere")
	}
}

// A lockedBuffer is written by another goroutine than reads it.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}
