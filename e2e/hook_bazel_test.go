package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/e2e/run"
)

// TestHookBazel plays bazel, which no package of Debian 12 has in a version that
// knows helpers: the program that ~/.bazelrc names is run with get, and what it
// answers is sent.
func TestHookBazel(t *testing.T) {
	s := newToolStage(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	doc := s.doc("bazel", "cache.example.org")
	s.wantTool(".", nil, "sh", "-c", doc[0])
	line, _, _ := strings.Cut(strings.TrimSpace(doc[1]), "\n")
	pattern, helper, _ := strings.Cut(strings.TrimPrefix(line, "common --credential_helper="), "=")
	if pattern != s.server.host {
		t.Fatalf("the line in ~/.bazelrc is for %q", pattern)
	}
	uri := "https://" + s.server.host + "/ac/00"
	var answer struct{ Headers http.Header }
	name := helper[strings.LastIndex(helper, "/")+1:]
	r := s.WantDo(0, run.Cmd{Name: name, Args: []string{"get"}, Stdin: `{"uri":"` + uri + `"}`})
	if err := json.Unmarshal([]byte(r.Stdout), &answer); err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, uri, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = answer.Headers
	response, err := s.server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		t.Errorf("HTTP %d", response.StatusCode)
	}
	s.server.wantRequests(t, "alice")
	// The link itself, for a host of nobody's.
	s.wantTool(".", []string{"{}"}, "sh", "-c", `echo '{"uri":"https://mirror.bazel.build/x"}' | `+helper+" get")
}
