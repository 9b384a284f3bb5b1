//go:build !linux

package keyring

import (
	"errors"
	"os/exec"

	gokeyring "github.com/zalando/go-keyring"

	"github.com/terradue/t2-cred/store/backend"
)

// unlockable: the keyrings of macOS and Windows show their dialogs unasked.
const unlockable = false

// vault is go-keyring, with the errors of this package.
type vault struct{ service string }

// newVault cannot label items: go-keyring takes no label.
func newVault(service string, _ backend.Options) *vault { return &vault{service} }

func (*vault) unlock(op) error { return errors.ErrUnsupported }

func (*vault) list(op) ([]string, error) { return nil, errors.ErrUnsupported }

func (v *vault) get(_ op, name string) (string, error) {
	value, err := gokeyring.Get(v.service, name)
	return value, explain(err)
}

func (v *vault) again(ctx op, name string) (string, error) { return v.get(ctx, name) }

// set reads back: on macOS a write can fail without an error
// (zalando/go-keyring#153).
func (v *vault) set(ctx op, name, value string) error {
	if err := gokeyring.Set(v.service, name, value); err != nil {
		return explain(err)
	}
	got, err := v.get(ctx, name)
	if errors.Is(err, backend.ErrNotFound) || err == nil && got != value {
		return backend.NotKept()
	}
	return err
}

func (v *vault) del(ctx op, name string) error {
	if err := gokeyring.Delete(v.service, name); err != nil {
		if err = explain(err); errors.Is(err, backend.ErrNotFound) {
			return nil
		}
		return err
	}
	_, err := v.get(ctx, name)
	if errors.Is(err, backend.ErrNotFound) {
		return nil
	}
	if err == nil {
		err = notDeleted()
	}
	return err
}

// explain turns what go-keyring said, mostly without a type, into an error of
// this package.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, gokeyring.ErrNotFound):
		return backend.NotFound()
	case errors.Is(err, gokeyring.ErrSetDataTooBig):
		return backend.Errorf(backend.ErrTooLarge, err, nil, "")
	case errors.Is(err, gokeyring.ErrUnsupportedPlatform):
		return backend.Errorf(backend.ErrUnavailable, err, otherStore(), "no keyring on this system")
	case isLocked(err):
		return lockedError(err)
	}
	return refused(err)
}

// isLocked recognises security's exit code for errSecInteractionNotAllowed: a
// locked keychain and nobody to ask, as over SSH. Its text is lost in go-keyring.
func isLocked(err error) bool {
	e, ok := errors.AsType[*exec.ExitError](err)
	return ok && e.ExitCode() == 36
}
