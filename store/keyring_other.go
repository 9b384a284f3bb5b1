//go:build !linux

package store

import (
	"context"
	"errors"
	"os/exec"
)

// bus has nothing to look at: the keyrings of macOS and Windows are always there.
type bus struct{}

func newBus(func(string) string) *bus { return &bus{} }

func (*bus) check(context.Context) error { return nil }

func (*bus) unlock(context.Context) error { return nil }

func (*bus) list(context.Context, string) ([]string, error) { return nil, errors.ErrUnsupported }

func isNoObject(error) bool { return false }

// isLocked recognises security's exit code for errSecInteractionNotAllowed: a
// locked keychain and nobody to ask, as over SSH. Its text is lost in go-keyring.
func isLocked(err error) bool {
	e, ok := errors.AsType[*exec.ExitError](err)
	return ok && e.ExitCode() == 36
}
