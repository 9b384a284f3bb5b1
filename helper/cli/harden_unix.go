//go:build unix

package cli

import "golang.org/x/sys/unix"

// harden keeps the process's memory to itself and makes new files private whatever
// the caller's umask is. Failing changes nothing that the caller could do something
// about. What it changes would be inherited, so a program that takes our place
// (exec) gets it undone: of the limit for core files only the soft part is lowered,
// since nobody but root could raise the hard one again.
func harden() (undo func()) {
	hideMemory()
	var core unix.Rlimit
	known := unix.Getrlimit(unix.RLIMIT_CORE, &core) == nil
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Max: core.Max})
	umask := unix.Umask(0o077)
	return func() {
		unix.Umask(umask)
		if known {
			_ = unix.Setrlimit(unix.RLIMIT_CORE, &core)
		}
	}
}
