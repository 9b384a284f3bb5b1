//go:build !linux

package store

// bootID is known on Linux alone. A clock that starts again with the machine never says
// that more time has passed than has: see seenFor.
func bootID() string { return "" }

// fileID is known on Linux alone: elsewhere a claim of this machine is like any other.
func fileID(string, string) string { return "" }
