package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"filippo.io/age"

	"github.com/terradue/t2-cred/helper/secret"
)

func init() {
	register("file", func(o Options, ns string) (Backend, error) {
		return fileBackend{opt: o, dir: filepath.Join(o.DataDir, ns), keys: new(atomic.Value)}, nil
	})
}

const (
	fileSuffix = ".age"
	// maxSealed bounds what is read from a file: the largest value, and what age
	// adds for its header and for a few more recipients.
	maxSealed = maxValue + 16<<10
)

// fileBackend keeps each item in a file of its own, encrypted with age to the
// identity of this store, for machines without a keyring.
type fileBackend struct {
	opt  Options
	dir  string
	keys *atomic.Value // of []age.Identity, once they were read
}

func (b fileBackend) path(name string) string { return filepath.Join(b.dir, name+fileSuffix) }

func (b fileBackend) Load(ctx context.Context, name string) (secret.Secret, error) {
	sealed, err := readCapped(b.path(name), maxSealed)
	if err != nil {
		// Without the identity even an empty store is not available: who has
		// forgotten to mount the key should not be told to log in again.
		if _, idErr := b.identities(ctx); idErr != nil {
			return "", idErr
		}
		if errors.Is(err, fs.ErrNotExist) {
			return "", &Error{Kind: ErrNotFound}
		}
		return "", &Error{Kind: ErrUnavailable, Err: err}
	}
	ids, err := b.identities(ctx)
	if err != nil {
		return "", err
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), ids...)
	if err != nil {
		if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
			return "", &Error{
				Kind: ErrUnavailable, Detail: b.path(name) + " was encrypted to another identity",
				Remedy: "put back the identity that it was written with, or set T2_CRED_IDENTITY_FILE to it",
			}
		}
		return "", corrupt(b.path(name) + " is damaged")
	}
	value, err := io.ReadAll(r)
	if err != nil {
		return "", corrupt(b.path(name) + " is damaged")
	}
	return secret.Secret(value), nil
}

func readCapped(path string, limit int64) ([]byte, error) {
	var f *os.File
	if err := patiently(func() (err error) { f, err = os.Open(path); return err }); err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

func (b fileBackend) Save(ctx context.Context, name string, value secret.Secret) error {
	if err := checkSize(value); err != nil {
		return err
	}
	ids, err := b.identities(ctx)
	if err != nil {
		return err
	}
	to, err := recipient(ids[0])
	if err != nil {
		return err
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, to)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, value.Reveal()); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	// A token that a crash of the machine damages is renewed.
	durable := !strings.HasPrefix(name, kindToken+",")
	return b.cannot("write", writeFile(b.path(name), sealed.Bytes(), durable))
}

func (b fileBackend) Delete(_ context.Context, name string) error {
	return b.cannot("delete", removeFile(b.path(name), true))
}

func (b fileBackend) List(context.Context) ([]string, error) {
	entries, err := os.ReadDir(b.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, b.cannot("list", err)
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), fileSuffix); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

func (b fileBackend) cannot(what string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{
		Kind: ErrUnavailable, Detail: "cannot " + what, Err: err,
		Remedy: "make " + b.opt.DataDir + " writable, or set XDG_DATA_HOME to a directory that is",
	}
}

// identitySource is where the key to the files comes from: given by systemd
// (LoadCredentialEncrypted=), a file that an environment variable names (a mounted
// secret), a command, or a file in the data directory. A place that is named but
// empty is not passed by for the next, as what was written with one key is not read
// with another.
type identitySource struct {
	path        string
	command     []string // in place of path
	fromSystemd bool
}

func sourceOf(o Options) identitySource {
	if dir := o.Getenv("CREDENTIALS_DIRECTORY"); dir != "" {
		path := filepath.Join(dir, "t2-cred-identity")
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return identitySource{path: path, fromSystemd: true}
		}
	}
	if path := o.Getenv("T2_CRED_IDENTITY_FILE"); path != "" {
		return identitySource{path: path}
	}
	if len(o.IdentityCommand) > 0 {
		return identitySource{command: o.IdentityCommand}
	}
	return identitySource{path: filepath.Join(o.DataDir, "identity")}
}

func (i identitySource) String() string {
	if i.command != nil {
		return "the output of " + i.command[0]
	}
	return i.path
}

