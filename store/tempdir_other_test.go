//go:build !unix

package store

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// tempDir is t.TempDir for Wine too, which does not know the call by which that is
// removed (FileDispositionInformationEx, as of 8.0).
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "t2 Öl ") // a name as people give them
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		var paths []string
		_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			paths = append(paths, path)
			return err
		})
		for _, path := range slices.Backward(paths) {
			if err := os.Remove(path); err != nil {
				t.Errorf("left behind: %v", err)
			}
		}
	})
	return dir
}
