package e2e

import (
	"io"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
)

// uploads is the part of an index that takes packages:
// https://docs.pypi.org/api/upload/
type uploads struct {
	mu   sync.Mutex
	have map[string]string
}

// ServeHTTP implements http.Handler.
func (u *uploads) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	file, head, err := r.FormFile("content")
	if err != nil || r.URL.Path != "/legacy/" || r.FormValue(":action") != "file_upload" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	content, err := io.ReadAll(file)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.have[head.Filename] = string(content)
}

// TestHookKeyring_twine: twine loads Python's keyring and runs none, so it is given
// the token by exec, as docs/hooks/keyring.md says.
func TestHookKeyring_twine(t *testing.T) {
	twine := needTool(t, "pip", "twine/bin/twine")
	index := &uploads{have: map[string]string{}}
	s := newToolStage(t, index)
	users := basicUsers(s.server)
	s.Set("PATH="+s.bin+":"+filepath.Dir(twine)+":/usr/bin:/bin", "TWINE_CERT="+s.server.caFile, "TWINE_NON_INTERACTIVE=1")
	s.version(twine, "--version")
	wheel := string(pythonWheel(t))
	s.write("dist/"+wheelName, wheel)
	upload := s.doc("keyring", "pypi.example.org")[3]
	s.wantTool(".", nil, "sh", "-c", upload)
	s.server.wantRequests(t, "alice")
	if seen := users(); len(seen) != 1 || !seen["oauth2"] {
		t.Errorf("users %v", seen)
	}
	if index.have[wheelName] != wheel {
		t.Errorf("%d bytes came, of %d", len(index.have[wheelName]), len(wheel))
	}
	s.Want(0, "erase")
	s.wantToolFails(".", []string{"nothing is stored", "hint: "}, "sh", "-c", upload)
	if log := s.server.take(); len(log) > 0 {
		t.Errorf("with nothing stored the server had %q", log)
	}
}
