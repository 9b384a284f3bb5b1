package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
)

// opener makes a backend for one namespace. It touches nothing.
type opener func(o Options, ns string) (Backend, error)

// backends is filled by the init of each backend's file, as build tags decide
// which there are, and not changed after that.
var backends = map[string]opener{}

func register(name string, o opener) { backends[name] = o }

// Backends lists the names that Options.Backend may have, sorted.
func Backends() []string { return slices.Sorted(maps.Keys(backends)) }

// maxValue bounds what is kept in one record, wherever.
const maxValue = 64 << 10

// A Store keeps the records of one configuration in one backend. Its methods may
// be called at once from many goroutines and processes.
type Store struct {
	opt      Options
	ns       string
	backend  Backend
	locks    locker
	notes    noteShelf
	recovery recovery
	// kernel is where access tokens are cached before a backend's item is tried.
	// Only for the OS keyring: who chose files or memory did not choose the kernel.
	kernel kernelRing
	ahead  lookahead
}

// What a backend may do beyond Backend.
type (
	// selfProver is a backend whose Save has read back what it wrote.
	selfProver interface{ provesSaves() }
	// slowBackend is one whose Load is worth starting early.
	slowBackend interface{ loadsSlowly() }
	// volatileBackend keeps nothing after the process, so neither must the rest.
	volatileBackend interface{ ownNotes() noteShelf }
)

// Open checks the options and touches nothing: no file, no keyring. The error of
// an unknown Backend names those there are.
func Open(o Options) (*Store, error) {
	open, ok := backends[o.Backend]
	if !ok {
		return nil, fmt.Errorf("unknown store %q, there are: %s", o.Backend, strings.Join(Backends(), ", "))
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	s := &Store{opt: o, ns: namespace(o)}
	var err error
	if s.backend, err = open(o, s.ns); err != nil {
		return nil, err
	}
	s.kernel = kernelRing{off: o.Backend != "keyring"}
	s.recovery = recovery{
		prefix: "t2-cred:" + s.ns + ":" + o.Backend + ":",
		dir:    o.RuntimeDir,
	}
	s.locks = fileLocks{dir: filepath.Join(o.StateDir, s.ns, "locks"), now: o.Now}
	s.notes = dirNotes{dir: filepath.Join(o.StateDir, s.ns, "notes-"+o.Backend)}
	if l, ok := s.backend.(locker); ok {
		s.locks = l
	}
	if v, ok := s.backend.(volatileBackend); ok {
		s.notes = v.ownNotes()
		s.recovery.off = true
	}
	return s, nil
}

// check says what is missing in the options.
func (o Options) check() error {
	for name, dir := range map[string]string{
		"Config": o.Config, "StateDir": o.StateDir, "DataDir": o.DataDir, "RuntimeDir": o.RuntimeDir,
	} {
		if !filepath.IsAbs(dir) {
			return fmt.Errorf("store: %s is %q, not an absolute path", name, dir)
		}
	}
	if o.Getenv == nil || o.Now == nil {
		return errors.New("store: Getenv and Now must be given")
	}
	return nil
}

// Name is the backend's name, as in the configuration.
func (s *Store) Name() string { return s.opt.Backend }

// Prove shows that the store can be written and read: a dummy is saved, read
// back and deleted. To be called before anything is spent (a login, a subject
// token, a refresh token) whose fruit must then be kept.
func (s *Store) Prove(ctx context.Context) error {
	release, err := s.lock(ctx, kindProof)
	if err != nil {
		return err
	}
	defer release()
	ctx = holdingLock(ctx)
	// As in Update: a keyring is read before it is written to.
	if _, err := s.backend.Load(ctx, kindProof); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	proof := secret.Secret("proof-" + s.opt.Now().UTC().Format(time.RFC3339Nano))
	if err := s.save(ctx, kindProof, proof); err != nil {
		return err
	}
	return s.backend.Delete(ctx, kindProof)
}

// save writes an item and reads it back: that a keyring reports no error does
// not prove that it did anything.
func (s *Store) save(ctx context.Context, name string, value secret.Secret) error {
	if err := s.backend.Save(ctx, name, value); err != nil {
		return err
	}
	if _, ok := s.backend.(selfProver); ok {
		return nil
	}
	got, err := s.backend.Load(ctx, name)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if got != value {
		return notKept()
	}
	return nil
}

func notKept() error {
	return &Error{Kind: ErrUnavailable, Detail: "the store took the value and gave back another"}
}

func checkSize(value secret.Secret) error {
	if len(value) > maxValue {
		return &Error{Kind: ErrTooLarge, Detail: fmt.Sprintf("%d bytes, at most %d", len(value), maxValue)}
	}
	return nil
}
