package e2e

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// catalogue is a STAC API of six scenes in pages of two, and beside it as much of
// an openEO back-end as an account needs. Once, it links and redirects elsewhere.
type catalogue struct {
	url, elsewhere string
}

func (c *catalogue) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := func(v object) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	link := func(rel, path string) object {
		return object{"rel": rel, "href": c.url + path, "type": "application/json"}
	}
	switch r.URL.Path {
	case "/":
		search := link("search", "/search")
		search["type"] = "application/geo+json"
		post := link("search", "/search")
		post["type"], post["method"] = "application/geo+json", "POST"
		answer(object{
			"type": "Catalog", "stac_version": "1.0.0", "id": "test", "description": "A test", "title": "A test",
			"conformsTo": []string{
				"https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search",
				"https://api.stacspec.org/v1.0.0/collections", "https://api.stacspec.org/v1.0.0/ogcapi-features",
			},
			"links": []object{link("self", "/"), link("root", "/"), link("data", "/collections"), search, post},
		})
	case "/collections/scenes":
		answer(object{
			"type": "Collection", "stac_version": "1.0.0", "id": "scenes", "description": "Scenes", "license": "other",
			"extent": object{"spatial": object{"bbox": [][]float64{{-180, -90, 180, 90}}}, "temporal": object{"interval": [][]any{{"2020-01-01T00:00:00Z", nil}}}},
			"links":  []object{link("root", "/"), link("self", "/collections/scenes")},
		})
	case "/queryables", "/collections/scenes/queryables":
		answer(object{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "properties": object{"id": object{"type": "string"}}})
	case "/search":
		c.search(w, r, link)
	case "/scene.tif":
		_, _ = w.Write([]byte("II*\x00 a scene"))
	case "/away":
		http.Redirect(w, r, c.elsewhere+"/", http.StatusFound)
	case "/openeo/1.2/me":
		answer(object{"user_id": "alice-of-openeo"})
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// search answers a page of two. Both clients page by the link "next".
func (c *catalogue) search(w http.ResponseWriter, r *http.Request, link func(rel, path string) object) {
	asked := struct {
		Page any `json:"page"`
	}{r.URL.Query().Get("page")}
	if r.Method == "POST" {
		_ = json.NewDecoder(r.Body).Decode(&asked)
	}
	page, err := strconv.Atoi(fmt.Sprint(asked.Page))
	if err != nil {
		page = 1
	}
	var features []object
	for n := page*2 - 1; n <= page*2; n++ {
		id := fmt.Sprintf("scene-%d", n)
		features = append(features, object{
			"type": "Feature", "stac_version": "1.0.0", "id": id, "collection": "scenes", "bbox": []int{0, 0, 1, 1},
			"geometry":   object{"type": "Polygon", "coordinates": [][][]int{{{0, 0}, {1, 0}, {1, 1}, {0, 1}, {0, 0}}}},
			"properties": object{"datetime": "2026-01-01T00:00:00Z"},
			"links":      []object{link("collection", "/collections/scenes")},
			"assets":     object{"downloadLink": object{"href": c.url + "/scene.tif", "roles": []string{"data"}}},
		})
	}
	links := []object{link("root", "/")}
	if page < 3 {
		next := link("next", "/search")
		next["method"], next["body"], next["merge"] = "POST", object{"page": page + 1}, true
		links = append(links, next)
	}
	w.Header().Set("Content-Type", "application/geo+json")
	_ = json.NewEncoder(w).Encode(object{"type": "FeatureCollection", "features": features, "links": links, "numberMatched": 6})
}

// speakOpenEO makes the server an openEO back-end too: what there is may be asked
// without a token, and tokens say who issued them.
func speakOpenEO(s *bearerServer) {
	capabilities := object{
		"api_version": "1.2.0", "backend_version": "1", "stac_version": "1.0.0", "id": "test", "title": "A test", "description": "A test",
		"endpoints": []object{{"path": "/me", "methods": []string{"GET"}}}, "links": []object{},
	}
	behind := s.Config.Handler
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/openeo":
			_ = json.NewEncoder(w).Encode(object{"versions": []object{{"url": "https://" + s.host + "/openeo/1.2/", "api_version": "1.2.0", "production": true}}})
			return
		case "/openeo/1.2/":
			_ = json.NewEncoder(w).Encode(capabilities)
			return
		case "/openeo/1.2/me":
			token, said := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer oidc/terradue/")
			if !said {
				token = "of nobody knows whom"
			}
			r.Header.Set("Authorization", "Bearer "+token)
		}
		behind.ServeHTTP(w, r)
	})
}

