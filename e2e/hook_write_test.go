package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// files serves some files by name, also in ranges, and counts the tokens that it
// was asked with. /away leads elsewhere.
type files struct {
	elsewhere string
	content   map[string][]byte

	mu     sync.Mutex
	tokens map[string]int
}

func (f *files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	if f.tokens == nil {
		f.tokens = map[string]int{}
	}
	f.tokens[r.Header.Get("Authorization")]++
	content, ok := f.content[r.URL.Path]
	f.mu.Unlock()
	switch {
	case r.URL.Path == "/away/scene.tif":
		http.Redirect(w, r, f.elsewhere+"/scene.tif", http.StatusFound)
	case ok:
		http.ServeContent(w, r, r.URL.Path, time.Time{}, bytes.NewReader(content))
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// seen is how many different tokens there were.
func (f *files) seen() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.tokens)
}

// written waits for what `write` is to write.
func written(t *testing.T, path string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if info, err := os.Stat(path); err == nil {
			if info.Mode() != 0o600 {
				t.Errorf("%s has mode %s", path, info.Mode())
			}
			return
		}
	}
	t.Fatalf("%s was not written", path)
}

// stop ends a watcher as systemd and Kubernetes do.
func stop(t *testing.T, w *run.Running) run.Result {
	t.Helper()
	if err := w.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	r := w.Wait()
	if r.Code != 0 || r.Stdout != "" {
		t.Errorf("a watcher that was stopped: %s", r)
	}
	return r
}

// TestHookGDAL: a dataset that is open for more than two lives of a token reads on with the
// token of the moment, and no other server is told any.
func TestHookGDAL(t *testing.T) {
	python := needTool(t, "eo", "venv-eo/bin/python")
	f := &files{content: map[string][]byte{}}
	s := newToolStage(t, f)
	other := newStranger(t, s.server)
	f.elsewhere = other.url
	s.version(python, "-c", `import rasterio; print("rasterio", rasterio.__version__, "with GDAL", rasterio.__gdal_version__)`)
	f.content["/scene.tif"] = raster(s, python)
	// Not shorter: exp is in whole seconds, so a token ends up to one before its time.
	s.issuer.Set(oidctest.Lifespan(6 * time.Second))
	s.exchange()

	runtime := t.TempDir() // not in the home: a token is in it by our asking
	header := filepath.Join(runtime, "t2-cred", "gdal-header")
	s.Set("XDG_RUNTIME_DIR="+runtime, "GDAL_CURL_CA_BUNDLE="+s.server.caFile, "GDAL_CONFIG_FILE="+s.write("gdalrc",
		block(t, "hooks/gdal.md", "ini", "https://data.example.org/", "https://"+s.server.host+"/", "/run/user/1000", runtime)))
	lines := strings.Split(block(t, "hooks/gdal.md", "sh"), "\n")
	s.wantTool(".", nil, "sh", "-c", lines[0])
	command := strings.Fields(strings.NewReplacer(`"`, "", "$XDG_RUNTIME_DIR", runtime, " &", "").Replace(lines[1]))
	watcher := s.Start(run.Cmd{Args: command[1:]})
	written(t, header)

	s.write("read.py", fmt.Sprintf(`
import time
import rasterio
from rasterio.errors import RasterioIOError
from rasterio.windows import Window
with rasterio.open("/vsicurl/https://%[1]s/scene.tif") as scene:
    total, began = 0, time.time()
    for n in range(64):
        total += int(scene.read(1, window=Window(n %% 8 * 256, n // 8 * 256, 256, 256)).sum(dtype="int64"))
        time.sleep(max(0, began + (n + 1) * 14.5 / 64 - time.time()))
print("sum", total)
for elsewhere in "%[2]s/scene.tif", "https://%[1]s/away/scene.tif":
    try:
        rasterio.open("/vsicurl/" + elsewhere)
    except RasterioIOError as error:
        print(error)
`, s.server.host, other.url))
	s.server.take()
	s.wantTool(".", []string{fmt.Sprintf("sum %d\n", 64*256*256*7), "401"}, python, "read.py")
	s.server.wantRequests(t, "alice")
	if n := f.seen(); n < 4 {
		t.Errorf("%d tokens in more than two lives", n)
	}
	other.wantNoToken(t)

	r := stop(t, watcher)
	if n := strings.Count(r.Stderr, "wrote "); n < 4 || strings.Count(r.Stderr, "\n") != n {
		t.Errorf("said: %s", r)
	}
	written(t, header) // it stays
}

// raster makes a tiled raster of 2048 times 2048 sevens, too large to be read ahead.
func raster(s *toolStage, python string) []byte {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "scene.tif")
	s.wantTool(".", nil, python, "-c", `
import sys, numpy, rasterio
with rasterio.open(sys.argv[1], "w", driver="GTiff", width=2048, height=2048, count=1, dtype="uint16",
                   tiled=True, blockxsize=256, blockysize=256) as scene:
    scene.write(numpy.full((2048, 2048), 7, "uint16"), 1)`, path)
	content, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	return content
}

