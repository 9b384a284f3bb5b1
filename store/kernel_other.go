//go:build !linux

package store

import (
	"errors"
	"time"
)

// kernelRing is Linux' alone.
type kernelRing struct{ off bool }

func (kernelRing) get(string) (string, error) { return "", errors.ErrUnsupported }

func (kernelRing) put(string, string, time.Duration) error { return errors.ErrUnsupported }

func (kernelRing) remove(string) {}

func kernelOutlives() bool { return false }
