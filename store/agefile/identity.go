package agefile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/safefile"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

// source is where the key to the files comes from: given by systemd
// (LoadCredentialEncrypted=), a file that an environment variable names (a mounted
// secret), a command, or a file in the data directory. A place that is named but
// empty is not passed by for the next, because an item that was written with one key is not read with another.
type source struct {
	path        string
	command     []string // in place of path
	fromSystemd bool
	isKey       bool // the variable has the key itself, which is shown nowhere
}

func sourceOf(o backend.Options) source {
	if dir := o.Getenv("CREDENTIALS_DIRECTORY"); filepath.IsAbs(dir) {
		path := filepath.Join(dir, "t2-cred-identity")
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return source{path: path, fromSystemd: true}
		}
	}
	if path := o.Getenv("T2_CRED_IDENTITY_FILE"); path != "" {
		return source{path: path, isKey: strings.Contains(strings.ToUpper(path), "AGE-SECRET-KEY-")}
	}
	if len(o.IdentityCommand) > 0 {
		return source{command: o.IdentityCommand}
	}
	return source{path: filepath.Join(o.DataDir, "identity")}
}

// String is for people.
func (s source) String() string {
	switch {
	case s.command != nil:
		return "the output of " + s.command[0]
	case s.isKey:
		return "T2_CRED_IDENTITY_FILE"
	}
	return s.path
}

// check refuses a key in the place of the name of its file, and a file of the current
// directory, which may be anybody's.
func (s source) check() error {
	switch {
	case s.command == nil && !s.isKey && !filepath.IsAbs(s.path):
		return backend.Errorf(backend.ErrUnavailable, nil, hint.Say("name the file with its whole path, or unset the variable"),
			"T2_CRED_IDENTITY_FILE is not an absolute path; no file of the current directory is read")
	case !s.isKey:
		return nil
	}
	return backend.Errorf(backend.ErrUnavailable, nil, hint.Say("put the identity into a file that only you can read, and name that file"),
		"T2_CRED_IDENTITY_FILE has an identity itself in the place of a file's name")
}

// identities are the keys, read once a process: a refresh needs them six times.
func (s *Store) identities(ctx context.Context) ([]age.Identity, error) {
	if ids, ok := s.keys.Load().([]age.Identity); ok {
		return ids, nil
	}
	ids, err := s.readIdentities(ctx)
	if err == nil {
		s.keys.Store(ids)
	}
	return ids, err
}

// readIdentities reads the keys: all may decrypt, the first is encrypted to, so
// that a key can be changed by putting the new one before the old.
func (s *Store) readIdentities(ctx context.Context) ([]age.Identity, error) {
	from := sourceOf(s.opt)
	text, err := from.read(ctx)
	if err != nil {
		if names, listErr := s.List(ctx, ""); errors.Is(err, fs.ErrNotExist) && listErr == nil && len(names) > 0 {
			return nil, s.identityLost(from.String(), len(names))
		}
		return nil, err
	}
	ids, err := age.ParseIdentities(strings.NewReader(text.Reveal()))
	if err != nil || len(ids) == 0 { // the parser quotes the line: the key itself
		remedy := hint.Do(hint.Shell("age-keygen", "-o", "FILE"), hint.Words(" makes one"))
		if from.command == nil && !from.fromSystemd { // the file that store init makes anew
			remedy = hint.Do(hint.Words("put the right file back; without it: "), hint.Shell("mv", from.path, from.path+".wrong"),
				hint.Words(", and then: "), hint.Run("store", "init"))
		}
		return nil, backend.Errorf(backend.ErrUnavailable, nil, remedy, "%s holds no age identity", from)
	}
	return ids, nil
}

