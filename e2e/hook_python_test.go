package e2e

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/parts"
)

// catalogue is a STAC API of six scenes in pages of two, and beside it as much of
// an openEO back-end as an account needs.
type catalogue struct {
	url string
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
		http.ServeContent(w, r, "scene.tif", time.Time{}, bytes.NewReader(tinyTIFF()))
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
// servers, against servers that demand the token. What Auth and the adapters hold to is
// tested in contrib/python/tests.
func TestHookPython(t *testing.T) {
	python := needTool(t, "eo", "venv-eo/bin/python")
	c := &catalogue{}
	s := newToolStage(t, c)
	speakOpenEO(s.server)
	c.url = "https://" + s.server.host
	s.Set("REQUESTS_CA_BUNDLE="+s.server.caFile, "GDAL_CURL_CA_BUNDLE="+s.server.caFile, "EODAG_EXT_COLLECTIONS_CFG_FILE=",
		"PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH="+pythonSource(t))
	s.version(python, "-c", `import sys, requests, pystac_client, openeo, eodag, importlib.metadata as m
print(sys.version.split()[0], *(n + " " + m.version(n) for n in ("requests", "pystac-client", "openeo", "eodag")), sep=", ")`)

	blocks := snippets(t, "recipes/python.md", "python")
	runs := []struct {
		name  string
		words []string
	}{
		{"get.py", []string{"offline_access"}},
		{"with_requests.py", []string{"scenes\n"}},
		{"with_pystac.py", []string{"scene-1\nscene-2\nscene-3\nscene-4\nscene-5\nscene-6\n"}},
		{"with_rasterio.py", []string{"GTiff\n"}},
		{"with_openeo.py", []string{"alice-of-openeo\n"}},
		{"with_eodag.py", []string{"scene-1 ", "scene-2 "}},
	}
	if len(blocks) != len(runs) {
		t.Fatalf("%d snippets in docs/recipes/python.md, want %d", len(blocks), len(runs))
	}
	here := strings.NewReplacer("https://stac.example.org", c.url, "https://openeo.example.org", c.url, "https://data.example.org", c.url)
	for i, r := range runs {
		s.write(r.name, here.Replace(blocks[i]))
		s.server.take()
		s.wantTool(".", r.words, python, "-W", "ignore", r.name)
		if i > 0 {
			s.server.wantRequests(t, "alice")
		}
	}
	if n := s.issuer.Refreshes(); n != 0 {
		t.Errorf("%d refreshes though the first token was good", n)
	}
}

// pythonSource is where the module is, for a Python that has not installed it.
func pythonSource(t *testing.T) string {
	t.Helper()
	top, err := parts.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(top, "contrib", "python", "src")
}

// tinyTIFF is one grey pixel, as TIFF 6.0 has it.
func tinyTIFF() []byte {
	b := []byte("II*\x00\x08\x00\x00\x00\x08\x00")
	const short, long, pixel = 3, 4, 8 + 2 + 8*12 + 4
	for _, e := range [][3]uint32{
		{256, short, 1}, {257, short, 1}, {258, short, 8}, {259, short, 1}, {262, short, 1}, {273, long, pixel}, {278, short, 1}, {279, long, 1},
	} {
		b = binary.LittleEndian.AppendUint16(b, uint16(e[0]))
		b = binary.LittleEndian.AppendUint16(b, uint16(e[1]))
		b = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, 1), e[2])
	}
	return append(b, 0, 0, 0, 0, 42)
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
