package cli

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestMeantVariable(t *testing.T) {
	known, others := variables(Commands())
	for name, want := range map[string]string{
		"T2_CRED_PROFIL": "T2_CRED_PROFILE", "T2_CRED_PROFILES": "T2_CRED_PROFILE", "T2_CRED_PROFILE_NAME": "T2_CRED_PROFILE",
		"t2_cred_profile": "T2_CRED_PROFILE", "T2CRED_PROFILE": "T2_CRED_PROFILE", "T2_CREDS_PROFILE": "T2_CRED_PROFILE", "T2_CRED_profile": "T2_CRED_PROFILE",
		"T2_CRED_ACOUNT": "T2_CRED_ACCOUNT", "T2_CRED_USER": "T2_CRED_ACCOUNT", "T2_CRED_CONFIG_FILE": "T2_CRED_CONFIG", "T2_CRED_CONFIG_DIR": "T2_CRED_CONFIG",
		"T2_CRED_CACERT": "T2_CRED_CA_FILE", "T2_CRED_IDENTITY": "T2_CRED_IDENTITY_FILE", "T2_CRED_DEBUG": "T2_CRED_VERBOSE", "T2_CRED_BACKEND": "T2_CRED_STORE",
		"T2_CRED_TIMEOUTS": "T2_CRED_TIMEOUT", "T2_CRED_NO_COLOR": "NO_COLOR", "T2_CRED_NO_PROXY": "NO_PROXY",
		"T2_CRED_ISSUER": "", "T2_CRED_CLIENT_SECRET": "", "T2_CRED_TOKEN": "", "T2_OTHER": "", "T2_CRED_FOO": "",
	} {
		if got := meantVariable(name, known, others); got != want {
			t.Errorf("%s is taken for %q, not %q", name, got, want)
		}
	}
}

func TestUnread(t *testing.T) {
	a := &app{Env: Env{Environ: func() []string {
		return []string{"=C:=C:\\", "T2_CRED_PROFILE=a", "T2_CRED_FOO=", "T2_CRED_STOR=file", "T2CRED_JSON=1", "T2_OTHER=1", "T2=1", "T2_CRED_X=1", "HOME=/h"}
	}}}
	var names []string
	for _, u := range a.unread(Commands()) {
		names = append(names, u.Name+" "+u.Meant)
	}
	if want := []string{"T2CRED_JSON T2_CRED_JSON", "T2_CRED_STOR T2_CRED_STORE", "T2_CRED_X "}; !slices.Equal(names, want) {
		t.Errorf("%q are found, not %q", names, want)
	}
	if found := (&app{}).unread(Commands()); found != nil {
		t.Errorf("without an environment, %v are found", found)
	}
}

// TestUnread_namesInUse: no variable that a file of the repository names troubles anybody.
func TestUnread_namesInUse(t *testing.T) {
	known, _ := variables(Commands())
	name, found := regexp.MustCompile(`\bT2_CRED_[A-Z0-9_]+`), map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if d != nil && (d.Name() == ".git" || d.Name() == "bin" || d.Name() == "node_modules") {
				return filepath.SkipDir
			}
			return err
		}
		if !d.Type().IsRegular() || d.Name() == "variables.txtar" || d.Name() == "unread_test.go" {
			return nil // they name what nobody reads
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, n := range name.FindAllString(string(text), -1) {
			if n = strings.TrimRight(n, "_"); !slices.Contains(known, n) && n != strings.TrimRight(ownPrefix, "_") {
				t.Errorf("%s names %s, which is neither read nor in notForUs", path, n)
			}
			found[n] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range known {
		if !found[k] {
			t.Errorf("nothing names %s", k)
		}
	}
}
