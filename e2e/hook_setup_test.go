package e2e

import (
	"fmt"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// toldBySetup has a tool fail without what setup writes, work with it, and fail
// again when it was taken back. The files, of the home, are then as they were, to
// the byte; and written again they are as they were with it.
func (s *toolStage) toldBySetup(setup []string, files []string, fails, works func()) {
	s.t.Helper()
	content := func() (all string) {
		for _, name := range files {
			b, err := os.ReadFile(filepath.Join(s.Dir, name))
			all += fmt.Sprintf("%s, there: %v\n%s\n", name, err == nil, b)
		}
		return all
	}
	setup = append([]string{"setup"}, setup...)
	write, undo := append(setup[:len(setup):len(setup)], "--write"), append(setup[:len(setup):len(setup)], "--undo")
	before := content()
	fails()
	s.Want(0, setup...)
	if got := content(); got != before {
		s.t.Errorf("%q changed\n%s\nto\n%s", setup, before, got)
	}
	s.Want(0, write...)
	written := content()
	works()
	s.Want(0, write...)
	s.Want(0, undo...)
	if got := content(); got != before {
		s.t.Errorf("%q left\n%s\nnot\n%s", undo, got, before)
	}
	fails()
	if r := s.Want(0, undo...); strings.Count(r.Stderr, "has nothing that t2-cred wrote") != len(files) {
		s.t.Errorf("with nothing to undo: %s", r)
	}
	s.Want(0, write...)
	if got := content(); got != written {
		s.t.Errorf("written again\n%s\nnot\n%s", got, written)
	}
}

// TestSetupTellsGit: git gets through after what docs/hooks/setup.md says to type,
// and no more once it is undone; another helper that keeps all learns nothing.
func TestSetupTellsGit(t *testing.T) {
	p := newGitPlace(t, "")
	p.front.repository(t, "data.git")
	t.Log(p.want("git", "--version"))
	const mine = "# mine\n[credential]\n\thelper = store\n"
	p.write(".gitconfig", mine, 0o644)
	config := filepath.Join(p.outside, ".gitconfig")
	from := "http://" + p.front.host + "/data.git"
	p.fails("terminal prompts disabled", "git", "clone", from, "before")

	p.want("t2-cred", "setup", "git", "--write")
	once := readFile(t, config)
	p.want("git", "clone", from, "with")
	if exec.Command("test", "-e", filepath.Join(p.outside, ".git-credentials")).Run() == nil {
		t.Error("git's own helper kept the token")
	}
	p.want("t2-cred", "setup", "git", "--undo")
	if got := readFile(t, config); got != mine {
		t.Errorf("undone: %q", got)
	}
	p.fails("terminal prompts disabled", "git", "clone", from, "after")

	p.script(docScript(t, "setup.md")) // shows, writes, undoes
	if got := readFile(t, config); got != mine {
		t.Errorf("after what the page says: %q", got)
	}
	p.want("t2-cred", "setup", "git", "--write")
	if got := readFile(t, config); got != once {
		t.Errorf("again: %q, not %q", got, once)
	}
	p.want("git", "clone", from, "again")
}

// TestSetupTellsGo: go gets through to a module proxy; it reads what was written,
// and keeps it when it writes the file itself.
func TestSetupTellsGo(t *testing.T) {
	needTool(t, "go", "go")
	s := newToolStage(t, moduleProxy(t))
	s.Set("GOPROXY=https://"+s.server.host+"/mod", "GOSUMDB=off", "GOTOOLCHAIN=local", "GOFLAGS=-modcacherw", "GOENV="+s.Dir+"/go.env", "GOCACHE="+s.Dir+"/gocache")
	s.write("hello/go.mod", "module example.org/use\n")
	s.write("go.env", "# mine\nGOPRIVATE=example.com\n")
	fetch := []string{"mod", "download", "example.org/hello@v1.0.0"}
	s.toldBySetup([]string{"go"}, []string{"go.env"}, func() {
		s.Set("GOMODCACHE=" + t.TempDir())
		s.wantToolFails("hello", []string{"401 Unauthorized"}, "go", fetch...)
	}, func() {
		s.Set("GOMODCACHE=" + t.TempDir())
		s.wantTool("hello", nil, "go", fetch...)
	})
	s.wantTool(".", nil, "go", "env", "-w", "GONOSUMDB=example.net")
	s.wantTool(".", []string{"/t2-cred goauth --profile gep; netrc"}, "go", "env", "GOAUTH")
	s.Want(0, "setup", "go", "--undo")
	if got := s.wantTool(".", []string{"example.net"}, "go", "env", "GOAUTH", "GONOSUMDB"); strings.Contains(got, "t2-cred") {
		t.Errorf("undone, go has %s", got)
	}
}

// TestSetupTellsCargo: the real cargo runs the provider, with its arguments, that
// was written below its other settings.
func TestSetupTellsCargo(t *testing.T) {
	needTool(t, "cargo", "cargo")
	registry := &crateRegistry{}
	s := newToolStage(t, registry)
	registry.host = s.server.host
	if home, err := os.UserHomeDir(); err == nil && os.Getenv("RUSTUP_HOME") == "" {
		s.Set("RUSTUP_HOME=" + filepath.Join(home, ".rustup")) // where cargo is rustup's, it asks there
	}
	s.Set("CARGO_HOME="+s.Dir+"/.cargo", "CARGO_HTTP_CAINFO="+s.server.caFile)
	index, _, _ := strings.Cut(s.doc("cargo", "cargo.example.org")[0], "credential-provider")
	s.write(".cargo/config.toml", index)
	owners := []string{"owner", "--list", "--registry", "my-registry", "greeting"}
	s.toldBySetup([]string{"cargo"}, []string{".cargo/config.toml"}, func() {
		s.wantToolFails(".", []string{"my-registry"}, "cargo", owners...)
	}, func() {
		s.wantTool(".", []string{"alice"}, "cargo", owners...)
	})
}

// TestSetupTellsDocker: crane and skopeo get through, by the link that setup made.
func TestSetupTellsDocker(t *testing.T) {
	crane, skopeo := needTool(t, "docker", "bin/crane"), needTool(t, "docker", "skopeo")
	s, f := dockerStage(t)
	image, layer := f.host+"/team/image:1", s.layer()
	s.write(".docker/config.json", "{\n   \"auths\": {},\n   \"credHelpers\": {\"mine.example.org\": \"pass\"}}\n")
	s.toldBySetup([]string{"docker", "--bin-dir", s.bin}, []string{".docker/config.json"}, func() {
		s.wantToolFails(".", nil, crane, "append", "--new_layer", layer, "--new_tag", image)
		s.wantToolFails(".", nil, skopeo, "inspect", "docker://"+image)
		f.want(t, "none")
	}, func() {
		s.wantTool(".", nil, crane, "append", "--new_layer", layer, "--new_tag", image)
		s.wantTool(".", []string{`"Digest"`}, skopeo, "inspect", "docker://"+image)
		f.want(t, "oauth2 alice")
	})
}

// TestSetupTellsKubectl: kubectl gets through in a context of the user's, and our
// user goes even after kubectl wrote the file in its own way.
func TestSetupTellsKubectl(t *testing.T) {
	kubectl := needTool(t, "kubectl", "kubectl/current")
	s := newToolStage(t, kubeAPI())
	s.Unset("SSL_CERT_FILE")
	config := fmt.Sprintf("# mine\napiVersion: v1\nkind: Config\ncurrent-context: eo\ncontexts:\n- context: {cluster: eo, user: t2-gep}\n  name: eo\n"+
		"users:   # of others\n  - name: admin\n    user: {token: none}\nclusters:\n- {name: eo, cluster: {server: 'https://%s', certificate-authority: %s}}\n", s.server.host, s.server.caFile)
	s.write(".kube/config", config)
	who := []string{"auth", "whoami"}
	s.toldBySetup([]string{"kubernetes"}, []string{".kube/config"}, func() {
		s.wantToolFails(".", nil, kubectl, who...)
		for _, line := range s.server.take() {
			if !strings.HasSuffix(line, ": none") {
				t.Errorf("without its user: %s", line)
			}
		}
	}, func() {
		s.wantTool(".", []string{"oidc:alice"}, kubectl, who...)
		s.server.wantRequests(t, "alice")
	})
	s.wantTool(".", nil, kubectl, "config", "set-context", "eo", "--namespace", "eo-processing")
	if strings.Contains(readFile(t, s.Dir+"/.kube/config"), "t2-cred gep begin") {
		t.Error("kubectl keeps comments, and this shows nothing")
	}
	s.wantTool(".", []string{"oidc:alice"}, kubectl, who...)
	s.Want(0, "setup", "kubernetes", "--write") // once more as we write it
	s.wantTool(".", []string{"oidc:alice"}, kubectl, who...)
	s.wantTool(".", nil, kubectl, "config", "set-context", "eo", "--namespace", "default")
	s.Want(0, "setup", "kubernetes", "--undo")
	s.wantTool(".", []string{"admin"}, kubectl, "config", "get-users")
	s.wantToolFails(".", nil, kubectl, who...)
	// A kubeconfig that kubectl made, of no users yet.
	s.Set("KUBECONFIG=" + s.Dir + "/kubeconfig")
	s.wantTool(".", nil, kubectl, "config", "set-cluster", "eo", "--server", "https://"+s.server.host, "--certificate-authority", s.server.caFile)
	made := readFile(t, s.Dir+"/kubeconfig")
	s.Want(0, "setup", "kubernetes", "--write")
	s.wantTool(".", []string{"oidc:alice"}, kubectl, append(who, "--cluster", "eo", "--user", "t2-gep")...)
	s.Want(0, "setup", "kubernetes", "--undo")
	if got := readFile(t, s.Dir+"/kubeconfig"); got != made {
		t.Errorf("undone: %q, not %q", got, made)
	}
}

// TestSetupTellsTerraform: OpenTofu, and Terraform where it is installed, get a
// module; OpenTofu also where it has a file of its own.
func TestSetupTellsTerraform(t *testing.T) {
	tofu := needTool(t, "terraform", "bin/tofu")
	tools := map[string][]string{tofu: {".terraformrc", ".tofurc"}}
	if terraform, err := exec.LookPath("terraform"); err == nil {
		tools[terraform] = []string{".terraformrc"}
	}
	for tool, files := range tools {
		t.Run(filepath.Base(tool), func(t *testing.T) {
			s := newToolStage(t, moduleRegistry(moduleArchive(t).URL+"/greeting.tgz?archive=tar.gz"))
			s.Set("CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1")
			if len(files) > 1 {
				s.write(".tofurc", "# mine\ndisable_checkpoint = true")
			}
			s.write("one/main.tf", fmt.Sprintf("module \"greeting\" {\n  source  = \"%s/acme/greeting/none\"\n  version = \"1.0.0\"\n}\n", s.server.host))
			s.toldBySetup([]string{"terraform"}, files, func() {
				if err := os.RemoveAll(filepath.Join(s.Dir, "one", ".terraform")); err != nil {
					t.Fatal(err)
				}
				s.wantToolFails("one", nil, tool, "init", "-no-color")
				s.server.wantRequests(t, "none")
			}, func() {
				s.wantTool("one", []string{"Downloading"}, tool, "init", "-no-color")
				s.server.wantRequests(t, "alice")
			})
		})
	}
}

// TestSetupTellsPnpm: pnpm installs from the registry.
func TestSetupTellsPnpm(t *testing.T) {
	pnpm := needTool(t, "pnpm", "pnpm-12/pnpm")
	s := newToolStage(t, npmRegistry(t))
	s.Set("NODE_EXTRA_CA_CERTS="+s.server.caFile, "CI=true", "COREPACK_ENABLE_STRICT=0", "npm_config_manage_package_manager_versions=false")
	npmrc := fmt.Sprintf("; mine\nregistry=https://%s/\ncafile=%s\nfetch-retries=0", s.server.host, s.server.caFile)
	s.write(".npmrc", npmrc)
	const auth = ".config/pnpm/auth.ini" // pnpm's own, of which npm does not warn
	install := func() []string {
		dir := t.TempDir() // as if it were the first time
		s.write("one/package.json", `{"name":"user","version":"1.0.0","dependencies":{"greeting":"1.0.0"}}`)
		return []string{"install", "--store-dir", dir + "/store", "--cache-dir", dir + "/cache"}
	}
	s.toldBySetup([]string{"pnpm"}, []string{auth}, func() {
		if err := os.RemoveAll(filepath.Join(s.Dir, "one")); err != nil {
			t.Fatal(err)
		}
		s.wantToolFails("one", nil, pnpm, install()...)
		s.server.wantRequests(t, "none")
	}, func() {
		s.wantTool("one", nil, pnpm, install()...)
		s.server.wantRequests(t, "alice")
	})
	npm := needTool(t, "pnpm", "npm")
	quiet := func() { // npm 11 warns of a tokenHelper in its own file
		if out := s.wantTool(".", nil, npm, "config", "get", "registry"); strings.Contains(out, "tokenHelper") {
			t.Errorf("npm warns: %s", out)
		}
	}
	quiet()
	// An older t2-cred wrote there; the line moves.
	line := strings.Split(readFile(t, s.Dir+"/"+auth), "\n")[1]
	s.write(".npmrc", npmrc+"\n"+line+"\n")
	s.Want(0, "setup", "pnpm", "--write")
	if got := readFile(t, s.Dir+"/.npmrc"); got != npmrc+"\n" {
		t.Errorf("after it moved: %q", got)
	}
	quiet()
}

// TestSetupTellsPython: pip, an old and a new one, and uv install from the index,
// by the link that setup made.
func TestSetupTellsPython(t *testing.T) {
	for _, tool := range []string{"pip-old/bin/pip", "pip-new/bin/pip", "pip-new/bin/uv"} {
		t.Run(tool, func(t *testing.T) {
			program := needTool(t, "pip", tool)
			s := newToolStage(t, pythonIndex(t))
			users := basicUsers(s.server)
			s.Set("PATH="+s.bin+":"+filepath.Dir(program)+":"+os.Getenv("PATH"), "PIP_CERT="+s.server.caFile, "PIP_NO_INPUT=1", "PIP_RETRIES=0",
				"PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_NO_CACHE_DIR=1", "UV_NO_CACHE=1", "UV_PYTHON_DOWNLOADS=never", "UV_HTTP_RETRIES=0")
			s.write(".config/pip/pip.conf", "# mine\n[global]\ntimeout = 20\n")
			s.write(".config/uv/uv.toml", "# mine\n[pip]\nno-build = true\n")
			install := func() []string {
				args := []string{"install", "--index-url", "https://oauth2@" + s.server.host + "/simple/", "--target", t.TempDir(), "greeting"}
				if filepath.Base(tool) == "uv" {
					args = append([]string{"pip"}, args...)
				}
				return args
			}
			s.toldBySetup([]string{"pip", "--bin-dir", s.bin}, []string{".config/pip/pip.conf", ".config/uv/uv.toml"}, func() {
				s.wantToolFails(".", nil, program, install()...)
				s.server.wantRequests(t, "none")
			}, func() {
				s.wantTool(".", nil, program, install()...)
				wantUser(t, s, users, "oauth2")
			})
		})
	}
}

// TestSetupTellsRclone: rclone reads and writes at its remote.
func TestSetupTellsRclone(t *testing.T) {
	rclone := needTool(t, "rclone", "rclone")
	where, _ := webdav(t, rclone)
	s := newToolStage(t, httputil.NewSingleHostReverseProxy(where))
	s.Set("RCLONE_RETRIES=1", "RCLONE_LOW_LEVEL_RETRIES=2")
	s.write("result.txt", "forty-two\n")
	s.wantTool(".", nil, rclone, "config", "create", "data", "webdav", "url", "https://"+s.server.host+"/dav/", "vendor", "other")
	s.wantTool(".", nil, rclone, "config", "create", "elsewhere", "webdav", "url", "https://other.example.org/", "vendor", "other")
	s.toldBySetup([]string{"rclone"}, []string{".config/rclone/rclone.conf"}, func() {
		s.wantToolFails(".", []string{"401"}, rclone, "lsf", "data:")
		s.server.wantRequests(t, "none")
	}, func() {
		s.wantTool(".", nil, rclone, "copyto", "result.txt", "data:result.txt")
		s.wantTool(".", []string{"forty-two"}, rclone, "cat", "data:result.txt")
		s.server.wantRequests(t, "alice")
	})
	// rclone writes its file anew; our line is found all the same.
	s.wantTool(".", nil, rclone, "config", "update", "elsewhere", "url", "https://another.example.org/")
	s.Want(0, "setup", "rclone", "--undo")
	if got := readFile(t, s.Dir+"/.config/rclone/rclone.conf"); strings.Contains(got, "t2-cred") || !strings.Contains(got, "another") {
		t.Errorf("undone: %q", got)
	}
}

// TestSetupTellsGDAL: a raster is read while what setup says to start keeps the
// file fresh, and no other server is told the token.
func TestSetupTellsGDAL(t *testing.T) {
	python := needTool(t, "eo", "venv-eo/bin/python")
	f := &files{content: map[string][]byte{}}
	s := newToolStage(t, f)
	other := newStranger(t, s.server)
	f.content["/scene.tif"] = raster(s, python)
	runtime := t.TempDir() // not in the home: a token is in it by our asking
	s.Set("XDG_RUNTIME_DIR="+runtime, "GDAL_CURL_CA_BUNDLE="+s.server.caFile)
	s.write(".gdal/gdalrc", "[configoptions]\n# mine\nGDAL_CACHEMAX=64")
	_, said, _ := strings.Cut(s.Want(0, "setup", "gdal").Stdout, "\nmkdir ")
	lines := strings.Split("mkdir "+said, "\n")
	s.wantTool(".", nil, "sh", "-c", lines[0])
	watcher := s.Start(run.Cmd{Args: strings.Fields(lines[1])[1:]})
	written(t, filepath.Join(runtime, "t2-cred", "gdal-header"))
	read := func(url string) []string {
		return []string{"-c", `import sys, rasterio; print("sum", rasterio.open("/vsicurl/" + sys.argv[1]).read(1).sum(dtype="int64"))`, url}
	}
	s.server.take()
	s.toldBySetup([]string{"gdal"}, []string{".gdal/gdalrc"}, func() {
		s.wantToolFails(".", []string{"401"}, python, read("https://"+s.server.host+"/scene.tif")...)
		s.server.wantRequests(t, "none")
	}, func() {
		s.wantTool(".", []string{fmt.Sprintf("sum %d\n", 2048*2048*7)}, python, read("https://"+s.server.host+"/scene.tif")...)
		s.server.wantRequests(t, "alice")
		s.wantToolFails(".", nil, python, read(other.url+"/scene.tif")...)
		other.wantNoToken(t)
	})
	stop(t, watcher)
}

// TestSetupTellsAWS: aws-cli uses S3 by the profile that was written.
func TestSetupTellsAWS(t *testing.T) {
	moto := needTool(t, "aws", "aws/bin/moto_server")
	issuer := oidctest.New()
	t.Cleanup(func() { tellLedger(issuer); issuer.Close() })
	s := newAWSStage(t, program(t).NewHome(t).Set("T2_CRED_STORE=file"))
	port := freePort(t)
	startServer(t, "http://127.0.0.1:"+port+"/moto-api/", exec.Command(moto, "-H", "127.0.0.1", "-p", port))
	front := newSTSFront(t, issuer, "http://127.0.0.1:"+port)
	s.Set("AWS_CA_BUNDLE=" + front.caFile)
	s.want([]string{"AWS_ACCESS_KEY_ID=any", "AWS_SECRET_ACCESS_KEY=any", "AWS_ENDPOINT_URL=" + front.URL}, s.python, "-c", motoSetup)
	if err := front.checks("0"); err != nil {
		t.Fatal(err)
	}
	s.Want(0, "store", "init")
	s.Want(0, "profile", "add", "gep", "--issuer", issuer.URL(), "--client-id", oidctest.ClientID, "--audience", oidctest.ClientID,
		"--scope", keycloak.Scopes, "--host", front.host, "--client-secret-file", secretFile(t, issuer.ClientSecret()))
	s.WantDo(0, run.Cmd{Args: []string{"exchange"}, Stdin: issuer.UserToken("alice")})

	// It is a stage of another kind, of the same home.
	stage := &toolStage{Home: s.Home, t: t, server: &bearerServer{}}
	stage.write(".aws/config", "# mine\n[default]\noutput = text\n")
	copying := []string{"--profile", "t2-gep", "s3", "cp", ".aws/config", "s3://results/alice/config"}
	stage.toldBySetup([]string{"aws", "--endpoint", front.URL, "--role-arn", awsRole}, []string{".aws/config"}, func() {
		s.wantFails([]string{"t2-gep"}, s.aws, copying...)
	}, func() {
		s.want(nil, s.aws, copying...)
		if n := len(front.take()); n != 1 {
			t.Errorf("%d requests for keys", n)
		}
	})
}
