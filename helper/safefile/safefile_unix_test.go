//go:build unix

package safefile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terradue/t2-cred/helper/safefile"
)

// A pipe, which opening would wait for, is refused at once.
func TestRead_aPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := safefile.Read(path, safefile.Want{Max: 100})
		done <- err
	}()
	select {
	case err := <-done:
		if !errors.Is(err, safefile.ErrNotRegular) {
			t.Errorf("Read = %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("it waits for a writer")
	}
}

func TestRead_trust(t *testing.T) {
	for _, tt := range []struct {
		dir, file fs.FileMode
		trust     safefile.Trust
		ok        bool
	}{
		{0o755, 0o644, safefile.Anyone, true},
		{0o777, 0o666, safefile.Anyone, true},
		{0o755, 0o644, safefile.Ours, true},
		{0o755, 0o646, safefile.Ours, false},
		{0o757, 0o644, safefile.Ours, false},
		{0o757 | fs.ModeSticky, 0o644, safefile.Ours, true},
		{0o755, 0o644, safefile.Private, false},
		{0o755, 0o600, safefile.Private, true},
		{0o757, 0o600, safefile.Private, false},
	} {
		dir := filepath.Join(t.TempDir(), "dir")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		path := write(t, filepath.Join(dir, "file"), "x", tt.file)
		if err := os.Chmod(dir, tt.dir); err != nil {
			t.Fatal(err)
		}
		_, err := safefile.Read(path, safefile.Want{Max: 100, Trust: tt.trust})
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, safefile.ErrNotOurs) {
			t.Errorf("%v in %v, trust %d: %v", tt.file, tt.dir, tt.trust, err)
		}
	}
}
