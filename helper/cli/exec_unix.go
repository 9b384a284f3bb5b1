//go:build unix

package cli

import "syscall"

// become makes this process the command: nothing of us stays that could get in the
// way of a signal, or hold a secret. Files and locks close by themselves.
func (a *app) become(path string, argv, environ []string) error {
	a.soften()
	return cannotRun(argv[0], syscall.Exec(path, argv, environ))
}
