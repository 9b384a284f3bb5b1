package e2e

import (
	"archive/tar"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/proc"
	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// registryFront is what stands before a registry: its token server, which takes a
// token of the issuer's as the password of Basic, or that alone. It remembers how
// each client proved itself.
type registryFront struct {
	*httptest.Server
	host   string // 127.0.0.1:PORT
	caFile string
	issuer *oidctest.Issuer

	mu      sync.Mutex
	basic   bool            // no token server
	granted map[string]bool // by the token server
	log     []string        // "none", "oauth2 alice", "refused", "refresh token"
}

func newRegistryFront(t *testing.T, issuer *oidctest.Issuer, registry string) *registryFront {
	t.Helper()
	f := &registryFront{issuer: issuer, granted: map[string]bool{}}
	backend := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: registry})
	mux := http.NewServeMux()
	mux.HandleFunc("/token", f.serveToken)
	mux.HandleFunc("/v2/", func(w http.ResponseWriter, r *http.Request) {
		if f.admits(w, r) {
			backend.ServeHTTP(w, r)
		}
	})
	f.Server = httptest.NewUnstartedServer(mux)
	f.host, f.caFile = startTLS(t, f.Server)
	return f
}

// admits asks for a token of the token server's, or for Basic.
func (f *registryFront) admits(w http.ResponseWriter, r *http.Request) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	challenge := fmt.Sprintf(`Bearer realm="https://%s/token",service="e2e",scope="repository:team/image:pull,push"`, f.host)
	ok := f.granted[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	if f.basic {
		challenge, ok = `Basic realm="e2e"`, f.checks(r)
	}
	if !ok {
		w.Header().Set("WWW-Authenticate", challenge)
		w.Header().Set("Docker-Distribution-API-Version", "registry/2.0") // older clients look for it
		w.WriteHeader(http.StatusUnauthorized)
	}
	return ok
}

// serveToken is https://distribution.github.io/distribution/spec/auth/token/.
func (f *registryFront) serveToken(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Method != http.MethodGet && r.FormValue("grant_type") == "refresh_token" {
		f.log = append(f.log, "refresh token")
	}
	if r.Method != http.MethodGet || !f.checks(r) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	token := rand.Text()
	f.granted[token] = true
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"token": token, "access_token": token, "expires_in": 300})
}

// checks reports whether a request has the issuer's token as its password.
func (f *registryFront) checks(r *http.Request) bool {
	user, password, ok := r.BasicAuth()
	if !ok {
		f.log = append(f.log, "none")
		return false
	}
	claims, err := verifyToken(f.issuer.URL(), password)
	if err != nil {
		f.log = append(f.log, "refused")
		return false
	}
	f.log = append(f.log, fmt.Sprintf("%s %s", user, claims["preferred_username"]))
	return true
}

// want wants clients since the last call to have proved themselves in this way
// alone, but for those of a Basic registry, who try without first.
func (f *registryFront) want(t *testing.T, way string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := false
	for _, line := range f.log {
		seen = seen || line == way
		first := f.basic && line == "none"
		if line != way && !first {
			t.Errorf("a client proved itself as %q: %q", line, f.log)
		}
	}
	if !seen {
		t.Errorf("no client proved itself as %q: %q", way, f.log)
	}
	f.log = nil
}

func (f *registryFront) onlyBasic(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.basic = on
}

