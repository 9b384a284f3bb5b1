package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

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

// TestSetupTellsGo: the real go reads what was written, keeps it when it writes the
// file itself, and has its default back afterwards.
func TestSetupTellsGo(t *testing.T) {
	program, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	p := newGitPlace(t, "")
	goTool := func(args ...string) string {
		t.Helper()
		return strings.TrimSpace(p.want("env", append([]string{"GOTOOLCHAIN=local", program}, args...)...))
	}
	before := goTool("env", "GOAUTH")
	p.want("t2-cred", "setup", "go", "--write")
	want := p.home + "/bin/t2-cred goauth --profile gep; netrc"
	if got := goTool("env", "GOAUTH"); got != want {
		t.Errorf("GOAUTH is %q, not %q", got, want)
	}
	goTool("env", "-w", "GOFLAGS=-mod=mod")
	if got := goTool("env", "GOAUTH"); got != want {
		t.Errorf("after go env -w GOAUTH is %q, not %q", got, want)
	}
	p.want("t2-cred", "setup", "go", "--undo")
	if got := goTool("env", "GOAUTH"); got != before {
		t.Errorf("undone, GOAUTH is %q, not %q", got, before)
	}
	if got := goTool("env", "GOFLAGS"); got != "-mod=mod" {
		t.Errorf("undone, GOFLAGS is %q", got)
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
	config := s.write(".cargo/config.toml", index)
	owners := []string{"owner", "--list", "--registry", "my-registry", "greeting"}
	s.wantToolFails(".", []string{"my-registry"}, "cargo", owners...)
	s.Want(0, "setup", "cargo", "--write")
	s.wantTool(".", []string{"alice"}, "cargo", owners...)
	s.Want(0, "setup", "cargo", "--undo")
	if got := readFile(t, config); got != index {
		t.Errorf("undone: %q", got)
	}
	s.wantToolFails(".", []string{"my-registry"}, "cargo", owners...)
}
