package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdRegistry starts a server with two sparse indexes that want a token: /index/, whose
// downloads are its own, and /mallory/, whose downloads are elsewhere. Its host and port
// are $REGISTRY, and stand in place of REGISTRY in the files that are named.
func cmdRegistry(ts *testscript.TestScript, _ bool, files []string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		download, known := map[string]string{"/index/config.json": "http://" + r.Host + "/dl", "/mallory/config.json": "https://evil.example/dl"}[r.URL.Path]
		switch {
		case !known:
			w.WriteHeader(http.StatusNotFound)
		case !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ey"):
			w.WriteHeader(http.StatusUnauthorized)
		default:
			_ = json.NewEncoder(w).Encode(map[string]any{"dl": download, "api": "http://" + r.Host, "auth-required": true})
		}
	}))
	ts.Defer(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	ts.Setenv("REGISTRY", host)
	for _, file := range files {
		text := strings.ReplaceAll(ts.ReadFile(file), "REGISTRY", host)
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o600))
	}
}
