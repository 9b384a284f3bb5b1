package e2e

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// moduleProxy serves example.org/hello v1.0.0 and v1.1.0 below /mod, as `go help
// goproxy` has it.
func moduleProxy(t *testing.T) http.Handler {
	t.Helper()
	mux := http.NewServeMux()
	text := func(path, body string) {
		mux.HandleFunc("GET /mod/example.org/hello/"+path, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
	}
	text("@v/list", "v1.0.0\nv1.1.0\n")
	text("@latest", `{"Version":"v1.1.0"}`)
	for _, version := range []string{"v1.0.0", "v1.1.0"} {
		var archive bytes.Buffer
		z := zip.NewWriter(&archive)
		for name, body := range map[string]string{"go.mod": "module example.org/hello\n", "hello.go": "package hello\n"} {
			f, err := z.Create("example.org/hello@" + version + "/" + name)
			if err == nil {
				_, err = io.WriteString(f, body)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		text("@v/"+version+".info", fmt.Sprintf(`{"Version":%q}`, version))
		text("@v/"+version+".mod", "module example.org/hello\n")
		text("@v/"+version+".zip", archive.String())
	}
	return mux
}

// TestHookGoauth: go gets a module from a proxy that demands the token.
func TestHookGoauth(t *testing.T) {
	needTool(t, "go", "go")
	s := newToolStage(t, moduleProxy(t))
	s.version("go", "version")
	s.Set("GOPROXY=https://"+s.server.host+"/mod", "GOSUMDB=off", "GOTOOLCHAIN=local", "GOFLAGS=-modcacherw", "GOENV="+s.Dir+"/go.env", "GOCACHE="+s.Dir+"/gocache")
	s.write("hello/go.mod", "module example.org/use\n")
	fetch := func(version string) {
		t.Helper()
		s.Set("GOMODCACHE=" + t.TempDir()) // as if it were the first time
		s.wantTool("hello", nil, "go", "mod", "download", "example.org/hello@"+version)
	}

	// Without it the proxy says no.
	s.Set("GOMODCACHE=" + t.TempDir())
	s.wantToolFails("hello", []string{"401 Unauthorized"}, "go", "mod", "download", "example.org/hello@v1.0.0")
	s.server.wantRequests(t, "none")

	// go asks after the first 401, and no more.
	doc := s.doc("goauth", "go.example.org")
	withPrefix, without := doc[0], doc[1]
	s.wantTool(".", nil, "sh", "-c", without)
	fetch("v1.0.0")
	if log := s.server.take(); len(log) < 3 || !strings.HasSuffix(log[0], ": none") || strings.Contains(strings.Join(log[1:], "\n"), ": none") {
		t.Errorf("not one request without a token and the rest with it: %q", log)
	}
	if n := s.issuer.Refreshes(); n != 0 {
		t.Errorf("%d refreshes though the cached token was good", n)
	}

	// With a prefix the first request has it already.
	s.wantTool(".", nil, "sh", "-c", withPrefix)
	fetch("v1.1.0")
	s.server.wantRequests(t, "alice")

	// The server does not take the cached token any more, however valid: go tells
	// so, and has a new one.
	s.server.refuse(s.Want(0, "get").Token())
	fetch("v1.0.0")
	if log := s.server.take(); s.issuer.Refreshes() != 1 || !strings.HasSuffix(log[0], ": refused") || !strings.HasSuffix(log[len(log)-1], ": alice") {
		t.Errorf("%d refreshes, %q", s.issuer.Refreshes(), log)
	}

	// Without a prefix its first request had no token, and go asks once per fetch,
	// so the refused one is what the fetch fails with.
	s.wantTool(".", nil, "sh", "-c", without)
	s.server.refuse(s.Want(0, "get").Token())
	s.Set("GOMODCACHE=" + t.TempDir())
	s.wantToolFails("hello", []string{"401 Unauthorized"}, "go", "mod", "download", "example.org/hello@v1.0.0")
	s.server.wantRequests(t, "none", "refused")
	s.Want(0, "get", "--fresh")
	fetch("v1.0.0")
	s.server.wantRequests(t, "none", "alice")

	// Other hosts are nobody's, and plain http is not even asked for.
	other := newBearerServer(t, s.issuer, moduleProxy(t))
	s.Set("GOPROXY=https://"+other.host+"/mod", "GOMODCACHE="+t.TempDir(), "SSL_CERT_FILE="+other.caFile)
	s.wantToolFails("hello", []string{"401 Unauthorized"}, "go", "mod", "download", "example.org/hello@v1.0.0")
	other.wantRequests(t, "none")
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Errorf("plain http had %q", r.Header.Get("Authorization")[:10])
		}
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer plain.Close()
	s.Set("GOPROXY=" + plain.URL)
	s.wantToolFails("hello", []string{"401 Unauthorized"}, "go", "mod", "download", "example.org/hello@v1.0.0")

	// With nothing stored go goes on without, and says why with -x.
	s.Want(0, "erase")
	s.Set("GOPROXY=https://"+s.server.host+"/mod", "SSL_CERT_FILE="+s.server.caFile, "GOMODCACHE="+t.TempDir())
	s.wantToolFails("hello", []string{"401 Unauthorized", "nothing is stored for gep/default", "t2-cred exchange"}, "go", "mod", "download", "-x", "example.org/hello@v1.0.0")
	s.server.wantRequests(t, "none")
}
