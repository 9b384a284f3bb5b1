//go:build unix && !linux

package cli

import "golang.org/x/sys/unix"

// harden lets no core file be written and makes new files private whatever the
// caller's umask is.
func harden() {
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	unix.Umask(0o077)
}
