package safefile_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/terradue/t2-cred/helper/safefile"
)

func write(t *testing.T, path, content string, mode fs.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "file"), "twelve bytes", 0o600)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	empty := write(t, filepath.Join(dir, "empty"), "", 0o600)
	for _, tt := range []struct {
		path string
		want safefile.Want
		text string
		err  error
	}{
		{file, safefile.Want{Max: 100}, "twelve bytes", nil},
		{file, safefile.Want{Max: 12}, "twelve bytes", nil},
		{file, safefile.Want{Max: 11}, "", safefile.ErrTooLarge},
		{empty, safefile.Want{Max: 0}, "", nil},
		{link, safefile.Want{Max: 100}, "twelve bytes", nil},
		{dir, safefile.Want{Max: 100}, "", safefile.ErrNotRegular},
		{os.DevNull, safefile.Want{Max: 100}, "", safefile.ErrNotRegular},
		{filepath.Join(dir, "missing"), safefile.Want{Max: 100}, "", fs.ErrNotExist},
	} {
		text, err := safefile.Read(tt.path, tt.want)
		if string(text) != tt.text || !errors.Is(err, tt.err) {
			t.Errorf("Read(%s, %+v) = %q, %v; want %q, %v", tt.path, tt.want, text, err, tt.text, tt.err)
		}
	}
	if _, err := safefile.Read(link, safefile.Want{Max: 100, NoLink: true}); err == nil {
		t.Error("a link was followed")
	}
}

// Some files of /proc have a size of 0.
func TestRead_ofUnknownSize(t *testing.T) {
	const path = "/proc/self/status"
	want, err := os.ReadFile(path)
	if err != nil {
		t.Skip("no " + path + " on this system")
	}
	got, err := safefile.Read(path, safefile.Want{Max: 1 << 20})
	if err != nil || len(got) < len(want)/2 || !bytes.HasPrefix(got, want[:5]) {
		t.Errorf("Read = %d bytes, %v; os.ReadFile has %d", len(got), err, len(want))
	}
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, durable := range []bool{false, true} {
		if err := safefile.Replace(path, []byte("new"), safefile.Write{Durable: durable}); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != safefile.FileMode {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := safefile.Replace(path, []byte("newer"), safefile.Write{Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := safefile.Replace(filepath.Join(dir, "none", "file"), nil, safefile.Write{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without its directory: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

// What a killed writer left is overwritten, and what somebody linked there is not
// written through.
func TestReplace_theTemporaryFileIsThere(t *testing.T) {
	for name, plant := range map[string]func(tmp, other string) error{
		"left by a killed writer": func(tmp, _ string) error { return os.WriteFile(tmp, []byte("a token of long ago"), 0o600) },
		"a hard link":             func(tmp, other string) error { return os.Link(other, tmp) },
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "file")
		other := write(t, filepath.Join(dir, "other"), "untouched", 0o600)
		if err := plant(safefile.Temporary(path), other); err != nil {
			t.Fatal(err)
		}
		if err := safefile.Replace(path, []byte("new"), safefile.Write{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		text, _ := os.ReadFile(path)
		kept, _ := os.ReadFile(other)
		if string(text) != "new" || string(kept) != "untouched" {
			t.Errorf("%s: file is %q, other is %q", name, text, kept)
		}
		if left, _ := os.ReadDir(dir); len(left) != 2 {
			t.Errorf("%s: left behind: %v", name, left)
		}
	}
}

// Writers of one path exclude each other, and a reader sees one content, whole.
func TestReplace_atOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	content := func(n int) []byte { return []byte(strings.Repeat(fmt.Sprintf("%d,", n), 5000)) }
	if err := safefile.Replace(path, content(0), safefile.Write{}); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for n := range 8 {
		wait.Go(func() {
			for range 30 {
				if err := safefile.Replace(path, content(n), safefile.Write{}); err != nil {
					t.Errorf("writer %d: %v", n, err)
				}
				text, err := safefile.Read(path, safefile.Want{Max: 1 << 20})
				if err != nil || !bytes.Equal(text, content(int(text[0]-'0'))) {
					t.Errorf("a reader saw %d bytes of two writers, %v", len(text), err)
				}
			}
		})
	}
	wait.Wait()
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestReserve(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for range 2 { // the second replaces what the first left
		before, _ := os.ReadFile(path)
		r, err := safefile.Reserve(safefile.Temporary(path), 5+4096)
		if err != nil {
			t.Fatal(err)
		}
		if now, _ := os.ReadFile(path); !bytes.Equal(now, before) {
			t.Error("what was there is gone before the reservation is settled")
		}
		if err := r.Settle(path, []byte("head\n")); err != nil {
			t.Fatal(err)
		}
		r.Drop() // of a settled one does nothing
		if info, _ := os.Stat(path); info.Size() != 5+4096 || info.Mode().Perm() != safefile.FileMode {
			t.Errorf("reserved: %d bytes, %v", info.Size(), info.Mode())
		}
		if err := errors.Join(r.Fill([]byte("content")), r.Sync(), r.Close()); err != nil {
			t.Fatal(err)
		}
		text, _ := os.ReadFile(path)
		if rest, ok := strings.CutPrefix(string(text), "head\ncontent"); !ok || len(rest) != 4096-len("content") {
			t.Errorf("filled: %d bytes, %q", len(text), text[:min(len(text), 20)])
		}
	}
}

func TestReserve_dropped(t *testing.T) {
	dir := t.TempDir()
	tmp := write(t, filepath.Join(dir, "tmp"), "what a crash left", 0o400)
	r, err := safefile.Reserve(tmp, 4096)
	if err != nil {
		t.Fatal(err)
	}
	r.Drop()
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestMakeDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	for range 2 {
		if err := safefile.MakeDir(dir); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != safefile.DirMode {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	file := write(t, filepath.Join(dir, "file"), "", 0o600)
	if err := safefile.MakeDir(file); !errors.Is(err, fs.ErrExist) {
		t.Errorf("on a file: %v", err)
	}
	for range 2 {
		if err := safefile.Remove(file, true); err != nil {
			t.Errorf("Remove: %v", err)
		}
	}
}
