package cli

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/secret"
)

// A killed writer leaves at most one file, which the next one takes over. What
// killed writers of older releases left is removed; those at work and files of
// others are left alone.
func TestWrite_sweepsUp(t *testing.T) {
	dir := t.TempDir()
	old := time.Now().Add(-time.Hour)
	for name, age := range map[string]time.Time{
		".token.123.t2-cred.tmp": old, ".token.456.t2-cred.tmp": time.Now(), ".other.1.t2-cred.tmp": old, ".token.notes": old,
		".token.t2-cred.tmp": time.Now(), // of this release, killed just now
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, age, age); err != nil {
			t.Fatal(err)
		}
	}
	a := &app{Env: Env{Now: time.Now}}
	c := helper.Credential{Token: secret.Secret("Vb7ehBcWmqBNzmQjPmUpTCpVbwmcnJZn"), Expiry: time.Now().Add(time.Hour)}
	if err := a.writeToken(filepath.Join(dir, "token"), formats["token"], helper.Profile{}, c); err != nil {
		t.Fatal(err)
	}
	want := []string{".other.1.t2-cred.tmp", ".token.456.t2-cred.tmp", ".token.notes", "token"}
	if got := names(t, dir); !slices.Equal(got, want) {
		t.Errorf("there are %q, want %q", got, want)
	}
}

func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
