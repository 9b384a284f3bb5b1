package e2e

import (
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// webdav serves a directory with rclone's own server, without any authentication.
func webdav(t *testing.T, rclone string) (where *url.URL, dir string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := l.Addr().String()
	_ = l.Close() // rclone does not tell which port it took
	dir = t.TempDir()
	cmd := exec.Command(rclone, "serve", "webdav", dir, "--addr", host, "--baseurl", "/dav", "--config", "/dev/null", "--dir-cache-time", "0s")
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if c, err := net.Dial("tcp", host); err == nil {
			_ = c.Close()
			return &url.URL{Scheme: "http", Host: host}, dir
		}
		if time.Now().After(deadline) {
			t.Fatal("rclone serve webdav does not answer")
		}
	}
}

// TestRclone: rclone writes and reads at a WebDAV server that demands the token.
func TestRclone(t *testing.T) {
	rclone := needTool(t, "rclone", "rclone")
	where, dir := webdav(t, rclone)
	s := newToolStage(t, httputil.NewSingleHostReverseProxy(where))
	s.version(rclone, "version")
	doc := s.doc("rclone", "data.example.org")
	s.Set("RCLONE_CONFIG="+s.write(".config/rclone/rclone.conf", doc[0]), "RCLONE_RETRIES=1", "RCLONE_LOW_LEVEL_RETRIES=2")
	s.write("result.txt", "forty-two\n")
	s.wantTool(".", []string{"results/result.txt", "forty-two"}, "sh", "-ec", doc[1])
	s.server.wantRequests(t, "alice")
	if b, err := os.ReadFile(filepath.Join(dir, "results", "result.txt")); err != nil || string(b) != "forty-two\n" {
		t.Errorf("%q, %v", b, err)
	}
	if n := s.issuer.Refreshes(); n != 0 {
		t.Errorf("%d refreshes though the cached token was good", n)
	}

	// A refused token is given again until it is replaced.
	s.server.refuse(s.Want(0, "get").Token())
	s.wantToolFails(".", []string{"401"}, rclone, "lsf", "data:")
	s.server.wantRequests(t, "refused")
	s.Want(0, "get", "--fresh")
	s.wantTool(".", []string{"results/"}, rclone, "lsf", "data:")
	s.server.wantRequests(t, "alice")

	// At a 401 it runs the command again, and tries once more.
	s.write(".config/rclone/rclone.conf", strings.Replace(doc[0], "get --profile gep", "get --profile gep --fresh", 1))
	var first sync.Once
	behind := s.server.Config.Handler
	s.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first.Do(func() { s.server.refuse(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) })
		behind.ServeHTTP(w, r)
	})
	s.wantTool(".", []string{"results/"}, rclone, "lsf", "data:")
	s.server.wantRequests(t, "refused", "alice")

	s.write(".config/rclone/rclone.conf", doc[0])
	s.Want(0, "erase")
	s.wantToolFails(".", []string{"nothing is stored for gep/default"}, rclone, "lsf", "data:")
}
