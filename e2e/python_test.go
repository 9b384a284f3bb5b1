package e2e

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/e2e/keycloak"
)

// TestPython is the module of the wheel, installed in a new environment, with the real
// binary against a real Keycloak.
func TestPython(t *testing.T) {
	s := newPythonStage(t, server(t).NewRealm(t, keycloak.Legacy), "venv-python")
	s.pytest(129, "test_get.py", "test_auth.py", "test_odd_places.py", "test_requests.py", "test_httpx.py", "test_rasters.py", "test_keyring.py")
}

// TestPython_rotation: where each refresh token is good for one use, the same holds.
func TestPython_rotation(t *testing.T) {
	s := newPythonStage(t, server(t).NewRealm(t, keycloak.Rotation), "venv-python")
	s.pytest(20, "test_auth.py", "test_requests.py")
	if n := s.realm.RefreshErrors(); n > 0 {
		t.Errorf("the server refused %d refreshes", n)
	}
}

// TestPython_objects: boto3 and obstore at a MinIO that trusts the Keycloak.
func TestPython_objects(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Legacy)
	endpoint, said := startMinIO(t, realm, "MINIO_IDENTITY_OPENID_ROLE_POLICY=readwrite")
	s := newPythonStage(t, realm, "venv-python")
	s.Want(0, "profile", "edit", "gep", "--host", strings.TrimPrefix(endpoint, "http://"))
	s.Set("T2_TEST_MINIO="+endpoint, "T2_TEST_MINIO_ROLE="+awaitRole(t, said), "AWS_EC2_METADATA_DISABLED=true")
	s.pytest(6, "test_objects.py")
}

// wheelTargets are the systems of a release, and the tags of their wheels.
var wheelTargets = map[string]string{
	"linux/amd64":   "manylinux_2_17_x86_64.manylinux2014_x86_64.musllinux_1_1_x86_64",
	"linux/arm64":   "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64",
	"darwin/amd64":  "macosx_12_0_x86_64",
	"darwin/arm64":  "macosx_12_0_arm64",
	"windows/amd64": "win_amd64",
	"windows/arm64": "win_arm64",
}

// TestPythonWheel_everySystem: the wheel of each system has the tag of its binary, by
// which pip finds it there.
func TestPythonWheel_everySystem(t *testing.T) {
	needTool(t, "python", "venv-python/bin/python3")
	platforms := map[string]string{
		"linux/amd64": "manylinux2014_x86_64 manylinux_2_17_x86_64 musllinux_1_1_x86_64", "linux/arm64": "manylinux2014_aarch64 musllinux_1_1_aarch64",
		"darwin/amd64": "macosx_13_0_x86_64", "darwin/arm64": "macosx_14_0_arm64", "windows/amd64": "win_amd64", "windows/arm64": "win_arm64",
	}
	for target, tag := range wheelTargets {
		t.Run(strings.ReplaceAll(target, "/", "-"), func(t *testing.T) {
			goos, goarch, _ := strings.Cut(target, "/")
			binary := filepath.Join(t.TempDir(), "t2-cred")
			// An empty program: the binary says for which system it is, and nothing else counts.
			build := exec.Command("go", "build", "-buildvcs=false", "-ldflags=-s -w", "-o", binary, "./cmd/bench/empty")
			build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch)
			outputOf(t, build)
			wheel := buildWheel(t, binary)
			if name := "t2_cred-0.9.0-py3-none-" + tag + ".whl"; filepath.Base(wheel) != name {
				t.Errorf("the wheel is %s, want %s", filepath.Base(wheel), name)
			}
			wantRecorded(t, wheel, binary, goos)
			pip := needTool(t, "python", "venv-python/bin/pip")
			for platform := range strings.FieldsSeq(platforms[target]) {
				dir := t.TempDir()
				outputOf(t, exec.Command(pip, "download", "-q", "--disable-pip-version-check", "--no-index", "--no-deps", "--only-binary=:all:",
					"--platform", platform, "--find-links", filepath.Dir(wheel), "-d", dir, "t2-cred"))
			}
		})
	}
}

