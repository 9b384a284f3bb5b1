//go:build !unix

package store

import "os"

// lockFlags open a lock file.
const lockFlags = os.O_CREATE | os.O_RDONLY

// runs reports whether a process of this machine runs.
func runs(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	_ = p.Release()
	return true
}

// checkOwner has nothing to say: a user's profile is that user's.
func (s *Store) checkOwner() error { return nil }
