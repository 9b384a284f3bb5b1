package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/e2e/parts"
)

// TestMore_musl: pip of a Python on musl takes the wheel, and what it installs hands out
// a token there. The same file without its tag for musl is refused, so the tag decides.
func TestMore_musl(t *testing.T) {
	parts.More(t)
	base := needTool(t, "more/musl", "python-musl/bin/python3")
	venv := filepath.Join(t.TempDir(), "venv")
	outputOf(t, exec.Command(base, "-m", "venv", venv))
	python := filepath.Join(venv, "bin", "python3")
	if loader := outputOf(t, exec.Command("readelf", "--program-headers", python)); !strings.Contains(loader, "/ld-musl-") {
		t.Fatalf("%s is not a Python on musl:\n%s", python, loader)
	}
	wheel := buildWheel(t, program(t).Path)
	install := func(wheel string) *exec.Cmd {
		return exec.Command(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-index", wheel)
	}
	glibc := filepath.Join(t.TempDir(), "t2_cred-0.9.0-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl")
	outputOf(t, exec.Command("cp", wheel, glibc))
	if out, err := install(glibc).CombinedOutput(); err == nil || !strings.Contains(string(out), "not a supported wheel on this platform") {
		t.Errorf("without the tag for musl: %v\n%s", err, out)
	}
	outputOf(t, install(wheel))
	p := newGitPlace(t, "")
	out := p.want("env", "PATH="+filepath.Join(venv, "bin"), "python3", "-c", `
import shutil, t2cred
assert shutil.which("t2-cred") == t2cred._command.program(), t2cred._command.program()
token = t2cred.get(profile="gep", fresh=True)
assert token.access_token.count(".") == 2 and token.expires_in > 0
print(t2cred.status()["username"], t2cred._command.program())
`)
	if out != "alice "+filepath.Join(venv, "bin", "t2-cred")+"\n" {
		t.Errorf("it says %q", out)
	}
}
