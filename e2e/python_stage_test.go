package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/e2e/run"
)

// buildWheel builds the wheel of this checkout around a binary.
func buildWheel(t *testing.T, binary string) (wheel string) {
	t.Helper()
	dir := t.TempDir()
	outputOf(t, wheelCommand(t, "wheel", "--binary", binary, "--version", releaseTag, "--out", dir))
	found, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err != nil || len(found) != 1 {
		t.Fatalf("the wheels are %q, %v", found, err)
	}
	return found[0]
}

func wheelCommand(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	top, err := parts.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(top, "contrib", "python", "build_wheels.py")
	cmd := exec.Command(needTool(t, "python", "venv-python/bin/python3"), append([]string{"-B", script}, args...)...)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1767323045")
	return cmd
}

// installWheel installs a wheel with pip into a new environment, where no Go is to be
// had. What the libraries need that the tests use comes from the environment of the cache.
func installWheel(t *testing.T, wheel, cached string) (bin string) {
	t.Helper()
	base := filepath.Dir(needTool(t, strings.TrimPrefix(cached, "venv-"), cached+"/bin/python3"))
	venv := filepath.Join(t.TempDir(), "venv")
	python := filepath.Join(venv, "bin", "python3")
	script := `set -eu
"$1/python3" -m venv --without-pip "$2"
"$1/python3" -m pip --python "$2/bin/python3" install -q --disable-pip-version-check --no-index --no-deps "$3"
site=$("$2/bin/python3" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$1/python3" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$site/cached.pth"
`
	cmd := exec.Command("/bin/sh", "-c", script, "sh", base, venv, wheel)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + t.TempDir()}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("install %s: %v\n%s", wheel, err, out)
	}
	return filepath.Dir(python)
}

// pythonStage is where Python meets a real Keycloak: a home with a grant of alice's in
// the file store, the wheel installed, a server that demands her token, a stranger, and
// by HTTP on loopback the wishes of the Python tests.
type pythonStage struct {
	*run.Home
	t        *testing.T
	realm    *keycloak.Realm
	bin      string // of the Python environment
	server   *realmServer
	stranger *stranger
}

func newPythonStage(t *testing.T, realm *keycloak.Realm, cached string) *pythonStage {
	t.Helper()
	s := &pythonStage{t: t, realm: realm}
	s.bin = installWheel(t, buildWheel(t, program(t).Path), cached)
	s.server = newRealmServer(t, realm)
	s.stranger = newStranger(t, &bearerServer{Server: s.server.Server})
	s.Home = program(t).NewHome(t).Set("T2_CRED_STORE=file", "PATH="+s.bin+":/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1",
		"SSL_CERT_FILE="+s.server.caFile, "REQUESTS_CA_BUNDLE="+s.server.caFile, "GDAL_CURL_CA_BUNDLE="+s.server.caFile)
	s.Want(0, "store", "init")
	s.Want(0, append(addProfile(t, realm), "--host", s.server.host)...)
	s.exchange("alice")
	s.realm.Logout("alice") // gone home
	control := httptest.NewServer(s.control())
	t.Cleanup(control.Close)
	places, err := json.Marshal(map[string]string{
		"server": "https://" + s.server.host, "stranger": s.stranger.url, "control": control.URL, "issuer": realm.Issuer(), "client_id": keycloak.ClientID,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Set("T2_TEST_PLACES=" + string(places))
	return s
}

func (s *pythonStage) exchange(user string, args ...string) {
	s.t.Helper()
	s.WantDo(0, run.Cmd{Args: append([]string{"exchange"}, args...), Stdin: s.realm.UserToken(user)})
}

// control is what the Python tests may wish for.
func (s *pythonStage) control() http.Handler {
	mux := http.NewServeMux()
	answer := func(path string, f func(q func(string) string) any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			_ = json.NewEncoder(w).Encode(f(r.URL.Query().Get))
		})
	}
	answer("GET /log", func(func(string) string) any { return s.server.take() })
	answer("GET /stranger", func(func(string) string) any { return s.stranger.take() })
	answer("GET /refreshes", func(func(string) string) any { return s.realm.RefreshCount() })
	answer("POST /refuse", func(func(string) string) any { return s.server.refuseSeen() })
	answer("POST /logout", func(q func(string) string) any { s.realm.Logout(q("user")); return nil })
	answer("GET /user-token", func(q func(string) string) any { return s.realm.UserToken(q("user")) })
	answer("POST /lifespan", func(q func(string) string) any {
		seconds, err := strconv.Atoi(q("seconds"))
		if err == nil {
			s.realm.SetAccessTokenLifespan(time.Duration(seconds) * time.Second)
		}
		return err
	})
	answer("POST /issuer", func(q func(string) string) any {
		if q("down") == "" {
			s.realm.Intercept(nil)
			return nil
		}
		s.realm.Intercept(func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
		})
		return nil
	})
	return mux
}

