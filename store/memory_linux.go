package store

import (
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terradue/t2-cred/helper/safefile"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

// memory keeps a backend's small secrets in the kernel's keyring of this user. Where that
// is refused, as in most containers, a file in dir will do if dir is in memory.
type memory struct{ dir string }

// Get implements backend.Keep.
func (m memory) Get(name string) (secret.Secret, error) {
	value, err := kernelRing{}.get(m.key(name))
	if err == nil {
		return secret.Secret(value), nil
	}
	if !m.inMemory() {
		return "", backend.NotFound()
	}
	text, err := safefile.Read(m.path(name), safefile.Want{Max: backend.MaxValue, NoLink: true, Trust: safefile.Private})
	return secret.Secret(text), err
}

// Put implements backend.Keep.
func (m memory) Put(name string, value secret.Secret, life time.Duration) error {
	err := kernelRing{}.put(m.key(name), value.Reveal(), life)
	if err == nil {
		return nil
	}
	if !m.inMemory() {
		return err
	}
	return safefile.Replace(m.path(name), []byte(value.Reveal()), safefile.Write{}) // the file is in memory
}

// Remove implements backend.Keep.
func (m memory) Remove(name string) {
	kernelRing{}.remove(m.key(name))
	if m.inMemory() {
		_ = safefile.Remove(m.path(name), false)
	}
}

func (m memory) key(name string) string { return "t2-cred:" + name }

func (m memory) path(name string) string { return filepath.Join(m.dir, "engine-"+shortHash(name)) }

// inMemory reports whether dir is on a file system that is never on disk.
func (m memory) inMemory() bool {
	if safefile.MakeDir(m.dir) != nil {
		return false
	}
	var st unix.Statfs_t
	return unix.Statfs(m.dir, &st) == nil && (st.Type == unix.TMPFS_MAGIC || st.Type == unix.RAMFS_MAGIC)
}
