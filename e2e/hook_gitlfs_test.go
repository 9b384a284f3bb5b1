package e2e

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// lfsObjects keeps git-lfs' objects at the address that it stands for:
// https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md
type lfsObjects struct {
	base string // of the objects' addresses

	mu      sync.Mutex
	content map[string][]byte // by oid
}

type lfsObject struct {
	OID     string               `json:"oid"`
	Size    int                  `json:"size"`
	Actions map[string]lfsAction `json:"actions,omitempty"`
}

type lfsAction struct {
	Href string `json:"href"`
}

// ServeHTTP implements http.Handler.
func (l *lfsObjects) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	oid := path.Base(r.URL.Path)
	switch {
	case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/objects/batch"):
		l.batch(w, r)
	case r.Method == http.MethodPut:
		content, err := io.ReadAll(r.Body)
		if err != nil || fmt.Sprintf("%x", sha256.Sum256(content)) != oid {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		l.content[oid] = content
	case r.Method == http.MethodGet && l.content[oid] != nil:
		_, _ = w.Write(l.content[oid])
	default:
		w.WriteHeader(http.StatusNotFound) // locks among them, which are optional
	}
}

func (l *lfsObjects) batch(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Operation string      `json:"operation"`
		Objects   []lfsObject `json:"objects"`
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	for n, o := range asked.Objects {
		asked.Objects[n].Actions = map[string]lfsAction{asked.Operation: {l.base + "/info/lfs/" + o.OID}}
	}
	w.Header().Set("Content-Type", "application/vnd.git-lfs+json")
	_ = json.NewEncoder(w).Encode(map[string]any{"transfer": "basic", "objects": asked.Objects})
}

// TestHookGit_lfs: a large file goes up and comes down by git-lfs, which asks git's
// helpers for itself.
func TestHookGit_lfs(t *testing.T) {
	needTool(t, "git", "git")
	lfs := needTool(t, "git", "git-lfs/usr/bin/git-lfs")
	p := newGitPlace(t, "")
	f, other := p.front, newGitFront(t, p.issuer)
	f.repository(t, "team/data.git")
	repo := f.URL + "/team/data.git"
	objects := &lfsObjects{base: repo, content: map[string][]byte{}}
	f.lfs, other.lfs = objects, objects
	p.write("bin/git-lfs", readFile(t, lfs), 0o700)
	t.Log(strings.TrimSpace(p.want("git", "lfs", "version")))
	p.script(docScript(t, "git.md", "https://git.example.org/team/data.git", repo, "https://git.example.org", f.URL))
	f.take()
	scene := strings.Repeat("a scene", 100_000)
	p.write("scene.tif", scene, 0o600)
	p.script(`
git config --global user.name alice
git config --global user.email alice@example.org
git lfs install --skip-repo
rm -rf data
git clone -q ` + repo + ` data
cd data
git lfs track "*.tif"
mv ../scene.tif .
git add .
git commit -q -m "Add a scene"
git push -q origin HEAD:main
`)
	f.want(t, "none", "Basic oauth2 alice")
	if len(objects.content) != 1 {
		t.Fatalf("%d objects went up", len(objects.content))
	}
	p.want("git", "clone", "-q", repo, "again")
	f.want(t, "none", "Basic oauth2 alice")
	if got := readFile(t, filepath.Join(p.outside, "again", "scene.tif")); got != scene {
		t.Errorf("%d bytes came down, of %d: %.100q", len(got), len(scene), got)
	}

	// A repository that has its large files elsewhere.
	p.want("git", "-C", "data", "config", "-f", ".lfsconfig", "lfs.url", other.URL+"/team/data.git/info/lfs")
	p.want("git", "-C", "data", "add", ".lfsconfig")
	p.want("git", "-C", "data", "commit", "-q", "-m", "Point elsewhere")
	p.want("git", "-C", "data", "-c", "lfs.url="+repo+"/info/lfs", "push", "-q", "origin", "HEAD:main")
	f.take()
	p.fails("", "git", "clone", "-q", repo, "elsewhere")
	f.want(t, "none", "Basic oauth2 alice")
	other.want(t, "none")

	// A refused token is dropped: git-lfs has git tell the helpers.
	token := p.want("t2-cred", "get")
	f.refuse(strings.TrimSpace(token))
	_, _ = p.run("env", "sh", "-c", "cd again && rm -rf .git/lfs && git lfs pull")
	if p.want("t2-cred", "get") == token {
		t.Error("the token that was refused is still given out")
	}
	f.take()
	p.script("cd again && rm -rf .git/lfs && git lfs pull")
	f.want(t, "Basic oauth2 alice") // it remembers which servers ask
}
