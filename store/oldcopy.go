package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"path/filepath"

	"github.com/terradue/t2-cred/helper/safefile"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

// An oldCopy is a record that 3f78ee2 could not save, in clear: in the kernel's keyring
// or in a file. It is read one last time and put in its place. Base is the digest of
// what the backend held then.
type oldCopy struct {
	V     int    `json:"v"`
	Seq   int    `json:"seq"` // the higher of two copies is the newer
	Base  string `json:"base"`
	Value string `json:"value"`
}

// digest names a value at rest without showing it.
func digest(value secret.Secret) string {
	if value == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(value.Reveal()))
	return hex.EncodeToString(sum[:16])
}

func (s *Store) oldCopyKey(k Key) string {
	return "t2-cred:" + s.ns + ":" + s.is.Name + ":recovery:" + k.item(kindGrant)
}

func (s *Store) oldCopyPath(k Key) string {
	prefix := "t2-cred:" + s.ns + ":" + s.is.Name + ":"
	return filepath.Join(s.opt.RuntimeDir, "recovery-"+shortHash(prefix)+"-"+k.item(kindGrant)+".json")
}

func (s *Store) findOldCopy(k Key) (c oldCopy, ok bool) {
	if raw, err := s.copyKernel.get(s.oldCopyKey(k)); err == nil {
		c, ok = decodeOldCopy([]byte(raw))
	}
	raw, err := safefile.Read(s.oldCopyPath(k), safefile.Want{Max: 2 * maxCopy, NoLink: true, Trust: safefile.Private})
	if err == nil {
		if f, fileOK := decodeOldCopy(raw); fileOK && (!ok || f.Seq > c.Seq) {
			c, ok = f, true
		}
	}
	return c, ok
}

func decodeOldCopy(raw []byte) (c oldCopy, ok bool) {
	err := json.Unmarshal(raw, &c)
	return c, err == nil && c.V == valueVersion
}

func (s *Store) dropOldCopy(k Key) error {
	s.copyKernel.remove(s.oldCopyKey(k))
	return safefile.Remove(s.oldCopyPath(k), true)
}

// takeOldCopy returns what is the account's newest value: what the backend gave, or
// the old copy, if that was to replace it. The copy goes once it is saved.
func (s *Store) takeOldCopy(ctx context.Context, k Key, value secret.Secret, rev backend.Revision, loadErr error) (secret.Secret, backend.Revision, error) {
	c, ok := s.findOldCopy(k)
	if !ok || loadErr != nil && !errors.Is(loadErr, ErrNotFound) && !errors.Is(loadErr, ErrCorrupt) {
		return value, rev, loadErr
	}
	if !errors.Is(loadErr, ErrCorrupt) && digest(value) != c.Base {
		_ = s.dropOldCopy(k) // it was saved after all, or a later one was
		return value, rev, loadErr
	}
	newer := secret.Secret(c.Value)
	saved, err := s.save(ctx, k.item(kindGrant), newer, rev)
	if err != nil {
		return value, rev, err
	}
	_ = s.dropOldCopy(k)
	return newer, saved, nil
}
