package e2e

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/terradue/t2-cred/e2e/run"
)

// wheelName is the file of the package greeting 1.0.0.
const wheelName = "greeting-1.0.0-py3-none-any.whl"

func pythonWheel(t *testing.T) []byte {
	t.Helper()
	const about = "greeting-1.0.0.dist-info/"
	var wheel bytes.Buffer
	z := zip.NewWriter(&wheel)
	for _, file := range [][2]string{
		{"greeting.py", "words = 'hello'\n"},
		{about + "METADATA", "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0.0\n"},
		{about + "WHEEL", "Wheel-Version: 1.0\nGenerator: e2e\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{about + "RECORD", "greeting.py,,\n" + about + "METADATA,,\n" + about + "WHEEL,,\n" + about + "RECORD,,\n"},
	} {
		w, err := z.Create(file[0])
		if err == nil {
			_, err = io.WriteString(w, file[1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return wheel.Bytes()
}

// pythonIndex is a simple index of one package, the wheel:
// https://packaging.python.org/en/latest/specifications/simple-repository-api/
func pythonIndex(t *testing.T) http.Handler {
	t.Helper()
	wheel := pythonWheel(t)
	sum := sha256.Sum256(wheel)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /simple/greeting/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!DOCTYPE html><html><body><a href="/files/%s#sha256=%x">%s</a></body></html>`, wheelName, sum, wheelName)
	})
	mux.HandleFunc("GET /files/"+wheelName, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(wheel) })
	return mux
}

// basicUsers makes a server take the token as the password of Basic alone, which
// is all that these tools send. The users are those that were named.
func basicUsers(s *bearerServer) (users func() map[string]bool) {
	var mu sync.Mutex
	seen := map[string]bool{}
	bearer := s.Config.Handler
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, basic := r.BasicAuth()
		switch {
		case basic && password == "": // the user of the URL, before keyring was asked
			r.Header.Del("Authorization")
		case basic:
			mu.Lock()
			seen[user] = true
			mu.Unlock()
			r.Header.Set("Authorization", "Bearer "+password)
		case r.Header.Get("Authorization") != "":
			r.Header.Set("Authorization", "Other")
		}
		bearer.ServeHTTP(w, r)
	})
	return func() map[string]bool {
		mu.Lock()
		defer mu.Unlock()
		was := seen
		seen = map[string]bool{}
		return was
	}
}

// newKeyringStage is a stage for a tool of the cache, with keyring a link to us.
func newKeyringStage(t *testing.T, tool string) (s *toolStage, users func() map[string]bool, doc []string) {
	s = newToolStage(t, pythonIndex(t))
	users = basicUsers(s.server)
	s.Set("PATH="+filepath.Join(s.Dir, ".local", "bin")+":"+filepath.Dir(tool)+":"+os.Getenv("PATH"),
		"PIP_CONFIG_FILE=/dev/null", "PIP_CERT="+s.server.caFile, "PIP_NO_INPUT=1", "PIP_RETRIES=0", "PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_NO_CACHE_DIR=1",
		"UV_NO_CACHE=1", "UV_PYTHON_DOWNLOADS=never", "UV_HTTP_RETRIES=0")
	doc = s.doc("keyring", "pypi.example.org")
	s.wantTool(".", nil, "sh", "-c", doc[0])
	return s, users, doc
}

// wantUser wants that requests were alice's, by the user of Basic that is named.
func wantUser(t *testing.T, s *toolStage, users func() map[string]bool, user string) {
	t.Helper()
	s.server.wantRequests(t, "none", "alice")
	if seen := users(); len(seen) != 1 || !seen[user] {
		t.Errorf("users %v, not %s", seen, user)
	}
	if n := s.issuer.Refreshes(); n != 0 {
		t.Errorf("%d refreshes though the cached token was good", n)
	}
}

// TestHookKeyring_pip: pip installs from an index that demands the token.
func TestHookKeyring_pip(t *testing.T) {
	for _, age := range []string{"old", "new"} {
		t.Run(age, func(t *testing.T) {
			s, users, doc := newKeyringStage(t, needTool(t, "pip", "pip-"+age+"/bin/pip"))
			s.Set("PIP_TARGET=" + filepath.Join(s.Dir, "one"))
			s.version(needTool(t, "pip", "pip-"+age+"/bin/pip"), "--version")
			s.wantTool(".", []string{"Successfully installed greeting-1.0.0"}, "sh", "-c", doc[1])
			wantUser(t, s, users, "oauth2")

			// Without a user only a new pip asks.
			s.Set("PIP_TARGET=" + filepath.Join(s.Dir, "two"))
			nobody := "PIP_KEYRING_PROVIDER=subprocess " + strings.NewReplacer("oauth2@", "", "--keyring-provider subprocess ", "").Replace(doc[1])
			if age == "new" {
				s.wantTool(".", []string{"Successfully installed greeting-1.0.0"}, "sh", "-c", nobody)
				wantUser(t, s, users, "oauth2")
			} else {
				s.wantToolFails(".", nil, "sh", "-c", nobody)
				s.server.wantRequests(t, "none")
			}

			// Another index gets nothing.
			other := newBearerServer(t, s.issuer, pythonIndex(t))
			theirs := basicUsers(other)
			s.wantToolFails(".", nil, "sh", "-c", "PIP_CERT="+other.caFile+" "+strings.Replace(doc[1], s.server.host, other.host, 1))
			if other.wantRequests(t, "none"); len(theirs()) > 0 {
				t.Error("another index got a password")
			}

			// With nothing stored it fails, and by hand one sees why.
			s.Want(0, "erase")
			s.server.take()
			s.wantToolFails(".", nil, "sh", "-c", doc[1])
			s.server.wantRequests(t, "none")
			s.wantToolFails(".", []string{"nothing is stored", "hint: "}, "sh", "-c", "keyring get "+s.server.host+" oauth2")
		})
	}
}

// TestHookKeyring_uv: so does uv.
func TestHookKeyring_uv(t *testing.T) {
	uv := needTool(t, "pip", "pip-new/bin/uv")
	s, users, doc := newKeyringStage(t, uv)
	venv := func(name string) {
		s.wantTool(".", nil, uv, "venv", name)
		s.Set("VIRTUAL_ENV=" + filepath.Join(s.Dir, name))
	}
	s.version(uv, "--version")
	venv("one")
	s.wantTool(".", []string{"greeting==1.0.0"}, "sh", "-c", doc[2])
	wantUser(t, s, users, "oauth2")

	// Without a user it asks where it is told to.
	venv("two")
	s.write("pyproject.toml", fmt.Sprintf("[[tool.uv.index]]\nname = \"ours\"\nurl = \"https://%s/simple/\"\ndefault = true\nauthenticate = \"always\"\n", s.server.host))
	s.wantTool(".", []string{"greeting==1.0.0"}, "sh", "-c", "UV_KEYRING_PROVIDER=subprocess uv pip install greeting")
	if seen := users(); len(seen) != 1 || !seen["oauth2"] {
		t.Errorf("users %v", seen)
	}
	s.server.take()

	s.Want(0, "erase")
	venv("three")
	s.wantToolFails(".", []string{"nothing is stored", "hint: "}, "sh", "-c", doc[2])
	s.server.wantRequests(t, "none")
}

// memoBackend keeps passwords in a file, for Python's keyring.
const memoBackend = `import json, os
from keyring.backend import KeyringBackend

class Memo(KeyringBackend):
    priority = 1
    path = os.path.join(os.path.dirname(__file__), "memo.json")
    def load(self):
        return json.load(open(self.path)) if os.path.exists(self.path) else {}
    def get_password(self, service, username):
        return self.load().get(service + " " + username)
    def set_password(self, service, username, password):
        all = self.load()
        all[service + " " + username] = password
        json.dump(all, open(self.path, "w"))
`

// TestHookKeyring_next: what is not ours goes to Python's own keyring.
func TestHookKeyring_next(t *testing.T) {
	next := needTool(t, "pip", "python-keyring/bin/keyring")
	s, _, _ := newKeyringStage(t, next)
	s.write("lib/memo.py", memoBackend)
	s.Set("PYTHONPATH="+filepath.Join(s.Dir, "lib"), "PYTHON_KEYRING_BACKEND=memo.Memo")
	sh := func(line string) string { return s.wantTool(".", nil, "sh", "-c", line) }
	sh("echo open-sesame | keyring set https://pypi.example.org/simple/ 'bob smith'")
	if out := sh("keyring get https://pypi.example.org/simple/ 'bob smith'"); out != "open-sesame\n" {
		t.Errorf("%q", out)
	}
	if out := sh("keyring --output=json get https://pypi.example.org/simple/ 'bob smith'"); out != "{\"password\": \"open-sesame\"}\n" {
		t.Errorf("%q", out)
	}
	s.wantToolFails(".", nil, "sh", "-c", "keyring get nothing bob")
	s.wantToolFails(".", []string{"get requires service and username"}, "sh", "-c", "keyring get nothing") // its own exit code and words
	if out := sh("keyring --list-backends"); !strings.Contains(out, "keyring.backends.fail") {
		t.Errorf("%q", out)
	}
	// Ours never gets there.
	token := s.Want(0, "get").Token()
	ours := s.WantDo(0, run.Cmd{Name: "keyring", Args: []string{"get", "https://" + s.server.host + "/simple/", "alice"}})
	if ours.Token() != token {
		t.Error("another token than get's")
	}
	s.wantToolFails(".", []string{"comes from a grant"}, "sh", "-c", "echo mine | keyring set "+s.server.host+" alice")
	if memo, err := os.ReadFile(filepath.Join(s.Dir, "lib", "memo.json")); err != nil || strings.Contains(string(memo), s.server.host) {
		t.Errorf("%v: %s", err, memo)
	}
}
