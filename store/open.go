package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/agefile"
	"github.com/terradue/t2-cred/store/backend"
	"github.com/terradue/t2-cred/store/keyring"
	"github.com/terradue/t2-cred/store/openbao"
)

// backends are the places that Options.Backend may name.
func backends(engine OpenBao) map[string]func(backend.Options) (backend.Backend, error) {
	return map[string]func(backend.Options) (backend.Backend, error){
		"keyring": keyring.Open,
		"file":    agefile.Open,
		"openbao": func(o backend.Options) (backend.Backend, error) { return openbao.Open(engine, o) },
	}
}

// OpenBao is where the shared store is, from the configuration.
type OpenBao = openbao.Config

// OpenBaoError is something wrong with one key of it.
type OpenBaoError = openbao.KeyError

// Backends lists the names that Options.Backend may have, sorted.
func Backends() []string { return slices.Sorted(maps.Keys(backends(OpenBao{}))) }

// A Store keeps the records of one configuration in one backend. Its methods may
// be called at once from many goroutines and processes.
type Store struct {
	opt     Options
	ns      string
	backend backend.Backend
	quiet   backend.Backend // the same, which shows no dialog
	is      backend.Description
	locks   fileLocks
	notes   dirNotes
	// kernel is where access tokens are cached before a backend's item is tried. Who
	// chose files did not choose the kernel.
	kernel kernelRing
	// copies are in the kernel's keyring only where disk is refused.
	copyKernel kernelRing
	ahead      prefetch

	// What follows is of a shared store.

	sharer backend.Sharer // nil for a store of one machine
	terms  backend.Terms
	node   func() string // this machine's name, for people
	bootID func() string // of this run of the machine
	boot   func() time.Duration
	owner  func() string // names the state directory in this run; empty where that is not known

	sendTime, saveTime, leaderTime time.Duration
}

