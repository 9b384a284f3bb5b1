package cli

import (
	"path/filepath"
	"testing"
)

func TestIsTilde(t *testing.T) {
	t.Chdir(t.TempDir())
	for path, want := range map[string]bool{
		"~/x": true, "~": true, "~ann/x": true, "": false, "x": false, "/~/x": false, "a~/x": false, "~x": false, "./~/x": false,
	} {
		if got := isTilde(path); got != want {
			t.Errorf("%q: %v", path, got)
		}
	}
}

func TestFromHome(t *testing.T) {
	home := t.TempDir()
	for path, want := range map[string]string{"~/k.pem": filepath.Join(home, "k.pem"), "k.pem": "k.pem", "~ann/k": "~ann/k", "": ""} {
		a := &app{Env: Env{Getenv: func(name string) string { return map[string]string{"HOME": home}[name] }}}
		if got := a.fromHome(path); got != want {
			t.Errorf("%q is %q, not %q", path, got, want)
		}
		a.Getenv = func(string) string { return "" }
		if got := a.fromHome(path); got != path {
			t.Errorf("without a home, %q is %q", path, got)
		}
	}
}