// identityLost is the error of an identity that is missing while items are encrypted to
// it. Where it is lost for good, the items are moved aside, so that store init can make
// another.
func (s *Store) identityLost(from string, items int) error {
	back := "put it back"
	if from == s.opt.Getenv("T2_CRED_IDENTITY_FILE") {
		back += ", or name the right file in T2_CRED_IDENTITY_FILE"
	}
	return backend.Errorf(backend.ErrUnavailable, nil,
		hint.Do(hint.Words(back+": no other identity opens what is stored; if it is lost for good: "), hint.Shell("mv", s.dir, s.dir+".lost"),
			hint.Words(", and then: "), hint.Run("store", "init")),
		"the identity %s is missing, and %d items are encrypted to it", from, items)
}

func (s source) read(ctx context.Context) (secret.Secret, error) {
	if err := s.check(); err != nil {
		return "", err
	}
	if s.command != nil {
		text, err := secret.FromCommand(ctx, s.command)
		if e, ok := errors.AsType[*secret.CommandError](err); ok {
			return "", backend.Errorf(backend.ErrUnavailable, e, hint.Say("run it by hand: it must print the age identity and ask nobody"), "identity_command")
		}
		return text, err
	}
	trust := safefile.Private
	if s.fromSystemd {
		// systemd gives a service's user its right by an ACL, whose mask shows as the
		// group's right; the directory is the service's alone.
		trust = safefile.Anyone
	}
	text, err := safefile.Read(s.path, safefile.Want{Max: secret.MaxSize, Trust: trust})
	switch {
	case err == nil:
		return secret.Secret(text), nil
	case errors.Is(err, safefile.ErrNotRegular): // a pipe would be waited for without an end
		return "", backend.Errorf(backend.ErrUnavailable, nil,
			hint.Say("for one that is made when it is asked for there is identity_command in the configuration"), "the identity %s is not a regular file", s.path)
	case errors.Is(err, safefile.ErrNotOurs):
		return "", backend.Errorf(backend.ErrUnavailable, err, nil, "the identity cannot be trusted") // err knows the repair
	}
	var remedy hint.Remedy
	if errors.Is(err, fs.ErrNotExist) {
		remedy = hint.Do(hint.Run("store", "init"))
	}
	return "", backend.Errorf(backend.ErrUnavailable, err, remedy, "the file store has no identity")
}

func recipient(id age.Identity) (age.Recipient, error) {
	switch id := id.(type) {
	case *age.X25519Identity:
		return id.Recipient(), nil
	case *age.HybridIdentity:
		return id.Recipient(), nil
	}
	return nil, backend.Errorf(backend.ErrUnavailable, nil, nil, "cannot encrypt to an identity of type %T", id)
}

// Init makes the file store's identity: the key that its files are encrypted to. It
// goes to $T2_CRED_IDENTITY_FILE or, when that is not set, to DataDir. The error wraps
// fs.ErrExist when one is there already, or comes from elsewhere, and backend.ErrUnavailable
// when items are there that were encrypted to a missing one; nothing is changed then.
// Whoever loses the file loses what the store holds.
func Init(ctx context.Context, o backend.Options) (path string, err error) {
	s := &Store{opt: o, dir: filepath.Join(o.DataDir, o.Namespace)}
	from := sourceOf(o)
	if from.command != nil || from.fromSystemd {
		return from.String(), fs.ErrExist
	}
	if err := from.check(); err != nil {
		return "", err
	}
	path = from.path
	if _, err := os.Lstat(path); err == nil {
		return path, &fs.PathError{Op: "init", Path: path, Err: fs.ErrExist}
	}
	if names, err := s.List(ctx, ""); err == nil && len(names) > 0 {
		return path, s.identityLost(path, len(names))
	}
	if err := safefile.MakeDir(filepath.Dir(path)); err != nil {
		return path, s.cannot("make the identity", err)
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return path, err
	}
	text := fmt.Sprintf("# t2-cred: the key to the file store. Keep it: without it the store cannot be read.\n# public key: %s\n%s\n", id.Recipient(), id)
	if err := safefile.Create(path, []byte(text)); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return path, err
		}
		return path, s.cannot("make the identity", err)
	}
	return path, nil
}
