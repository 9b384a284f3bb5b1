package setup

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestBareGitHelpers(t *testing.T) {
	home := t.TempDir()
	file := filepath.Join(home, ".gitconfig")
	env := Env{Getenv: func(name string) string { return map[string]string{"HOME": home, "GIT_CONFIG_GLOBAL": file}[name] }, GOOS: "linux"}
	if found, err := env.BareGitHelpers(); err != nil || len(found) > 0 {
		t.Errorf("without a file: %q, %v", found, err)
	}
	const text = `[credential]
	helper = store
	helper = /usr/local/bin/t2-cred
	helper = /usr/local/bin/t2-cred git --profile gep
	helper = t2
	helper = "!t2-cred --profile gep get"
	helper = !t2-cred git
	helper = /usr/local/bin/git-credential-t2
[credential "https://one.example.org"]
	helper = C:/tools/t2-cred.exe
	username = /usr/local/bin/t2-cred
	helper = /opt/t2-cred --profile gep
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	want := []string{
		file + ": credential.helper = /usr/local/bin/t2-cred",
		file + ": credential.helper = !t2-cred --profile gep get",
		file + ": credential.https://one.example.org.helper = C:/tools/t2-cred.exe",
		file + ": credential.https://one.example.org.helper = /opt/t2-cred --profile gep",
	}
	if found, err := env.BareGitHelpers(); err != nil || !slices.Equal(found, want) {
		t.Errorf("%q, %v; want %q", found, err, want)
	}
	if err := os.WriteFile(file, []byte("if x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if found, err := env.BareGitHelpers(); err == nil {
		t.Errorf("of a file that git cannot read: %q", found)
	}
}
