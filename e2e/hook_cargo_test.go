package e2e

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// crateRegistry is a sparse registry that takes and serves one crate, greeting:
// https://doc.rust-lang.org/cargo/reference/registry-web-api.html
type crateRegistry struct {
	mu     sync.Mutex
	host   string
	index  map[string]any // the line of the index, when the crate is there
	crate  []byte
	yanked bool
}

func (c *crateRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	answer := func(v any) { _ = json.NewEncoder(w).Encode(v) }
	switch r.Method + " " + r.URL.Path {
	case "GET /index/config.json":
		answer(map[string]any{"dl": "https://" + c.host + "/dl", "api": "https://" + c.host, "auth-required": true})
	case "GET /index/gr/ee/greeting":
		if c.index == nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		c.index["yanked"] = c.yanked
		answer(c.index)
	case "GET /dl/greeting/0.1.0/download":
		_, _ = w.Write(c.crate)
	case "PUT /api/v1/crates/new":
		if err := c.publish(r.Body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		answer(map[string]any{"warnings": map[string]any{}})
	case "DELETE /api/v1/crates/greeting/0.1.0/yank", "PUT /api/v1/crates/greeting/0.1.0/unyank":
		c.yanked = r.Method == "DELETE"
		answer(map[string]bool{"ok": true})
	case "GET /api/v1/crates/greeting/owners":
		answer(map[string]any{"users": []map[string]any{{"id": 1, "login": "alice", "name": "Alice"}}})
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// publish reads a length and JSON, then a length and the crate.
func (c *crateRegistry) publish(body io.Reader) error {
	part := func() ([]byte, error) {
		var size uint32
		if err := binary.Read(body, binary.LittleEndian, &size); err != nil {
			return nil, err
		}
		b := make([]byte, size)
		_, err := io.ReadFull(body, b)
		return b, err
	}
	text, err := part()
	if err != nil {
		return err
	}
	var about struct{ Name, Vers string }
	if err := json.Unmarshal(text, &about); err != nil {
		return err
	}
	if c.crate, err = part(); err != nil {
		return err
	}
	sum := sha256.Sum256(c.crate)
	c.index = map[string]any{
		"name": about.Name, "vers": about.Vers, "deps": []any{}, "cksum": hex.EncodeToString(sum[:]), "features": map[string]any{},
	}
	return nil
}

// TestHookCargo: cargo publishes to, and reads from, a registry that demands the
// token for everything.
func TestHookCargo(t *testing.T) {
	needTool(t, "cargo", "cargo")
	registry := &crateRegistry{}
	s := newToolStage(t, registry)
	registry.host = s.server.host
	if home, err := os.UserHomeDir(); err == nil && os.Getenv("RUSTUP_HOME") == "" {
		s.Set("RUSTUP_HOME=" + filepath.Join(home, ".rustup")) // where cargo is rustup's, it asks there
	}
	s.Set("CARGO_HOME="+s.Dir+"/.cargo", "CARGO_HTTP_CAINFO="+s.server.caFile)
	s.version("cargo", "--version")
	doc := s.doc("cargo", "cargo.example.org")
	s.write(".cargo/config.toml", doc[0])
	manifest := "[package]\nname = %q\nversion = \"0.1.0\"\nedition = \"2021\"\nlicense = \"MIT\"\ndescription = \"A test\"\npublish = [\"my-registry\"]\n"
	s.write("greeting/Cargo.toml", fmt.Sprintf(manifest, "greeting"))
	s.write("greeting/src/lib.rs", "")
	s.write("user/Cargo.toml", fmt.Sprintf(manifest, "user")+"[dependencies]\ngreeting = { version = \"0.1\", registry = \"my-registry\" }\n")
	s.write("user/src/lib.rs", "")

	s.wantTool("greeting", []string{"Published greeting"}, "cargo", "publish", "--registry", "my-registry", "--no-verify", "--allow-dirty")
	s.server.wantRequests(t, "none", "alice") // the first time cargo asks for config.json without a token
	s.wantTool("user", []string{"Downloaded greeting"}, "cargo", "fetch")
	s.server.wantRequests(t, "none", "alice") // t2-cred asks for config.json without a token too
	s.wantTool("greeting", []string{"Yank greeting@0.1.0"}, "cargo", "yank", "--registry", "my-registry", "--version", "0.1.0")
	s.wantTool("greeting", []string{"Unyank greeting@0.1.0"}, "cargo", "yank", "--undo", "--registry", "my-registry", "--version", "0.1.0")
	s.wantTool("greeting", []string{"alice"}, "cargo", "owner", "--list", "--registry", "my-registry")
	if n := s.issuer.Refreshes(); n != 0 {
		t.Errorf("%d refreshes though the cached token was good", n)
	}

	// Another account has nothing, and login and logout are not ours.
	s.write(".cargo/config.toml", strings.Replace(doc[0], `"gep"`, `"gep", "--account", "bob"`, 1))
	s.wantToolFails("greeting", []string{"nothing is stored for gep/bob", "no token found for `my-registry`"}, "cargo", "owner", "--list", "--registry", "my-registry")
	s.write(".cargo/config.toml", doc[0])
	s.wantToolFails("greeting", []string{"requested operation not supported"}, "cargo", "logout", "--registry", "my-registry")

	// The other way to say it: one provider for all registries.
	index, _, _ := strings.Cut(doc[0], "credential-provider")
	s.write(".cargo/config.toml", index+"\n"+doc[1])
	s.wantTool("greeting", []string{"alice"}, "cargo", "owner", "--list", "--registry", "my-registry")

	// Another registry gets nothing, though it names itself as it likes.
	s.server.take()
	theirs := &crateRegistry{}
	other := newBearerServer(t, s.issuer, theirs)
	theirs.host = other.host
	s.Set("CARGO_HTTP_CAINFO=" + other.caFile)
	s.write("user/.cargo/config.toml", fmt.Sprintf("[registries.my-registry]\nindex = \"sparse+https://%s/index/\"\n", other.host))
	s.wantToolFails("user", []string{"no token found for `my-registry`"}, "cargo", "update")
	other.wantRequests(t, "none")
}
