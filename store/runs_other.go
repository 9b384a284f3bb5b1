//go:build !unix

package store

import "os"

// runs reports whether a process of this machine runs.
func runs(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	_ = p.Release()
	return true
}
