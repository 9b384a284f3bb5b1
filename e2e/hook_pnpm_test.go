package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// npmRegistry serves the package greeting, 1.0.0.
func npmRegistry(t *testing.T) http.Handler {
	t.Helper()
	const manifest = `{"name":"greeting","version":"1.0.0"}`
	var archive bytes.Buffer
	z := gzip.NewWriter(&archive)
	w := tar.NewWriter(z)
	err1 := w.WriteHeader(&tar.Header{Name: "package/package.json", Mode: 0o644, Size: int64(len(manifest))})
	_, err2 := w.Write([]byte(manifest))
	for _, err := range []error{err1, err2, w.Close(), z.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	sum := sha512.Sum512(archive.Bytes())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /greeting", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"name": "greeting", "dist-tags": map[string]string{"latest": "1.0.0"},
			"time": map[string]string{"1.0.0": "2020-01-01T00:00:00.000Z"},
			"versions": map[string]any{"1.0.0": map[string]any{
				"name": "greeting", "version": "1.0.0", "dist": map[string]string{
					"tarball":   "https://" + r.Host + "/greeting/-/greeting-1.0.0.tgz",
					"integrity": "sha512-" + base64.StdEncoding.EncodeToString(sum[:]),
				},
			}},
		})
	})
	mux.HandleFunc("GET /greeting/-/greeting-1.0.0.tgz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(archive.Bytes()) })
	return mux
}

// TestHookPnpm: pnpm installs from a registry that demands the token.
func TestHookPnpm(t *testing.T) {
	for _, major := range []string{"10", "12"} {
		t.Run(major, func(t *testing.T) {
			pnpm := needTool(t, "pnpm", "pnpm-"+major+"/pnpm")
			s := newToolStage(t, npmRegistry(t))
			s.Set("NODE_EXTRA_CA_CERTS="+s.server.caFile, "CI=true", "COREPACK_ENABLE_STRICT=0", "npm_config_manage_package_manager_versions=false")
			s.version(pnpm, "--version")
			doc := s.doc("pnpm", "npm.example.org")
			withURL, bare := doc[0], doc[2]
			s.wantTool(".", nil, "sh", "-c", doc[1])
			npmrc := func(helper string) {
				s.write(".npmrc", fmt.Sprintf("registry=https://%s/\ncafile=%s\nfetch-retries=0\n%s", s.server.host, s.server.caFile, helper))
			}
			install := func(dir string) (string, error) {
				s.write(dir+"/package.json", `{"name":"user","version":"1.0.0","dependencies":{"greeting":"1.0.0"}}`)
				return s.tool(dir, pnpm, "install", "--store-dir", s.Dir+"/"+dir+"/store", "--cache-dir", s.Dir+"/"+dir+"/cache")
			}

			helper, failure := bare, "ERR_PNPM_TOKEN_HELPER_ERROR_STATUS"
			if major != "10" {
				// It asks the registry all the same, and does not name the helper.
				helper, failure = withURL, "No authorization header was set for the request"
			}
			npmrc(helper)
			out, err := install("one")
			if err != nil {
				t.Fatalf("%v\n%s\n%q", err, out, s.server.take())
			}
			s.server.wantRequests(t, "alice")
			if n := s.issuer.Refreshes(); n != 0 {
				t.Errorf("%d refreshes though the cached token was good", n)
			}

			if major != "10" {
				// The link serves here too; and a URL of nobody's ends the install.
				npmrc(bare)
				if out, err := install("two"); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
				s.server.wantRequests(t, "alice")
				npmrc(strings.Replace(withURL, "--url https://"+s.server.host, "--url https://registry.example.org", 1))
				if out, err := install("three"); err == nil || !strings.Contains(out, failure) {
					t.Errorf("%v\n%s", err, out)
				}
				s.server.wantRequests(t, "none")
			}

			// A project's own file cannot make pnpm run a helper.
			s.server.take()
			npmrc("")
			s.write("four/.npmrc", helper)
			if out, err := install("four"); err == nil {
				t.Errorf("a project's tokenHelper was run:\n%s", out)
			}
			for _, line := range s.server.take() {
				if !strings.HasSuffix(line, ": none") {
					t.Errorf("%s, by a project's own tokenHelper", line)
				}
			}

			// With nothing stored the install fails.
			s.Want(0, "erase")
			npmrc(helper)
			if out, err := install("five"); err == nil || !strings.Contains(out, failure) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
