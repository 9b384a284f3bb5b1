//go:build !unix

package cli

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
)

// become runs the command and waits, where no process can take another's place.
// Ctrl-C reaches it by the console, and it alone decides what comes of that.
func (a *app) become(path string, argv, environ []string) error {
	signal.Ignore(os.Interrupt)
	a.soften()
	cmd := &exec.Cmd{Path: path, Args: argv, Env: environ, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit):
		return childExit(exit.ExitCode())
	}
	return cannotRun(argv[0], err)
}