// startRegistry starts Debian's docker-registry on a port of its own.
func startRegistry(t *testing.T) (host string) {
	t.Helper()
	program := needTool(t, "docker", "docker-registry/usr/bin/docker-registry")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host = l.Addr().String()
	_ = l.Close()
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: warn}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %s, relativeurls: true}\n", dir, host)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "serve", config)
	cmd.Env = []string{"OTEL_TRACES_EXPORTER=none"}
	p, err := proc.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.SignalGroup(9) })
	for range 100 {
		if resp, err := http.Get("http://" + host + "/v2/"); err == nil {
			_ = resp.Body.Close()
			return host
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("docker-registry does not answer")
	return ""
}

// dockerStage is a home with a grant of alice's before a registry that demands it.
func dockerStage(t *testing.T) (*toolStage, *registryFront) {
	t.Helper()
	registry := startRegistry(t)
	s := newToolStage(t, http.NotFoundHandler())
	f := newRegistryFront(t, s.issuer, registry)
	s.Set("PATH="+filepath.Join(s.Dir, "bin")+string(os.PathListSeparator)+s.bin+string(os.PathListSeparator)+os.Getenv("PATH"), "SSL_CERT_FILE="+f.caFile)
	s.Want(0, "erase") // of the host that this is not about
	s.Want(0, "profile", "remove", "gep")
	s.Want(0, "profile", "add", "gep", "--issuer", s.issuer.URL(), "--client-id", oidctest.ClientID, "--audience", oidctest.ClientID,
		"--scope", keycloak.Scopes, "--host", f.host, "--client-secret-file", secretFile(t, s.issuer.ClientSecret()))
	s.exchange()
	return s, f
}

// TestHookDocker: an image goes to a registry and comes back, through each client
// that there is.
func TestHookDocker(t *testing.T) {
	crane, skopeo, debian := needTool(t, "docker", "bin/crane"), needTool(t, "docker", "skopeo"), needTool(t, "docker", "docker.io/usr/bin/docker")
	s, f := dockerStage(t)
	s.version(crane, "version")
	s.version(skopeo, "--version")
	dockers := []string{debian}
	if newer, err := exec.LookPath("docker"); err == nil {
		dockers = append(dockers, newer)
	}
	image := f.host + "/team/image:1"
	layer := s.layer()

	// Without the helper the registry says no.
	s.wantToolFails(".", nil, crane, "append", "--new_layer", layer, "--new_tag", image)
	f.want(t, "none")

	// As the documentation has it, with an image in place.
	s.write(".docker/config.json", `{"credHelpers": {"`+f.host+`": "t2"}}`)
	s.links(map[string]string{"docker-credential-t2": program(t).Path})
	s.wantTool(".", nil, crane, "append", "--new_layer", layer, "--new_tag", image)
	f.want(t, "oauth2 alice")
	for _, docker := range dockers {
		s.version(docker, "--version")
		s.links(map[string]string{"docker": docker, "skopeo": skopeo, "crane": crane})
		s.wantTool(".", []string{"schemaVersion", `"Digest"`}, "sh", "-euxc", docScript(t, "docker.md", "registry.example.org", f.host))
		f.want(t, "oauth2 alice")
	}
	if n := s.issuer.Refreshes(); n != 0 {
		t.Errorf("%d refreshes though the cached token was good", n)
	}

	// skopeo carries it away and back.
	s.wantTool(".", nil, skopeo, "copy", "docker://"+image, "dir:"+filepath.Join(s.Dir, "image"))
	s.wantTool(".", nil, skopeo, "copy", "dir:"+filepath.Join(s.Dir, "image"), "docker://"+f.host+"/team/image:2")
	s.wantTool(".", []string{"2\n"}, crane, "ls", f.host+"/team/image")
	f.want(t, "oauth2 alice")

	// A registry without a token server.
	f.onlyBasic(true)
	for _, c := range [][]string{{crane, "manifest", image}, {skopeo, "inspect", "docker://" + image}, {dockers[0], "manifest", "inspect", image}} {
		s.wantTool(".", nil, c[0], c[1:]...)
		f.want(t, "oauth2 alice")
	}
	f.onlyBasic(false)
	t.Run("users", func(t *testing.T) { testDockerUsers(t, s, f, crane, image) })
	t.Run("refused", func(t *testing.T) { testDockerRefused(t, s, f, crane, image) })
	t.Run("everywhere", func(t *testing.T) { testDockerEverywhere(t, s, f, crane, dockers) })
	t.Run("login and logout", func(t *testing.T) { testDockerLogin(t, s, f, dockers) })
	t.Run("nothing stored", func(t *testing.T) {
		s.Want(0, "erase")
		s.wantToolFails(".", []string{"nothing is stored for gep/default", "t2-cred exchange"}, crane, "manifest", image)
	})
}

// links makes the home's bin a directory of these links alone.
func (s *toolStage) links(to map[string]string) {
	s.t.Helper()
	bin := filepath.Join(s.Dir, "bin")
	err := errors.Join(os.RemoveAll(bin), os.Mkdir(bin, 0o700))
	for name, path := range to {
		err = errors.Join(err, os.Symlink(path, filepath.Join(bin, name)))
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// layer is a layer of an image, with one file in it.
func (s *toolStage) layer() string {
	s.t.Helper()
	path := filepath.Join(s.Dir, "layer.tar")
	file, err := os.Create(path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	w := tar.NewWriter(file)
	_ = w.WriteHeader(&tar.Header{Name: "hello", Mode: 0o644, Size: 5})
	_, _ = w.Write([]byte("hello"))
	if err := w.Close(); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// testDockerUsers has a registry that wants another user, by the documentation's
// script.
func testDockerUsers(t *testing.T, s *toolStage, f *registryFront, crane, image string) {
	path := s.write("bin/docker-credential-quay", "#!/bin/sh\nexec t2-cred docker --username '$oauthtoken' \"$@\"\n")
	if err := os.Chmod(path, 0o700); err != nil {
		t.Fatal(err)
	}
	s.write(".docker/config.json", `{"credHelpers": {"`+f.host+`": "quay"}}`)
	s.wantTool(".", nil, crane, "manifest", image)
	f.want(t, "$oauthtoken alice")
	s.write(".docker/config.json", `{"credHelpers": {"`+f.host+`": "t2"}}`)
}

// testDockerRefused has a token that the issuer's keys do not vouch for any more.
func testDockerRefused(t *testing.T, s *toolStage, f *registryFront, crane, image string) {
	s.issuer.ReplaceKeys()
	s.wantToolFails(".", nil, crane, "manifest", image)
	f.want(t, "refused")
	s.Want(0, "get", "--fresh")
	s.wantTool(".", nil, crane, "manifest", image)
	f.want(t, "oauth2 alice")
}

// testDockerEverywhere has the helper for all registries: others get nothing, and
// docker's build is told of ours.
func testDockerEverywhere(t *testing.T, s *toolStage, f *registryFront, crane string, dockers []string) {
	other := newRegistryFront(t, s.issuer, "127.0.0.1:1")
	s.write(".docker/config.json", `{"credsStore": "t2"}`)
	s.wantTool(".", nil, crane, "manifest", f.host+"/team/image:1")
	f.want(t, "oauth2 alice")
	s.Set("SSL_CERT_FILE=" + other.caFile)
	s.wantToolFails(".", nil, crane, "manifest", other.host+"/team/image:1")
	other.want(t, "none")
	for _, docker := range dockers {
		s.wantToolFails(".", nil, docker, "manifest", "inspect", other.host+"/team/image:1")
		other.want(t, "none")
	}
	s.Set("SSL_CERT_FILE=" + f.caFile)
	if r := s.WantDo(0, run.Cmd{Name: "docker-credential-t2", Args: []string{"list"}, Stdin: "unused"}); r.Stdout != `{"`+f.host+`":"oauth2"}`+"\n" {
		t.Errorf("it lists %s", r.Stdout)
	}
}

// testDockerLogin: docker cannot leave a password here, and takes nothing away.
func testDockerLogin(t *testing.T, s *toolStage, f *registryFront, dockers []string) {
	s.write(".docker/config.json", `{"credHelpers": {"`+f.host+`": "t2"}}`)
	for _, docker := range dockers {
		s.wantTool(".", []string{"t2-cred erase gives it back"}, docker, "logout", f.host)
		s.wantTool(".", []string{"schemaVersion"}, docker, "manifest", "inspect", f.host+"/team/image:1")
		f.want(t, "oauth2 alice")
		login := `t2-cred get | "$0" login --username "$1" --password-stdin "$2"`
		s.wantTool(".", []string{"Login Succeeded"}, "sh", "-c", login, docker, "oauth2", f.host)
		login = `token=$(t2-cred get); t2-cred get --fresh >/dev/null; printf %s "$token" | "$0" login --username "$1" --password-stdin "$2"`
		s.wantToolFails(".", []string{"Error saving credentials", "keeps no password that another program brings"}, "sh", "-c", login, docker, "oauth2", f.host)
		f.want(t, "oauth2 alice")
	}
}
