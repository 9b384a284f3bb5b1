// Package agefile is the backend that keeps each item in a file of its own, encrypted
// with age (age-encryption.org/v1) to the identity of this store, for machines
// without a keyring.
//
// Its Go API is internal to t2-cred and may change at any time.
package agefile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"filippo.io/age"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/safefile"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

const (
	suffix = ".age"
	// maxSealed bounds what is read from a file: the largest value, and what age
	// adds for its header and for a few more recipients.
	maxSealed = backend.MaxValue + 16<<10
	// tokenPrefix begins the names of cached access tokens. One that a power cut
	// damages is renewed, so it is not written durably.
	tokenPrefix = "token,"
)

// A Store keeps each item in a file of its own.
type Store struct {
	opt  backend.Options
	dir  string
	keys atomic.Value // of []age.Identity, once they were read
}

// Open returns the backend. It touches nothing.
func Open(o backend.Options) (backend.Backend, error) {
	return &Store{opt: o, dir: filepath.Join(o.DataDir, o.Namespace)}, nil
}

// Describe implements backend.Backend.
func (s *Store) Describe() backend.Description {
	return backend.Description{Name: "file", Where: s.dir + ", encrypted to " + sourceOf(s.opt).String(), Dir: s.dir}
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name+suffix) }

// read returns what lies in an item's file, and its revision. A file that another user
// can change may be an old one: a record whose refresh token was spent.
func (s *Store) read(name string) (sealed []byte, rev backend.Revision, err error) {
	sealed, err = safefile.Read(s.path(name), safefile.Want{Max: maxSealed, Trust: safefile.Ours})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, "", backend.NotFound()
	case errors.Is(err, safefile.ErrTooLarge), errors.Is(err, safefile.ErrNotRegular):
		return nil, "", backend.Errorf(backend.ErrCorrupt, err, nil, "")
	case err != nil:
		return nil, "", backend.Errorf(backend.ErrUnavailable, err, nil, "")
	}
	return sealed, revision(sealed), nil
}

// revision is of the file as it lies there: two writes of one value differ.
func revision(sealed []byte) backend.Revision {
	sum := sha256.Sum256(sealed)
	return backend.Revision(hex.EncodeToString(sum[:16]))
}

// Load implements backend.Backend.
func (s *Store) Load(ctx context.Context, name string) (secret.Secret, backend.Revision, error) {
	sealed, rev, err := s.read(name)
	ids, idErr := s.identities(ctx)
	switch {
	case idErr != nil:
		// Even an empty store is not available without its identity: whoever forgot to
		// mount the key must not be told to log in again.
		return "", "", idErr
	case err != nil:
		return "", rev, err
	}
	value, err := Unseal(sealed, ids...)
	if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
		return "", "", backend.Errorf(backend.ErrUnavailable, nil,
			hint.Say("put back the identity that it was written with, or set T2_CRED_IDENTITY_FILE to it"),
			"%s was encrypted to another identity", s.path(name))
	}
	if err != nil {
		return "", rev, backend.Errorf(backend.ErrCorrupt, nil, nil, "%s is damaged", s.path(name))
	}
	return value, rev, nil
}

// Save implements backend.Backend. Files have no check-and-set, so what is there is
// compared under the caller's lock.
func (s *Store) Save(ctx context.Context, name string, value secret.Secret, replaces backend.Revision) (backend.Revision, error) {
	if err := backend.CheckSize(value); err != nil {
		return "", err
	}
	sealed, err := s.seal(ctx, value)
	if err != nil {
		return "", err
	}
	_, now, err := s.read(name)
	switch {
	case err != nil && !errors.Is(err, backend.ErrNotFound) && !errors.Is(err, backend.ErrCorrupt):
		return "", err
	case now != replaces:
		return "", backend.Conflict(name)
	}
	if err := safefile.MakeDir(s.dir); err != nil {
		return "", s.cannot("write", err)
	}
	durable := !strings.HasPrefix(name, tokenPrefix)
	if err := safefile.Replace(s.path(name), sealed, safefile.Write{Durable: durable}); err != nil {
		return "", s.cannot("write", err)
	}
	return revision(sealed), nil
}

func (s *Store) seal(ctx context.Context, value secret.Secret) ([]byte, error) {
	ids, err := s.identities(ctx)
	if err != nil {
		return nil, err
	}
	to, err := recipient(ids[0])
	if err != nil {
		return nil, err
	}
	return Seal(to, value)
}

// Delete implements backend.Backend.
func (s *Store) Delete(_ context.Context, name string) error {
	if err := safefile.Remove(s.path(name), true); err != nil {
		return s.cannot("delete", err)
	}
	return nil
}

// List implements backend.Backend. It has one page.
func (s *Store) List(_ context.Context, after string) ([]string, error) {
	if after != "" {
		return nil, nil
	}
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, s.cannot("list", err)
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), suffix); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

func (s *Store) cannot(what string, err error) error {
	return backend.Errorf(backend.ErrUnavailable, err,
		hint.Say(safefile.WriteAdvice(s.opt.DataDir, "set XDG_DATA_HOME to another one", err)), "cannot %s", what)
}