// wantRecorded wants a wheel to have what its RECORD says, and the binary with its mode.
func wantRecorded(t *testing.T, wheel, binary, goos string) {
	t.Helper()
	z, err := zip.OpenReader(wheel)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = z.Close() }()
	content := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		content[f.Name] = string(b)
		script := strings.Contains(f.Name, ".data/scripts/")
		if want := map[bool]os.FileMode{true: 0o755, false: 0o644}[script]; f.Mode() != want || f.Modified.UTC().Unix()/2 != 1767323045/2 {
			t.Errorf("%s has mode %o and time %s", f.Name, f.Mode(), f.Modified)
		}
	}
	name := "t2_cred-0.9.0.data/scripts/t2-cred"
	if goos == "windows" {
		name += ".exe"
	}
	if content[name] != readFile(t, binary) {
		t.Errorf("%s is not the binary", name)
	}
	record := content["t2_cred-0.9.0.dist-info/RECORD"]
	for name, text := range content {
		sum := sha256.Sum256([]byte(text))
		line := fmt.Sprintf("%s,sha256=%s,%d\n", name, base64.RawURLEncoding.EncodeToString(sum[:]), len(text))
		if !strings.HasSuffix(name, "/RECORD") && !strings.Contains(record, line) {
			t.Errorf("RECORD lacks %s", line)
		}
	}
	if n := strings.Count(record, "\n"); n != len(content) {
		t.Errorf("RECORD has %d lines for %d files", n, len(content))
	}
}

// TestPythonWheel_static: pip puts a binary on PATH that needs no library, so that it
// runs on musl as on glibc; one that is linked dynamically is refused.
func TestPythonWheel_static(t *testing.T) {
	wheel := buildWheel(t, program(t).Path)
	bin := installWheel(t, wheel, "venv-python")
	path := filepath.Join(bin, "t2-cred")
	wantStatic(t, path, filepath.Dir(wheel))
	cmd := exec.Command(path, "version")
	cmd.Env = []string{}
	if out := outputOf(t, cmd); !strings.HasPrefix(out, "t2-cred ") {
		t.Errorf("it says %q", out)
	}
	dynamic, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	wantBuildFails(t, "linked dynamically", "wheel", "--binary", dynamic, "--version", "1.0", "--out", t.TempDir())
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"+strings.Repeat("#", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	wantBuildFails(t, "for no platform", "wheel", "--binary", script, "--version", "1.0", "--out", t.TempDir())
	wantBuildFails(t, "PEP 440", "wheel", "--binary", path, "--version", "next", "--out", t.TempDir())
}

func wantBuildFails(t *testing.T, words string, args ...string) {
	t.Helper()
	out, err := wheelCommand(t, args...).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), words) || strings.Contains(string(out), "Traceback") {
		t.Errorf("%q: %v, %s", args, err, out)
	}
}

// TestPythonWheel_sameBytesAgain: the time, the umask and the language change no byte.
func TestPythonWheel_sameBytesAgain(t *testing.T) {
	dirs := []string{t.TempDir(), t.TempDir()}
	for i, dir := range dirs {
		for _, what := range []string{"wheel", "sdist"} {
			cmd := wheelCommand(t, what, "--binary", program(t).Path, "--version", releaseTag+"-rc.1", "--out", dir)
			if i == 1 {
				cmd.Args = append([]string{"/bin/sh", "-c", `umask 077; exec "$@"`, "sh"}, cmd.Args...)
				cmd.Path = "/bin/sh"
				cmd.Env = append(cmd.Env, "TZ=Pacific/Auckland", "LANG=tr_TR.UTF-8", "PYTHONHASHSEED=1")
			}
			outputOf(t, cmd)
		}
	}
	files, err := os.ReadDir(dirs[0])
	if err != nil || len(files) != 2 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		if !strings.Contains(f.Name(), "0.9.0rc1") || readFile(t, filepath.Join(dirs[0], f.Name())) != readFile(t, filepath.Join(dirs[1], f.Name())) {
			t.Errorf("%s is another one", f.Name())
		}
	}
}

