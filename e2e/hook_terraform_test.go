package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// moduleRegistry serves the module acme/greeting/none 1.0.0, whose archive lies
// elsewhere: https://developer.hashicorp.com/terraform/internals/module-registry-protocol
func moduleRegistry(archive string) http.Handler {
	mux := http.NewServeMux()
	text := func(path, body string) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, body)
		})
	}
	text("/.well-known/terraform.json", `{"modules.v1":"/v1/modules/"}`)
	text("/v1/modules/acme/greeting/none/versions", `{"modules":[{"versions":[{"version":"1.0.0"}]}]}`)
	mux.HandleFunc("GET /v1/modules/acme/greeting/none/1.0.0/download", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Terraform-Get", archive)
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

// moduleArchive serves the archive, plainly, to requests without a token.
func moduleArchive(t *testing.T) *httptest.Server {
	t.Helper()
	const text = `output "greeting" { value = "hello" }`
	var archive bytes.Buffer
	z := gzip.NewWriter(&archive)
	w := tar.NewWriter(z)
	err1 := w.WriteHeader(&tar.Header{Name: "main.tf", Mode: 0o644, Size: int64(len(text))})
	_, err2 := io.WriteString(w, text)
	for _, err := range []error{err1, err2, w.Close(), z.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the archive's host got the registry's token")
		}
		_, _ = w.Write(archive.Bytes())
	}))
	t.Cleanup(s.Close)
	return s
}

// TestHookTerraform: OpenTofu, and Terraform where it is installed, get a module
// from a registry that demands the token.
func TestHookTerraform(t *testing.T) {
	tools := []string{needTool(t, "terraform", "bin/tofu")}
	if terraform, err := exec.LookPath("terraform"); err == nil {
		tools = append(tools, terraform)
	}
	for _, tool := range tools {
		t.Run(filepath.Base(tool), func(t *testing.T) {
			s := newToolStage(t, moduleRegistry(moduleArchive(t).URL+"/greeting.tgz?archive=tar.gz"))
			s.Set("CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1")
			doc := s.doc("terraform", "tf.example.org")
			s.wantTool(".", nil, "sh", "-c", doc[0])
			s.write(".terraformrc", doc[1])
			s.version(tool, "version")

			use := func(dir, host string) {
				s.write(dir+"/main.tf", fmt.Sprintf("module \"greeting\" {\n  source  = \"%s/acme/greeting/none\"\n  version = \"1.0.0\"\n}\noutput \"greeting\" { value = module.greeting.greeting }\n", host))
			}
			use("one", s.server.host)
			s.wantTool("one", []string{"Downloading " + s.server.host + "/acme/greeting/none 1.0.0"}, tool, "init", "-no-color")
			s.server.wantRequests(t, "alice")
			s.wantTool("one", []string{"hello"}, tool, "apply", "-auto-approve", "-no-color")
			if n := s.issuer.Refreshes(); n != 0 {
				t.Errorf("%d refreshes though the cached token was good", n)
			}

			// Another host gets nothing.
			other := newBearerServer(t, s.issuer, moduleRegistry(""))
			s.Set("SSL_CERT_FILE=" + other.caFile)
			use("two", other.host)
			s.wantToolFails("two", []string{other.host}, tool, "init", "-no-color")
			other.wantRequests(t, "none")
			s.Set("SSL_CERT_FILE=" + s.server.caFile)

			// Logout is refused in words, and is no matter for a host of nobody's.
			s.wantToolFails("one", []string{"serves other tools too", "hint: to see what ends the grant for all tools: t2-cred erase --help"}, tool, "logout", "-no-color", s.server.host)
			s.wantTool("one", []string{"Success!"}, tool, "logout", "-no-color", "app.terraform.io")
			s.Want(0, "get")

			// With nothing stored, the registry is asked without a token.
			s.Want(0, "erase")
			s.server.take()
			use("three", s.server.host)
			s.wantToolFails("three", nil, tool, "init", "-no-color")
			s.server.wantRequests(t, "none")
			for _, line := range strings.Fields(s.Want(4, "terraform", "get", s.server.host).Stdout) {
				t.Errorf("a failure printed %q", line)
			}
		})
	}
}
