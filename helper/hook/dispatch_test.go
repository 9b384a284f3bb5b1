package hook

import (
	"errors"
	"strings"
	"testing"
)

func TestCalled(t *testing.T) {
	for argv0, want := range map[string]string{
		"t2-cred": "", "/usr/local/bin/t2-cred": "", "T2-CRED.EXE": "", "t2-cred-1.0": "", "": "", "cred": "", "git": "", "docker": "", "kubectl": "",
		"git-credential-t2": "git", "/x/git-credential-gep": "git", "GIT-CREDENTIAL-T2.EXE": "git", "git-credential-": "git", "git-credential": "git", "git-credential-t2-extra": "git",
		"docker-credential-t2": "docker", "docker-credential-t2.exe": "docker", "docker-credential-t2.EXE": "docker", "Docker-Credential-Gep.Exe": "docker", "docker-credential-t2.exe.bak": "docker",
		"terraform-credentials-t2": "terraform", "terraform-credentials-t2_v1.0.0": "terraform", "terraform-credentials-gep": "terraform",
		"pnpm-credential-t2": "pnpm", "PNPM-credential-x": "pnpm", "bazel-credential-t2": "bazel", "bazel-credential-a.b": "bazel",
		"keyring": "keyring", "KEYRING.exe": "keyring", "keyring-t2": "", "mykeyring": "",
	} {
		if got, err := Called(argv0); got != want || err != nil {
			t.Errorf("%q: %q, %v, not %q", argv0, got, err, want)
		}
	}
	for _, argv0 := range []string{"helm-credential-t2", "terraform-credential-t2", "git-credentials-t2", "svn-credential", "MY-Credentials-x.EXE", "t2-credential-provider"} {
		if got, err := Called(argv0); got != "" || !errors.Is(err, ErrUsage) {
			t.Errorf("%q: %q, %v", argv0, got, err)
		}
	}
}

// FuzzCalled: a name with a tool's beginning is that tool's hook or refused.
func FuzzCalled(f *testing.F) {
	for _, name := range []string{"git-credential-t2", "/a/docker-credential-X.EXE", `C:\bazel-credential-t2.exe`, "t2-cred", "keyring"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, argv0 string) {
		name, err := Called(argv0)
		program := strings.ToLower(argv0[strings.LastIndexByte(argv0, '/')+1:])
		if err == nil && name == "" && strings.HasPrefix(program, "git-credential-") {
			t.Fatalf("%q would be t2-cred", argv0)
		}
		if err != nil && strings.ContainsFunc(err.Error(), isControl) {
			t.Fatalf("%q: %q", argv0, err)
		}
	})
}

func TestRecognize(t *testing.T) {
	for text, want := range map[string]string{
		"protocol=https\nhost=git.example.org\n\n":                                      "git",
		"capability[]=authtype\ncapability[]=state\n":                                   "git",
		"url=https://git.example.org/a\nprotocol=https\nhost=git.example.org\n":         "git",
		"username=alice\npassword=long-password-0123\nprotocol=https\nhost=a.example\n": "git",
		`{"uri":"https://cache.example.org/"}`:                                          "bazel",
		" \r\n{\n  \"uri\" : \"https://cache.example.org/\"":                            "bazel",
		"HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Bearer\n\n":                       "goauth",
		"": "", "\n": "", "{}": "", "hello": "", "https://example.org/\n": "", `"uri"`: "", "http/1.1": "",
		"password=x\n": "", "host=a\nport=5432\n": "", "PATH=/bin\nprotocol=x\nhost=y\n": "", "# a comment\nprotocol=https\nhost=a\n": "",
	} {
		if got := Recognize([]byte(text)); got != want {
			t.Errorf("%q: %q, not %q", text, got, want)
		}
	}
}
