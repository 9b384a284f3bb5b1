//go:build !linux && !darwin && !freebsd && !netbsd && !openbsd && !dragonfly

package cli

import (
	"os"

	"golang.org/x/term"
)

// hiddenLine reads a line that the terminal does not show.
func hiddenLine(tty *os.File) (string, error) {
	b, err := term.ReadPassword(int(tty.Fd()))
	return string(b), err
}
