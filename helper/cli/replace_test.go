package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestReplaceFile_readersSeeItWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	a, b := bytes.Repeat([]byte("a"), 9000), bytes.Repeat([]byte("b"), 7000)
	if err := replaceFile(path, a); err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	stop := make(chan struct{})
	for _, content := range [][]byte{a, b} {
		writers.Go(func() {
			for range 50 {
				if err := replaceFile(path, content); err != nil {
					t.Error(err)
				}
			}
		})
	}
	go func() { writers.Wait(); close(stop) }()
	for {
		got, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(got, a) && !bytes.Equal(got, b) {
			t.Fatalf("a mixture of %d bytes", len(got))
		}
		select {
		case <-stop:
			if left := names(t, filepath.Dir(path)); len(left) != 1 {
				t.Errorf("left behind: %q", left)
			}
			return
		default:
		}
	}
}

func TestReplaceFile_modeWhateverTheUmask(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes mean little here")
	}
	for _, umask := range []int{0, 0o777} {
		path := filepath.Join(t.TempDir(), "token")
		restore := setUmask(umask)
		err := replaceFile(path, []byte("x"))
		restore()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o644); err != nil { // somebody opened it up
			t.Fatal(err)
		}
		if err := replaceFile(path, []byte("y")); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != 0o600 {
			t.Errorf("umask %04o: mode %s", umask, info.Mode())
		}
	}
}

// A writer that was killed leaves no token behind for long; those at work and
// files of others are left alone.
func TestReplaceFile_sweepsUp(t *testing.T) {
	dir := t.TempDir()
	old := time.Now().Add(-time.Hour)
	for name, age := range map[string]time.Time{
		".token.123.t2-cred.tmp": old, ".token.456.t2-cred.tmp": time.Now(), ".other.1.t2-cred.tmp": old, ".token.notes": old,
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, age, age); err != nil {
			t.Fatal(err)
		}
	}
	if err := replaceFile(filepath.Join(dir, "token"), []byte("x")); err != nil {
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