// TestHookPython runs what docs/recipes/python.md says, but for the names of the
// servers, across several lives of a token, against servers that demand it.
func TestHookPython(t *testing.T) {
	python := needTool(t, "eo", "venv-eo/bin/python")
	c := &catalogue{}
	s := newToolStage(t, c)
	speakOpenEO(s.server)
	c.url = "https://" + s.server.host
	elsewhere := newStranger(t, s.server)
	c.elsewhere = elsewhere.url
	s.Set("REQUESTS_CA_BUNDLE="+s.server.caFile, "EODAG_EXT_COLLECTIONS_CFG_FILE=", "PYTHONDONTWRITEBYTECODE=1")
	s.version(python, "-c", `import sys, requests, pystac_client, openeo, eodag, importlib.metadata as m
print(sys.version.split()[0], *(n + " " + m.version(n) for n in ("requests", "pystac-client", "openeo", "eodag")), sep=", ")`)

	blocks := snippets(t, "recipes/python.md", "python")
	names := []string{"t2auth.py", "with_requests.py", "with_pystac.py", "with_openeo.py", "with_eodag.py"}
	if len(blocks) != len(names) {
		t.Fatalf("%d snippets in docs/recipes/python.md, want %d", len(blocks), len(names))
	}
	for i, name := range names {
		s.write(name, strings.NewReplacer("https://stac.example.org", c.url, "https://openeo.example.org", c.url).Replace(blocks[i]))
	}
	for name, words := range map[string][]string{
		"with_requests.py": {"scenes\n"},
		"with_pystac.py":   {"scene-1\nscene-2\nscene-3\nscene-4\nscene-5\nscene-6\n"},
		"with_openeo.py":   {"alice-of-openeo\n"},
		"with_eodag.py":    {"scene-1 ", "scene-2 "},
	} {
		s.server.take()
		s.wantTool(".", words, python, name)
		s.server.wantRequests(t, "alice")
	}
	if n := s.issuer.Refreshes(); n != 0 {
		t.Errorf("%d refreshes though the first token was good", n)
	}
	pythonKeepsTheToken(s, python, elsewhere)
	pythonRenews(s, python)
}

// pythonKeepsTheToken shows that it follows neither a redirect nor a link.
func pythonKeepsTheToken(s *toolStage, python string, elsewhere *stranger) {
	s.t.Helper()
	s.write("away.py", fmt.Sprintf(`
import requests
from pystac_client import Client
from pystac_client.exceptions import APIError
from t2auth import T2Auth
here, there = "https://%s", "%s"
auth = T2Auth(here)
print(requests.get(here + "/away", auth=auth).status_code, requests.get(there, auth=auth).status_code)
print(requests.get(here.replace("127.0.0.1", "localhost"), auth=auth).status_code)
try:
    Client.open(here, request_modifier=auth)._stac_io.request(there + "/next")
except APIError as error:
    print(error.status_code)
`, s.server.host, elsewhere.url))
	s.wantTool(".", []string{"401 401\n401\n401\n"}, python, "away.py")
	elsewhere.wantNoToken(s.t)
	s.server.wantRequests(s.t, "alice", "none")
}

// pythonRenews shows that a script that runs longer than a token lives notices
// nothing, and that it asks t2-cred a few times a life only.
func pythonRenews(s *toolStage, python string) {
	s.t.Helper()
	s.issuer.Set(oidctest.Lifespan(6 * time.Second))
	s.exchange()
	s.write("long.py", fmt.Sprintf(`
import subprocess, time
from pystac_client import Client
from t2auth import T2Auth
calls, run = [], subprocess.run
subprocess.run = lambda *a, **k: (calls.append(a), run(*a, **k))[1]
server = "https://%s"
catalog = Client.open(server, request_modifier=T2Auth(server))
end, rounds = time.time() + 13, 0
while time.time() < end:
    assert len(list(catalog.search(collections=["scenes"]).items())) == 6
    rounds += 1
    time.sleep(0.1)
assert rounds > 8 and len(calls) < 25, (rounds, len(calls))
print("all rounds")
`, s.server.host))
	before := s.issuer.Refreshes()
	s.wantTool(".", []string{"all rounds\n"}, python, "long.py")
	s.server.wantRequests(s.t, "alice")
	if n := s.issuer.Refreshes() - before; n < 2 || n > 6 {
		s.t.Errorf("%d refreshes in more than two lives", n)
	}
}

// A stranger is a server that nobody means to send a token to.
type stranger struct {
	url string
	mu  sync.Mutex
	log []string // "GET /path", and the token if there was one
}

// newStranger starts one with the certificate of a server that is known.
func newStranger(t *testing.T, known *bearerServer) *stranger {
	t.Helper()
	s := &stranger{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.log = append(s.log, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization")))
		w.WriteHeader(http.StatusUnauthorized)
	}))
	server.TLS = &tls.Config{Certificates: known.TLS.Certificates, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// wantNoToken wants that it was asked, and never with a token.
func (s *stranger) wantNoToken(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.log) == 0 {
		t.Error("the stranger was not asked")
	}
	for _, line := range s.log {
		if strings.Count(line, " ") != 1 {
			t.Errorf("a stranger got a token: %.40s…", line)
		}
	}
}