// Open checks the options and touches nothing: no file, no keyring. The error of
// an unknown Backend names those there are.
func Open(o Options) (*Store, error) {
	open, ok := backends(o.OpenBao)[o.Backend]
	if !ok {
		return nil, fmt.Errorf("unknown store %q, there are: %s", o.Backend, strings.Join(Backends(), ", "))
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	b, err := open(o.forBackend())
	if err != nil {
		return nil, err
	}
	return With(b, o)
}

// With is Open with a backend that is open already.
func With(b backend.Backend, o Options) (*Store, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	s := &Store{opt: o, ns: namespace(o), backend: b, quiet: b, is: b.Describe()}
	if asker, ok := b.(backend.Asker); ok {
		s.quiet = asker.Unattended()
	}
	s.kernel = kernelRing{off: !s.is.KernelCache}
	s.locks = fileLocks{dir: filepath.Join(o.StateDir, s.ns, "locks"), now: o.Now}
	notes := "notes-" + s.is.Name
	if sharer, ok := b.(backend.Sharer); ok {
		s.share(sharer)
		notes += "-" + shortHash(cmp.Or(s.is.Place, s.is.Where))[:8] // another prefix has other grants
	}
	s.notes = dirNotes{dir: filepath.Join(o.StateDir, s.ns, notes)}
	return s, nil
}

// share makes it a shared store.
func (s *Store) share(b backend.Sharer) {
	s.sharer, s.terms = b, b.Terms()
	s.sendTime, s.saveTime, s.leaderTime = sendTime, saveTime, leaderTime
	s.boot = bootClock()
	// A cached get needs none of these.
	s.node, s.bootID, s.owner = sync.OnceValue(hostname), sync.OnceValue(bootID), sync.OnceValue(s.findOwner)
}

func (o Options) forBackend() backend.Options {
	warn := o.Warn
	if warn == nil {
		warn = func(string) {}
	}
	return backend.Options{
		Namespace: namespace(o), DataDir: o.DataDir, IdentityCommand: o.IdentityCommand,
		Getenv: o.Getenv, Warn: warn, Attended: o.Attended, Label: o.label,
		Now: o.Now, Memory: memory{dir: o.RuntimeDir},
	}
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

// InitFile makes the file store's identity; see [agefile.Init]. Where one is there, the
// identity for copies is encrypted to its first line.
func InitFile(ctx context.Context, o Options) (path string, err error) {
	if err := o.check(); err != nil {
		return "", err
	}
	path, err = agefile.Init(ctx, o.forBackend())
	if !errors.Is(err, fs.ErrExist) {
		return path, err
	}
	o.Backend = "file"
	s, openErr := Open(o)
	if openErr == nil {
		openErr = s.resealIdentity(ctx)
	}
	if openErr != nil {
		return path, openErr
	}
	return path, err
}

// Name is the backend's name, as in the configuration.
func (s *Store) Name() string { return s.is.Name }

// Where says for people where the backend keeps its items.
func (s *Store) Where() string { return s.is.Where }

// Check says whether the store can be read now, without a dialog. The error wraps
// ErrLocked or ErrUnavailable.
func (s *Store) Check(ctx context.Context) error {
	_, _, err := s.quiet.Load(ctx, kindSeal)
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	names, err := s.quiet.List(ctx, "") // whatever else is there has to be readable
	if err != nil || len(names) == 0 {
		return ignore(err, errors.ErrUnsupported)
	}
	_, _, err = s.quiet.Load(ctx, names[0])
	return ignore(ignore(err, ErrNotFound), ErrCorrupt) // one item's damage is not the store's
}

// ignore is err, or nil if it is of that kind.
func ignore(err, kind error) error {
	if errors.Is(err, kind) {
		return nil
	}
	return err
}

// CheckWritable shows that the store can be read and that what is got next can be
// kept: there is room for a sealed copy. To be called before anything is asked for
// (a login, an exchange) whose fruit must then be kept. A keyring is written to once, for the identity that copies are sealed to, and for nothing else.
func (s *Store) CheckWritable(ctx context.Context) error {
	lock, err := s.lock(ctx, kindProof)
	if err != nil {
		return err
	}
	defer lock.release()
	var needs supplies
	defer needs.drop()
	r, err := s.makeRoom(ctx, Key{}, copyHead{}, 0, &needs)
	if err != nil {
		return err
	}
	return r.remove()
}

// save writes an item and, where the backend's acknowledgement is no proof, reads it
// back.
func (s *Store) save(ctx context.Context, name string, value secret.Secret, replaces backend.Revision) (backend.Revision, error) {
	return s.saveTo(ctx, s.backend, name, value, replaces)
}

func (s *Store) saveTo(ctx context.Context, b backend.Backend, name string, value secret.Secret, replaces backend.Revision) (backend.Revision, error) {
	rev, err := b.Save(ctx, name, value, replaces)
	if err != nil || s.is.Proves {
		return rev, err
	}
	got, rev, err := b.Load(ctx, name)
	if err != nil {
		return rev, fmt.Errorf("read back: %w", err)
	}
	if got != value {
		return rev, backend.NotKept()
	}
	return rev, nil
}

// saveAny saves a value over whatever is there, unless it is there already.
func (s *Store) saveAny(ctx context.Context, b backend.Backend, name string, value secret.Secret) error {
	old, rev, err := b.Load(ctx, name)
	if err == nil && old == value {
		return nil
	}
	return s.saveOver(ctx, b, name, value, rev, err)
}

// saveAgain is saveAny, and writes also what is there already: to the first identity, in
// the file store.
func (s *Store) saveAgain(ctx context.Context, b backend.Backend, name string, value secret.Secret) error {
	_, rev, err := b.Load(ctx, name)
	return s.saveOver(ctx, b, name, value, rev, err)
}

// saveOver saves over what a Load has found.
func (s *Store) saveOver(ctx context.Context, b backend.Backend, name string, value secret.Secret, rev backend.Revision, err error) error {
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCorrupt) {
		return err
	}
	_, err = s.saveTo(ctx, b, name, value, rev)
	return err
}