// TestHookRattler: py-rattler reads a channel with the token of a file.
func TestHookRattler(t *testing.T) {
	python := needTool(t, "eo", "venv-eo/bin/python")
	record := `"build":"0","build_number":0,"depends":[],"md5":"00000000000000000000000000000000","name":"greeting","size":1,"subdir":"noarch","version":"1.0"`
	f := &files{content: map[string][]byte{
		"/channel/noarch/repodata.json": []byte(`{"info":{"subdir":"noarch"},"packages":{},"packages.conda":{"greeting-1.0-0.conda":{` + record + `}}}`),
	}}
	s := newToolStage(t, f)
	s.version(python, "-c", `import importlib.metadata as m; print("py-rattler", m.version("py-rattler"))`)
	s.Want(0, "profile", "edit", "gep", "--host", s.server.host, "--host", "127.0.0.1")
	s.exchange()
	runtime := t.TempDir()
	if err := os.Mkdir(filepath.Join(runtime, "t2-cred"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.Set("XDG_RUNTIME_DIR=" + runtime)
	s.write("channel.py", fmt.Sprintf(`
import asyncio, tempfile
from rattler import Gateway
from rattler.networking import AuthenticationMiddleware, Client
async def main():
    gateway = Gateway(cache_dir=tempfile.mkdtemp(), client=Client([AuthenticationMiddleware()]))
    for records in await gateway.query(["https://%s/channel"], ["noarch"], ["greeting"], recursive=False):
        print(*(r.name.normalized for r in records))
asyncio.run(main())
`, s.server.host))
	// The page's block, with py-rattler in the place of pixi.
	s.write("channel.sh", strings.Replace(snippets(t, "hooks/gdal.md", "sh")[1], "pixi install", python+" channel.py", 1))
	s.wantTool(".", []string{"greeting\n"}, "sh", "channel.sh")
	s.server.wantRequests(t, "alice")
}

// TestRecipeSystemd checks the unit with systemd's own tool and runs its commands.
func TestRecipeSystemd(t *testing.T) {
	needTool(t, "eo", "systemd-analyze")
	s := newToolStage(t, http.NotFoundHandler())
	s.version("systemd-analyze", "--version")
	unit := block(t, "recipes/systemd.md", "ini", "/usr/local/bin/t2-cred", filepath.Join(s.bin, "t2-cred"))
	s.write("t2-cred-gdal.service", unit)
	if out := s.wantTool(".", nil, "systemd-analyze", "--user", "verify", "./t2-cred-gdal.service"); strings.Contains(out, "t2-cred-gdal.service:") {
		t.Error(out)
	}
	runtime := filepath.Join(t.TempDir(), "t2-cred")
	if err := os.Mkdir(runtime, 0o700); err != nil { // RuntimeDirectory=
		t.Fatal(err)
	}
	command := func(key string) []string {
		m := regexp.MustCompile(`(?m)^` + key + `=\S+ (.*)$`).FindStringSubmatch(unit)
		if m == nil {
			t.Fatalf("the unit has no %s=", key)
		}
		return strings.Fields(strings.ReplaceAll(m[1], "%t", filepath.Dir(runtime)))
	}
	s.Want(0, command("ExecStartPre")...)
	written(t, filepath.Join(runtime, "gdal-header"))
	watcher := s.Start(run.Cmd{Args: command("ExecStart")})
	time.Sleep(time.Second)
	stop(t, watcher)
}

// TestHookExec runs docs/hooks/exec.md.
func TestHookExec(t *testing.T) {
	needTool(t, "eo", "curl")
	s := newToolStage(t, &files{content: map[string][]byte{"/": []byte("hello")}})
	s.Set("CURL_CA_BUNDLE=" + s.server.caFile)
	s.write("fetch.py", `import os, urllib.request as r
print(r.urlopen(r.Request("https://`+s.server.host+`/", headers={"Authorization": "Bearer " + os.environ["EARTHDATA_TOKEN"]})).read())
raise SystemExit(9)`)
	lines := strings.Split(strings.TrimSpace(block(t, "hooks/exec.md", "sh", "data.example.org", s.server.host)), "\n")
	if len(lines) != 2 {
		t.Fatalf("the page has %d commands", len(lines))
	}
	s.wantTool(".", []string{"hello"}, "sh", "-c", lines[0])
	s.wantToolFails(".", []string{"b'hello'\n"}, "sh", "-c", lines[1])
	s.wantTool(".", []string{"9\n"}, "sh", "-c", lines[1]+"; echo $?")
	s.server.wantRequests(t, "alice")
	// The command can be debugged as any other: what hides our memory ends with us.
	s.wantTool(".", []string{"1\n"}, filepath.Join(s.bin, "t2-cred"), "exec", "--", "python3", "-c",
		"import ctypes; PR_GET_DUMPABLE = 3; print(ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0))")
}
