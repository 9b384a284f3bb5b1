//go:build !unix

package store

import (
	"errors"
	"testing"
)

func strictUmask(*testing.T) {}

func makePipe(string) error { return errors.ErrUnsupported }
