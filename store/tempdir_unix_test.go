//go:build unix

package store

import "testing"

func tempDir(t testing.TB) string { return t.TempDir() }