// identities are the keys, read once a process: a refresh needs them six times.
func (b fileBackend) identities(ctx context.Context) ([]age.Identity, error) {
	if ids, ok := b.keys.Load().([]age.Identity); ok {
		return ids, nil
	}
	ids, err := b.readIdentities(ctx)
	if err == nil {
		b.keys.Store(ids)
	}
	return ids, err
}

// readIdentities reads the keys: all may decrypt, the first is encrypted to, so
// that a key can be changed by putting the new one before the old.
func (b fileBackend) readIdentities(ctx context.Context) ([]age.Identity, error) {
	source := sourceOf(b.opt)
	text, err := source.read(ctx)
	if err != nil {
		return nil, err
	}
	ids, err := age.ParseIdentities(strings.NewReader(text.Reveal()))
	if err != nil || len(ids) == 0 { // the parser quotes the line: the key itself
		return nil, &Error{Kind: ErrUnavailable, Detail: source.String() + " holds no age identity", Remedy: "age-keygen -o FILE makes one"}
	}
	return ids, nil
}

func (i identitySource) read(ctx context.Context) (secret.Secret, error) {
	if i.command != nil {
		text, err := secret.FromCommand(ctx, i.command)
		if e, ok := errors.AsType[*secret.CommandError](err); ok {
			return "", &Error{
				Kind: ErrUnavailable, Detail: "identity_command", Err: e,
				Remedy: "run it by hand: it must print the age identity and ask nobody",
			}
		}
		return text, err
	}
	// Opening a pipe would wait for whoever writes, without an end.
	if info, err := os.Stat(i.path); err == nil && !info.Mode().IsRegular() {
		return "", &Error{
			Kind: ErrUnavailable, Detail: "the identity " + i.path + " is not a regular file",
			Remedy: "for one that is made when it is asked for there is identity_command in the configuration",
		}
	}
	f, err := os.Open(i.path)
	if err != nil {
		e := &Error{Kind: ErrUnavailable, Detail: "the file store has no identity", Err: err}
		if errors.Is(err, fs.ErrNotExist) {
			e.Remedy = "t2-cred store init"
		}
		return "", e
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", &Error{Kind: ErrUnavailable, Err: err}
	}
	// systemd gives a service's user its right by an ACL, whose mask shows as the
	// group's right; the directory is the service's alone.
	if who := TooOpen(info); who != "" && !i.fromSystemd {
		return "", &Error{
			Kind: ErrUnavailable, Detail: fmt.Sprintf("the identity %s can be read by %s", i.path, who),
			Remedy: "chmod 600 " + i.path,
		}
	}
	text, err := io.ReadAll(io.LimitReader(f, secret.MaxSize))
	if err != nil {
		return "", &Error{Kind: ErrUnavailable, Err: err}
	}
	return secret.Secret(text), nil
}

func recipient(id age.Identity) (age.Recipient, error) {
	switch id := id.(type) {
	case *age.X25519Identity:
		return id.Recipient(), nil
	case *age.HybridIdentity:
		return id.Recipient(), nil
	}
	return nil, &Error{Kind: ErrUnavailable, Detail: fmt.Sprintf("cannot encrypt to an identity of type %T", id)}
}

// InitFile makes the file store's identity: the key that its files are encrypted
// to. It goes to $T2_CRED_IDENTITY_FILE or, when that is not set, to DataDir; the
// error wraps fs.ErrExist when one is there already, or comes from elsewhere, and
// nothing is changed then. Who loses the file loses what the store holds.
func InitFile(o Options) (path string, err error) {
	if err := o.check(); err != nil {
		return "", err
	}
	source := sourceOf(o)
	if source.command != nil || source.fromSystemd {
		return source.String(), fs.ErrExist
	}
	path = source.path
	if err := ensureDir(filepath.Dir(path)); err != nil {
		return path, fileBackend{opt: o}.cannot("make the identity", err)
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return path, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return path, fileBackend{opt: o}.cannot("make the identity", err)
	}
	_, err = fmt.Fprintf(f, "# t2-cred: the key to the file store. Keep it: without it the store cannot be read.\n# public key: %s\n%s\n", id.Recipient(), id)
	err = errors.Join(err, f.Chmod(fileMode), f.Sync(), f.Close())
	if err != nil {
		_ = os.Remove(path)
		return path, fileBackend{opt: o}.cannot("make the identity", err)
	}
	return path, syncDir(filepath.Dir(path))
}
