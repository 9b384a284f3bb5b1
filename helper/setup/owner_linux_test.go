package setup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func ownerEdit(file string) *edit {
	return block{profile: "gep", lines: []string{"a = 1"}}.edit(file, readNpmrc, nil)
}

// TestAnotherUsersFileIsRefused: root must not become the owner of a user's file, nor
// make one in a user's directory; and nobody of a file of root's.
func TestAnotherUsersFileIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		if _, err := ownerEdit("/etc/hosts").plan(false); !errors.Is(err, errOwner) {
			t.Errorf("a file of root's: %v", err)
		}
		return
	}
	dir := filepath.Join(t.TempDir(), "home")
	file := filepath.Join(dir, "file")
	if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(file, []byte("x = y\n"), 0o600), os.Chown(dir, 12345, 12345), os.Chown(file, 12345, 12345)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(dir, "new"), filepath.Join(dir, "new", "file")} {
		if _, err := ownerEdit(path).plan(false); !errors.Is(err, errOwner) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "x = y\n" {
		t.Errorf("the file is %q, %v", text, err)
	}
	if err := os.Chown(file, 0, 12345); err != nil {
		t.Fatal(err)
	}
	saveTwice(t, file)
	var st unix.Stat_t
	if err := unix.Stat(file, &st); err != nil || st.Uid != 0 || st.Gid != 12345 || st.Mode&0o777 != 0o600 {
		t.Errorf("owner %d, group %d, mode %o, %v", st.Uid, st.Gid, st.Mode, err)
	}
}

// TestExtendedAttributesStay: an ACL or a label is one, too.
func TestExtendedAttributesStay(t *testing.T) {
	const name, value = "user.t2-cred-test", "kept\x00as it is"
	file := ""
	for _, parent := range []string{t.TempDir(), "."} { // not every file system has them
		dir, err := os.MkdirTemp(parent, "attributes")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		one := filepath.Join(dir, "file")
		if err := os.WriteFile(one, []byte("x = y\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if unix.Setxattr(one, name, []byte(value), 0) == nil {
			file = one
			break
		}
	}
	if file == "" && os.Getenv("T2_CRED_E2E") != "1" {
		t.Skip("no file system here has extended attributes")
	}
	saveTwice(t, file)
	got := make([]byte, 100)
	if n, err := unix.Getxattr(file, name, got); err != nil || string(got[:n]) != value {
		t.Errorf("%q, %v", got[:max(n, 0)], err)
	}
}

// saveTwice writes and takes back.
func saveTwice(t *testing.T, file string) {
	t.Helper()
	for _, undo := range []bool{false, true} {
		c, err := ownerEdit(file).plan(undo)
		if err != nil {
			t.Fatal(err)
		}
		if changed, err := c.save(); err != nil || !changed {
			t.Fatalf("changed %v, %v", changed, err)
		}
		if text, err := os.ReadFile(file); err != nil || strings.Contains(string(text), "t2-cred") == undo {
			t.Errorf("undo %v: %q, %v", undo, text, err)
		}
	}
}
