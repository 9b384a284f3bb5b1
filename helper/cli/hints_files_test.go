package cli

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// TestHints_everyFailureHasOne: whatever is wrong with a file of ours, a command that fails
// has printed nothing on standard output, and its last line says what to type. When the
// file is back, the grant is as good as before.
func TestHints_everyFailureHasOne(t *testing.T) {
	h := newHomeWith(t, oidctest.Refresh(oidctest.Revoke))
	h.addProfile("openid email profile offline_access ellip gep", "--audience", oidctest.ClientID)
	if code := h.run("exchange", "--token-file", h.userToken("alice")); code != exitOK {
		t.Fatalf("exchange: %d, %s", code, h.stderr.String())
	}
	var files []string
	err := filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && !strings.HasSuffix(path, ".lock") && filepath.Dir(path) != h.dir {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) < 8 {
		t.Fatalf("%d files: %v, %v", len(files), files, err)
	}
	hinted, failed := regexp.MustCompile(`(?m)^t2-cred: .*\nhint: .+\n\z`), 0
	for _, path := range files {
		if strings.HasSuffix(path, "grant,gep,default.age") {
			continue // the grant itself
		}
		for name, spoil := range map[string]func() error{
			"empty":       func() error { return os.WriteFile(path, nil, 0o600) },
			"too large":   func() error { return os.WriteFile(path, bytes.Repeat([]byte{' '}, 20<<20), 0o600) },
			"a directory": func() error { return os.Mkdir(path, 0o700) },
		} {
			saved := path + ".saved"
			if err := os.Rename(path, saved); err != nil {
				t.Fatal(err)
			}
			if err := spoil(); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"get"}, {"get", "--fresh"}, {"status"}} {
				code := h.run(args...)
				if code == exitOK {
					continue
				}
				failed++
				if said := h.stderr.String(); !hinted.MatchString(said) || h.stdout.Len() > 0 {
					t.Errorf("%s is %s: %q ends with %d, %d bytes and %s", filepath.Base(path), name, args, code, h.stdout.Len(), said)
				}
			}
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(saved, path); err != nil {
				t.Fatal(err)
			}
			if code := h.run("get", "--fresh"); code != exitOK {
				t.Fatalf("%s was %s, and the grant is gone: %d, %s", filepath.Base(path), name, code, h.stderr.String())
			}
		}
	}
	if failed < 20 {
		t.Errorf("only %d commands failed, so this shows little", failed)
	}
}
