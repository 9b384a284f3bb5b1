package cli

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestExcerpt_isKeptAsLongAsTheFileIsTheSame: what is kept serves, and never for a
// file that has changed since.
func TestExcerpt_isKeptAsLongAsTheFileIsTheSame(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.toml")
	now := time.Now()
	a := &app{Env: Env{Now: func() time.Time { return now }, Getenv: func(name string) string {
		return map[string]string{"HOME": dir, "XDG_CACHE_HOME": dir}[name]
	}}}
	write := func(client string, age time.Duration) {
		t.Helper()
		var b strings.Builder
		b.WriteString("default_profile = \"p7\"\n")
		for n := range 200 {
			fmt.Fprintf(&b, "\n[profiles.p%d]\nissuer = \"https://iam.example.org\"\nclient_id = \"%s\"\n", n, client)
		}
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	client := func(profile, want string) {
		t.Helper()
		c := a.loadExcerpt(path, profile)
		if c == nil || c.Profiles[or(profile, "p7")].ClientID != want {
			t.Fatalf("profile %q: want client %s in %+v", profile, want, c)
		}
	}
	files := func() []string {
		found, _ := filepath.Glob(filepath.Join(dir, "*", "config", "config-*.toml"))
		return found
	}

	write("one", 0)
	client("", "one")
	if kept := files(); len(kept) != 0 {
		t.Fatalf("kept of a file that may be written again within the clock's step: %q", kept)
	}
	write("one", time.Hour)
	client("", "one")
	client("p9", "one")
	kept := files()
	if len(kept) != 2 {
		t.Fatalf("kept are %q", kept)
	}
	for _, file := range kept { // so that it can be told from the configuration
		text, err := os.ReadFile(file)
		if err != nil || os.WriteFile(file, []byte(strings.Replace(string(text), `"one"`, `"kept"`, 1)), 0o600) != nil {
			t.Fatal(err)
		}
	}
	client("", "kept")
	client("p9", "kept")
	if c := a.loadExcerpt(path, "../p9"); c != nil {
		t.Errorf("a profile of that name: %+v", c)
	}

	write("two", 30*time.Minute)
	client("p9", "two")
	write("six", 30*time.Minute) // of the same size, and the time put back
	client("p9", "six")
	if err := os.WriteFile(kept[0], []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	client("", "six")
	client("p9", "six")
	for _, file := range files() {
		info, err := os.Stat(file)
		if err != nil || info.Mode() != fs.FileMode(0o600) {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
}
