package e2e

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/e2e/run"
)

// librariesPage documents client libraries.
const librariesPage = "hooks/libraries.md"

// libraryBlock is the block of the page that has these words.
func libraryBlock(t *testing.T, language, words string, oldnew ...string) string {
	t.Helper()
	for _, b := range blocksOf(t, readTop(t, "docs/"+librariesPage)) {
		if b.language == language && strings.Contains(b.text, words) {
			return strings.NewReplacer(oldnew...).Replace(b.text)
		}
	}
	t.Fatalf("docs/%s has no block of %s with %q", librariesPage, language, words)
	return ""
}

// nodeScript puts a script where the packages are found.
func nodeScript(t *testing.T, text string) string {
	t.Helper()
	packages := needTool(t, "clients", "node-clients/node_modules")
	dir := t.TempDir()
	if err := os.Symlink(packages, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "script.mjs")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestHookLibraries_kubernetes: the libraries for Python and Node.js get through to a
// server that demands the token, with what setup writes. Another server gets nothing.
func TestHookLibraries_kubernetes(t *testing.T) {
	python, node := needTool(t, "clients", "venv-clients/bin/python3"), needTool(t, "clients", "node")
	s := newToolStage(t, kubeAPI())
	// The cluster's CA is in the kubeconfig.
	s.Unset("SSL_CERT_FILE")
	config := func(server, ca string) {
		s.Set("KUBECONFIG=" + s.write("kubeconfig", "apiVersion: v1\nkind: Config\ncurrent-context: eo\n"+
			"contexts:\n- name: eo\n  context:\n    cluster: eo\n    user: t2-gep\n"+
			"clusters:\n- name: eo\n  cluster:\n    server: "+server+"\n    certificate-authority: "+ca+"\nusers: []\n"))
	}
	config("https://"+s.server.host, s.server.caFile)
	s.Want(0, "setup", "kubernetes", "--url", "https://"+s.server.host, "--write")
	if text := readFile(t, s.Dir+"/kubeconfig"); !strings.Contains(text, "--url") {
		t.Fatalf("setup writes no --url:\n%s", text)
	}
	clients := map[string][]string{
		"kubernetes":         {python, "-c", libraryBlock(t, "python", "from kubernetes import")},
		"kubernetes_asyncio": {python, "-c", libraryBlock(t, "python", "from kubernetes_asyncio")},
		"client-node":        {node, nodeScript(t, libraryBlock(t, "js", "@kubernetes/client-node"))},
	}
	for name, argv := range clients {
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			s.wantTool(".", []string{"eo-processing"}, argv[0], argv[1:]...)
			s.server.wantRequests(t, "alice")
		})
	}

	// The same user for another server: what is bound to one goes to no other.
	other := newBearerServer(t, s.issuer, kubeAPI())
	text := readFile(t, s.Dir+"/kubeconfig")
	s.write("kubeconfig", strings.NewReplacer(s.server.caFile, other.caFile, "server: https://"+s.server.host, "server: https://"+other.host).Replace(text))
	out, err := s.tool(".", clients["kubernetes"][0], clients["kubernetes"][1:]...)
	if err == nil {
		t.Errorf("another server answered:\n%s", out)
	}
	for _, line := range other.take() {
		if strings.HasSuffix(line, ": alice") {
			t.Errorf("another server got the token: %s", line)
		}
	}
}

// TestHookLibraries_s3: SDKs, s5cmd, Arrow, polars and delta-rs write and read a MinIO that
// trusts a real Keycloak.
func TestHookLibraries_s3(t *testing.T) {
	python, node := needTool(t, "clients", "venv-clients/bin/python3"), needTool(t, "clients", "node")
	realm := server(t).NewRealm(t, keycloak.Legacy)
	s := newAWSStage(t, program(t).NewHome(t).Set("T2_CRED_STORE=file"))
	endpoint, said := startMinIO(t, realm, "MINIO_IDENTITY_OPENID_ROLE_POLICY=readwrite")
	arn := awaitRole(t, said)
	s.Want(0, "store", "init")
	s.Want(0, append(addProfile(t, realm), "--host", strings.TrimPrefix(endpoint, "http://"))...)
	s.WantDo(0, run.Cmd{Args: []string{"exchange"}, Stdin: realm.UserToken("alice")})
	realm.Logout("alice")
	s.config(endpoint, " --role-arn "+arn)
	profile := []string{"AWS_PROFILE=eo"}
	s.want(profile, s.aws, "s3", "mb", "s3://results")
	if err := os.WriteFile(filepath.Join(s.Dir, "result.tif"), []byte("a raster"), 0o600); err != nil {
		t.Fatal(err)
	}

	goClient := filepath.Join(t.TempDir(), "s3client")
	outputOf(t, exec.Command("go", "build", "-o", goClient, "./cmd/s3client"))
	s.want(profile, goClient, endpoint, "results")
	if out := s.want(profile, node, nodeScript(t, libraryBlock(t, "js", "@aws-sdk/client-s3"))); !strings.Contains(out, "written by JavaScript") {
		t.Errorf("JavaScript says %q", out)
	}
	venv := filepath.Dir(python)
	for _, line := range strings.Split(strings.TrimSpace(libraryBlock(t, "sh", "s5cmd", documentedSTS, endpoint)), "\n") {
		out := s.want(profile, "/usr/bin/env", append([]string{"PATH=" + venv + ":" + s.bin + ":/usr/bin:/bin"}, strings.Fields(line)...)...)
		if strings.Contains(line, " ls ") && !strings.Contains(out, "s5.tif") {
			t.Errorf("%s: %q", line, out)
		}
	}

	dir, port := t.TempDir(), freePort(t)
	served := s.Start(run.Cmd{Product: true, Args: []string{"aws", "serve", "--endpoint", endpoint, "--role-arn", arn, "--port", port, "--authorization-file", filepath.Join(dir, "authorization")}})
	written(t, filepath.Join(dir, "authorization"))
	keys := []string{
		"AWS_ENDPOINT_URL=" + endpoint, "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:" + port + "/credentials",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=" + filepath.Join(dir, "authorization"),
	}
	for library, want := range map[string]string{"pyarrow": "written by Arrow\n", "polars": "['a']\n2\n"} {
		if out := s.want(keys, python, "-c", libraryBlock(t, "python", "import os, "+library)); out != want {
			t.Errorf("%s says %q", library, out)
		}
	}
	if err := served.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if r := served.Wait(); r.Code != 0 {
		t.Errorf("%s", r)
	}
}

