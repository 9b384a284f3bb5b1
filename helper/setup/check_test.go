package setup

import (
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/terradue/t2-cred/helper"
)

// TestCheck: after setup a person, or another program, changes the tools' files.
func TestCheck(t *testing.T) {
	home := t.TempDir()
	e := Env{Getenv: func(name string) string { return map[string]string{"HOME": home}[name] }, GOOS: "linux", Program: "/opt/t2-cred", BinDir: filepath.Join(home, "bin")}
	served := helper.Profile{Hosts: []string{"one.example.org"}}
	p := Profile{Name: "gep", Flags: []string{"--profile", "gep"}, Hosts: served.Hosts, Serves: func(u *url.URL) bool { return served.Serves(u) }}
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = f.WriteString(text)
		}
		if err != nil || f.Close() != nil {
			t.Fatal(err)
		}
	}
	write(".npmrc", "//one.example.org/npm/:_authToken=npm_qLw0Xr2pTz9KmVb7YcDf4Hs8\n") // but pnpm was not told
	for _, name := range []string{"git", "terraform", "go", "docker", "pip"} {
		tool, _ := Find(name)
		plan, err := tool.Plan(e, p, Options{})
		if err == nil {
			_, err = tool.Write(e, plan)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if found := Check(e, p); len(found) > 0 {
		t.Errorf("with nothing in the way: %q", found)
	}
	write(".gitconfig", "[credential]\n\thelper = /usr/local/bin/t2-cred\n")
	write(".terraformrc", "credentials \"one.example.org\" {\n}\n")
	write(".config/go/env", "GOAUTH=netrc\n")
	write(".config/pip/pip.conf", "[global]\ntimeout = 20\n")
	want := map[string]string{
		"git":       "credential.helper = /usr/local/bin/t2-cred lacks the word git, so git would get a bare token, for any host",
		"terraform": "it has credentials for one.example.org, which are taken instead",
		"go":        "it already has a GOAUTH, which is not t2-cred's",
		"pip":       "line 5: duplicate section [global]",
	}
	found := Check(e, p)
	for _, f := range found {
		if f.Detail != want[f.Tool] || !filepath.IsAbs(f.File) {
			t.Errorf("%q", f)
		}
		delete(want, f.Tool)
	}
	if len(want) > 0 {
		t.Errorf("not found: %q", want)
	}
}
