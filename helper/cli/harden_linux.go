package cli

import "golang.org/x/sys/unix"

// harden keeps the process's memory to itself: no core file, and no reading by
// ptrace or /proc/PID/mem of another process of the user. It also makes new
// files private whatever the caller's umask is. Failing changes nothing that
// the caller could do something about.
func harden() {
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	unix.Umask(0o077)
}
