package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/e2e/run"
)

// kubeAPI is as much of a Kubernetes API server as `kubectl get namespaces` and
// `kubectl auth whoami` ask for. Who asks was settled before.
func kubeAPI() http.Handler {
	mux := http.NewServeMux()
	answer := func(pattern string, body func(r *http.Request) any) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(body(r))
		})
	}
	fixed := func(pattern, body string) {
		answer(pattern, func(*http.Request) any { return json.RawMessage(body) })
	}
	fixed("GET /version", `{"major":"1","minor":"37","gitVersion":"v1.37.0","platform":"linux/amd64"}`)
	fixed("GET /api", `{"kind":"APIVersions","versions":["v1"]}`)
	fixed("GET /apis", `{"kind":"APIGroupList","apiVersion":"v1","groups":[{"name":"authentication.k8s.io",
		"versions":[{"groupVersion":"authentication.k8s.io/v1","version":"v1"}],"preferredVersion":{"groupVersion":"authentication.k8s.io/v1","version":"v1"}}]}`)
	fixed("GET /api/v1", `{"kind":"APIResourceList","groupVersion":"v1","resources":[
		{"name":"namespaces","singularName":"namespace","namespaced":false,"kind":"Namespace","verbs":["get","list"],"shortNames":["ns"]}]}`)
	fixed("GET /apis/authentication.k8s.io/v1", `{"kind":"APIResourceList","groupVersion":"authentication.k8s.io/v1","resources":[
		{"name":"selfsubjectreviews","singularName":"selfsubjectreview","namespaced":false,"kind":"SelfSubjectReview","verbs":["create"]}]}`)
	fixed("GET /api/v1/namespaces", `{"kind":"NamespaceList","apiVersion":"v1","metadata":{},"items":[
		{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"eo-processing","creationTimestamp":"2026-01-01T00:00:00Z"},"status":{"phase":"Active"}}]}`)
	answer("POST /apis/authentication.k8s.io/v1/selfsubjectreviews", func(r *http.Request) any {
		_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		var claims struct {
			Name string `json:"preferred_username"`
		}
		_ = decodeSegment(strings.Split(token, ".")[1], &claims)
		_, _ = io.Copy(io.Discard, r.Body)
		return map[string]any{
			"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1",
			"status": map[string]any{"userInfo": map[string]any{"username": "oidc:" + claims.Name}},
		}
	})
	return mux
}

// kubeconfig writes one with the user that the documentation has, for the kubectl
// whose `config set-credentials` does not know all of it.
func (s *toolStage) kubeconfig(name, version, server, more string) string {
	s.t.Helper()
	user := s.doc("kubernetes", "k8s.example.org:6443")[1]
	if !strings.Contains(user, "k8s.io/v1beta1\n") {
		s.t.Fatalf("the documentation has no user of v1beta1: %s", user)
	}
	return s.write(name, fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: eo\n"+
		"contexts: [{name: eo, context: {cluster: eo, user: t2}}]\nclusters:\n- name: eo\n  cluster: {server: %q, %s}\nusers:\n%s",
		server, more, strings.Replace(user, "v1beta1", version, 1)))
}

// TestHookKubernetes: two versions of kubectl get through to a server that demands
// the token, by the two versions of the protocol.
func TestHookKubernetes(t *testing.T) {
	current, debian := needTool(t, "kubectl", "kubectl/current"), needTool(t, "kubectl", "kubectl/debian")
	s := newToolStage(t, kubeAPI())
	s.version(current, "version", "--client")
	s.version(debian, "version", "--client")
	// The cluster's CA is in the kubeconfig, and nowhere else.
	s.Unset("SSL_CERT_FILE")
	server, ca := "https://"+s.server.host, s.server.caFile
	if err := os.Symlink(current, s.bin+"/kubectl"); err != nil {
		t.Fatal(err)
	}

	// What the documentation says to type.
	s.write("ca.pem", readFile(t, s.server.caFile))
	script := docScript(t, "kubernetes.md", "k8s.example.org:6443", s.server.host)
	s.wantTool(".", []string{"eo-processing"}, "bash", "-euc", script)
	if err := os.Remove(filepath.Join(s.Dir, "ca.pem")); err != nil {
		t.Fatal(err)
	}
	s.wantTool(".", []string{"oidc:alice"}, s.bin+"/kubectl", "auth", "whoami")
	s.wantTool(".", []string{`"gitVersion"`}, s.bin+"/kubectl", "get", "--raw", "/version")
	s.server.wantRequests(t, "alice")
	if n := s.issuer.Refreshes(); n != 0 {
		t.Errorf("%d refreshes though the cached token was good", n)
	}

	// Both versions of the protocol, with both of kubectl as far as they know it.
	for kubectl, versions := range map[string][]string{current: {"v1", "v1beta1"}, debian: {"v1beta1"}} {
		for _, version := range versions {
			s.Set("KUBECONFIG=" + s.kubeconfig(version+".yaml", version, server, "certificate-authority: "+ca))
			s.wantTool(".", []string{"namespace/eo-processing"}, kubectl, "get", "namespaces", "-o", "name")
		}
	}
	s.server.wantRequests(t, "alice")

	// A refused token: kubectl asks us again, but not so that we could tell, and gives
	// up. A new one by hand helps.
	s.server.refuse(s.Want(0, "get").Token())
	s.wantToolFails(".", []string{"the server has asked for the client to provide credentials"}, current, "get", "--raw", "/version")
	s.server.wantRequests(t, "refused")
	s.Want(0, "get", "--fresh")
	s.wantTool(".", []string{`"gitVersion"`}, current, "get", "--raw", "/version")
	s.server.wantRequests(t, "alice")

	// A server that is no profile's gets nothing, whether or not it can be verified.
	other := newBearerServer(t, s.issuer, kubeAPI())
	s.Set("KUBECONFIG=" + s.kubeconfig("other.yaml", "v1", "https://"+other.host, "certificate-authority: "+other.caFile))
	s.wantToolFails(".", []string{"no profile is for that host: " + other.host, "exit code 3"}, current, "get", "--raw", "/version")
	s.Set("KUBECONFIG=" + s.kubeconfig("look.yaml", "v1", strings.Replace(server, "127.0.0.1", "localhost", 1), "certificate-authority: "+ca))
	s.wantToolFails(".", []string{"no profile is for that host: localhost:"}, current, "get", "--raw", "/version")
	if log := slices.Concat(other.take(), s.server.take()); len(log) > 0 {
		t.Errorf("there were requests: %q", log)
	}

	// With nothing stored kubectl's user is told what to type.
	s.WantDo(0, run.Cmd{Args: []string{"erase"}})
	s.Set("KUBECONFIG=" + s.Dir + "/v1.yaml")
	s.wantToolFails(".", []string{"nothing is stored for gep/default", "t2-cred exchange --profile gep", "exit code 4"}, current, "get", "--raw", "/version")
}
