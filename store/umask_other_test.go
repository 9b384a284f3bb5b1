//go:build !unix

package store

import "testing"

func strictUmask(*testing.T) {}