// python runs Python in the home, and tells the ledger what it said.
func (s *pythonStage) python(limit time.Duration, args ...string) (out string, err error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "python3"), args...)
	cmd.Dir, cmd.Env = s.Dir, s.Env()
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	cmd.WaitDelay = 10 * time.Second
	err = cmd.Run()
	shared.ledger.Output("python "+strings.Join(args, " "), b.String(), false)
	return b.String(), err
}

func (s *pythonStage) wantPython(limit time.Duration, args ...string) string {
	s.t.Helper()
	out, err := s.python(limit, args...)
	if err != nil {
		s.t.Fatalf("python %q: %v\n%s", args, err, out)
	}
	return out
}

// pytest runs tests of contrib/python. None may be skipped.
func (s *pythonStage) pytest(want int, files ...string) {
	s.t.Helper()
	top, err := parts.Checkout()
	if err != nil {
		s.t.Fatal(err)
	}
	args := []string{"-m", "pytest", "-q", "-rA", "--tb=short", "-c", filepath.Join(top, "contrib/python/pyproject.toml")}
	for _, file := range files {
		args = append(args, filepath.Join(top, "contrib/python/tests", file))
	}
	out := s.wantPython(8*time.Minute, args...)
	passed := regexp.MustCompile(`(?m)^(\d+) passed`).FindStringSubmatch(out)
	if passed == nil || strings.Contains(out, " skipped") || strings.Contains(out, " xfailed") {
		s.t.Fatalf("not all passed:\n%s", out)
	}
	if n, _ := strconv.Atoi(passed[1]); n < want {
		s.t.Errorf("%d tests, want at least %d", n, want)
	}
}

// take is how a stranger was asked since the last call.
func (s *stranger) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := s.log
	s.log = nil
	return append([]string{}, log...)
}

// realmServer serves over TLS, to whoever has a token of the realm's, checked with the
// realm's keys: a catalogue, files, and redirects. It remembers how each request came.
type realmServer struct {
	*httptest.Server
	host, caFile string
	realm        *keycloak.Realm
	routes       http.Handler

	mu      sync.Mutex
	log     []string // "GET /path: alice", "…: none", "…: refused"
	seen    []string // the tokens that were good
	refused map[string]bool
	files   map[string]string
}

func newRealmServer(t *testing.T, realm *keycloak.Realm) *realmServer {
	t.Helper()
	s := &realmServer{realm: realm, refused: map[string]bool{}, files: map[string]string{}}
	c := &catalogue{}
	mux := http.NewServeMux()
	mux.HandleFunc("/files/", s.serveFile)
	mux.HandleFunc("/redirect", redirectAsAsked)
	mux.Handle("/", c)
	s.routes = mux
	s.Server = httptest.NewUnstartedServer(s)
	s.host, s.caFile = startTLS(t, s.Server)
	c.url = "https://" + s.host
	return s
}

func redirectAsAsked(w http.ResponseWriter, r *http.Request) {
	status := http.StatusTemporaryRedirect
	if r.URL.Query().Has("see-other") { // as after a job was posted
		status = http.StatusSeeOther
	}
	http.Redirect(w, r, r.URL.Query().Get("to"), status)
}

// ServeHTTP implements http.Handler.
func (s *realmServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, sent := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	claims, err := verifyToken(s.realm.Issuer(), token)
	s.mu.Lock()
	who := "refused"
	switch {
	case !sent && r.Header.Get("Authorization") == "":
		who = "none"
	case err == nil && !s.refused[token]:
		who, _ = claims["preferred_username"].(string)
		if !slices.Contains(s.seen, token) {
			s.seen = append(s.seen, token)
		}
	}
	s.log = append(s.log, fmt.Sprintf("%s %s: %s", r.Method, r.URL.Path, who))
	s.mu.Unlock()
	if r.URL.Path == "/open/redirect" { // for all, as one by which an attacker sends a request back
		redirectAsAsked(w, r)
		return
	}
	if who == "none" || who == "refused" {
		_, _ = io.Copy(io.Discard, r.Body) // as a server does that wants the connection kept
		w.Header().Set("WWW-Authenticate", `Bearer realm="e2e"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	s.routes.ServeHTTP(w, r)
}

func (s *realmServer) serveFile(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		s.files[r.URL.Path] = string(b)
		s.mu.Unlock()
		return
	}
	content, ok := s.file(r.URL.Path)
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	http.ServeContent(w, r, r.URL.Path, time.Time{}, strings.NewReader(content))
}

func (s *realmServer) file(path string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	content, ok := s.files[path]
	return content, ok
}

// take is how each request came since the last call.
func (s *realmServer) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := s.log
	s.log = nil
	return append([]string{}, log...)
}

// refuseSeen makes the server refuse each token that it has seen, and tells how many.
func (s *realmServer) refuseSeen() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, token := range s.seen {
		s.refused[token] = true
	}
	n := len(s.seen)
	s.seen = nil
	return n
}
