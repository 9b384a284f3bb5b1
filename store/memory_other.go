//go:build !linux

package store

import (
	"errors"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

// memory is Linux' alone: elsewhere each process that asks the engine logs in.
type memory struct{ dir string }

// Get implements backend.Keep.
func (memory) Get(string) (secret.Secret, error) { return "", backend.NotFound() }

// Put implements backend.Keep.
func (memory) Put(string, secret.Secret, time.Duration) error { return errors.ErrUnsupported }

// Remove implements backend.Keep.
func (memory) Remove(string) {}