// TestPythonSdist: pip builds the source distribution with Go, and without Go says
// what to do.
func TestPythonSdist(t *testing.T) {
	dir := t.TempDir()
	outputOf(t, wheelCommand(t, "sdist", "--version", releaseTag, "--out", dir))
	sdist := filepath.Join(dir, "t2_cred-0.9.0.tar.gz")
	var names []string
	for r := tar.NewReader(strings.NewReader(unpacked(t, sdist))); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, strings.TrimPrefix(h.Name, "t2_cred-0.9.0/"))
	}
	for _, want := range []string{"PKG-INFO", "README.md", "pyproject.toml", "LICENSE", "src/t2cred/py.typed", "go/main.go", "go/go.sum", "go/store/store.go"} {
		if !slices.Contains(names, want) {
			t.Errorf("it lacks %s", want)
		}
	}
	outputOf(t, exec.Command(needTool(t, "python", "venv-python/bin/twine"), "check", "--strict", sdist, buildWheel(t, program(t).Path)))
	pip := needTool(t, "python", "venv-python/bin/pip")
	build := func(path string) (string, error) {
		cmd := exec.Command(pip, "wheel", "--disable-pip-version-check", "--no-index", "--no-deps", "-w", filepath.Join(dir, "built"), sdist)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "PATH="+path)
		var b bytes.Buffer
		cmd.Stdout, cmd.Stderr = &b, &b
		err := cmd.Run()
		return b.String(), err
	}
	if out, err := build(t.TempDir()); err == nil || !strings.Contains(out, "building from the source distribution needs Go") || !strings.Contains(out, "https://go.dev/dl") {
		t.Errorf("without Go: %v\n%s", err, out)
	}
	if out, err := build(os.Getenv("PATH")); err != nil {
		t.Fatalf("with Go: %v\n%s", err, out)
	}
	built, err := filepath.Glob(filepath.Join(dir, "built", "t2_cred-0.9.0-*.whl"))
	if err != nil || len(built) != 1 {
		t.Fatalf("built: %q, %v", built, err)
	}
	bin := installWheel(t, built[0], "venv-python")
	if out := outputOf(t, exec.Command(filepath.Join(bin, "python3"), "-m", "t2cred", "version")); !strings.HasPrefix(out, "t2-cred ") {
		t.Errorf("it says %q", out)
	}
}

// TestRelease_wheels: a release has the wheels of its systems and the source
// distribution, with their checksums, and the licences of what is linked in.
func TestRelease_wheels(t *testing.T) {
	r := released(t)
	sums := readFile(t, filepath.Join(r.dist, "checksums.txt"))
	for _, name := range []string{
		"t2_cred-0.9.0-py3-none-" + wheelTargets["linux/amd64"] + ".whl", "t2_cred-0.9.0-py3-none-win_amd64.whl", "t2_cred-0.9.0.tar.gz",
	} {
		if _, err := os.Stat(filepath.Join(r.dist, "python", name)); err != nil || !strings.Contains(sums, "  "+name+"\n") {
			t.Errorf("%s: %v, and the checksums are\n%s", name, err, sums)
		}
	}
	wheel := filepath.Join(r.dist, "python", "t2_cred-0.9.0-py3-none-"+wheelTargets["linux/amd64"]+".whl")
	names := zipOf(t, wheel)
	if !slices.Contains(names, "t2_cred-0.9.0.dist-info/licenses/THIRD-PARTY-LICENSES") {
		t.Errorf("the wheel has %q", names)
	}
	if got := versionOf(t, filepath.Join(installWheel(t, wheel, "venv-python"), "t2-cred")); got != releaseTag {
		t.Errorf("the command says %s", got)
	}
}
