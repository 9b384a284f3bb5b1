//go:build unix

package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/helper/safefile"
)

// TestConfig_isOursAlone: a file that others may write can name commands and hosts, so
// it is refused with the command that mends it. A Kubernetes mount is not.
func TestConfig_isOursAlone(t *testing.T) {
	hand, settings := "config.toml", "profiles.d/settings.toml"
	files := map[string]string{hand: sample, settings: "store = 'file'\n", "profiles.d/one.toml": oneProfile}
	for name := range files {
		a := newConfig(t, files)
		paths, _ := a.configFiles()
		path := filepath.Join(filepath.Dir(paths.hand), name)
		if err := os.Chmod(path, 0o646); err != nil {
			t.Fatal(err)
		}
		_, err := a.loadConfig()
		code, _ := classify(err)
		if !errors.Is(err, safefile.ErrNotOurs) || code != exitConfig || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: code %d, %v", name, code, err)
		}
		if todo := a.hintFor(err); !strings.HasPrefix(todo, "chmod ") || !strings.Contains(todo, path) {
			t.Errorf("%s: hint %q", name, todo)
		}
		if a.flags.profile = "one"; name != "config.toml" {
			if _, _, err := a.loadProfile(); !errors.Is(err, safefile.ErrNotOurs) {
				t.Errorf("%s: a get has %v", name, err)
			}
		}
	}

	a := newConfig(t, files)
	paths, _ := a.configFiles()
	if err := os.Chmod(paths.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := a.loadConfig(); !errors.Is(err, safefile.ErrNotOurs) {
		t.Errorf("a directory that others may write: %v", err)
	}
	if err := os.Chmod(paths.dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	// As Kubernetes mounts a ConfigMap: files are links into ..data, a link itself.
	data := filepath.Join(paths.dir, "..2026_11_30")
	if err := errors.Join(os.Mkdir(data, 0o755), os.Rename(paths.profile("one"), filepath.Join(data, "one.toml")),
		os.Symlink("..2026_11_30", filepath.Join(paths.dir, "..data")), os.Symlink("..data/one.toml", paths.profile("one"))); err != nil {
		t.Fatal(err)
	}
	if c, err := a.loadConfig(); err != nil || c.Profiles["one"].ClientID != "one" {
		t.Errorf("a mounted ConfigMap: %+v, %v", c, err)
	}
}