// dockerDaemon is as much of a Docker daemon as a pull asks for. It keeps what the client
// says to authenticate with.
type dockerDaemon struct {
	*httptest.Server
	mu  sync.Mutex
	got []map[string]string
}

func newDockerDaemon(t *testing.T) *dockerDaemon {
	t.Helper()
	d := &dockerDaemon{}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/version") {
			_, _ = w.Write([]byte(`{"ApiVersion": "1.45", "Version": "28.2.2"}`))
			return
		}
		said := map[string]string{}
		if text, err := base64.URLEncoding.DecodeString(r.Header.Get("X-Registry-Auth")); err == nil && len(text) > 0 {
			var auth map[string]any
			_ = json.Unmarshal(text, &auth)
			for key, value := range auth {
				said[strings.ToLower(key)], _ = value.(string)
			}
		}
		d.mu.Lock()
		d.got = append(d.got, said)
		d.mu.Unlock()
		_, _ = w.Write([]byte(`{"status": "Downloaded newer image"}` + "\n"))
	}))
	t.Cleanup(d.Close)
	return d
}

// TestHookLibraries_docker: docker-py hands the token to the daemon for a host of the
// profile, and nothing for another.
func TestHookLibraries_docker(t *testing.T) {
	python := needTool(t, "clients", "venv-clients/bin/python3")
	s := newToolStage(t, http.NotFoundHandler())
	daemon := newDockerDaemon(t)
	s.Want(0, "setup", "docker", "--bin-dir", s.bin, "--write")
	s.Set("DOCKER_HOST=tcp://"+strings.TrimPrefix(daemon.URL, "http://"), "DOCKER_CONFIG="+s.Dir+"/.docker")
	code := libraryBlock(t, "python", "import docker", "registry.example.org", s.server.host)
	s.wantTool(".", []string{"Downloaded"}, python, "-c", code)
	s.wantTool(".", []string{"Downloaded"}, python, "-c", strings.Replace(code, s.server.host, "other.example.org", 1))
	if len(daemon.got) != 2 {
		t.Fatalf("%d pulls", len(daemon.got))
	}
	claims, err := verifyToken(s.issuer.URL(), daemon.got[0]["password"])
	if err != nil || claims["preferred_username"] != "alice" || daemon.got[0]["username"] != "oauth2" {
		t.Errorf("the daemon got the user %q, and %v", daemon.got[0]["username"], err)
	}
	if daemon.got[1]["password"] != "" {
		t.Error("the daemon got a password for another registry")
	}
}

// TestMore_gix: gitoxide clones what demands the token, with git's configuration,
// and hands a refused token back by erase.
func TestMore_gix(t *testing.T) {
	parts.More(t)
	gix := needTool(t, "more/gix", "bin/gix")
	p := newGitPlace(t, "")
	p.front.repository(t, "team/data.git")
	host, caFile := startTLS(t, httptest.NewUnstartedServer(p.front)) // gix sends no password over http
	p.want("t2-cred", "profile", "edit", "gep", "--host", p.front.host, "--host", host)
	p.script(docScript(t, "git.md", "https://git.example.org", p.front.URL))
	p.pushes(t, p.front.URL+"/team/data.git", "Basic oauth2 alice")
	repo := "https://" + host + "/team/data.git"
	p.want("git", "config", "--global", "credential.https://"+host+".helper", "t2")
	p.want("git", "config", "--global", "http.sslCAInfo", caFile)
	p.front.take()
	p.script(libraryBlock(t, "sh", "gix clone", "https://git.example.org", "https://"+host, "gix clone", "SSL_CERT_FILE="+caFile+" "+gix+" clone", " data", " by-gix"))
	p.front.want(t, "none", "Basic oauth2 alice")

	// After a 401 it says erase, with the url beside its parts.
	token := p.want("t2-cred", "get")
	p.front.refuse(strings.TrimSpace(token))
	if out, err := p.run("env", "SSL_CERT_FILE="+caFile, gix, "clone", repo, "refused"); err == nil {
		t.Errorf("a refused token was taken:\n%s", out)
	}
	if again := p.want("t2-cred", "get"); again == token {
		t.Error("the refused token is still cached")
	}
	p.want("env", "SSL_CERT_FILE="+caFile, gix, "clone", repo, "again")
}
