//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// hiddenLine reads a line that the terminal does not show. x/term's ReadPassword leaves
// the terminal in line mode: that ends a line after 4,095 bytes, which cuts long tokens
// off, and Ctrl-D on an empty line does not end the read. The caller restores the terminal.
func hiddenLine(tty *os.File) (string, error) {
	fd := int(tty.Fd())
	mode, err := unix.IoctlGetTermios(fd, getMode)
	if err != nil {
		return "", err
	}
	mode.Lflag &^= unix.ECHO | unix.ICANON
	mode.Lflag |= unix.ISIG // Ctrl-C goes on being a signal
	mode.Iflag |= unix.ICRNL
	mode.Cc[unix.VMIN], mode.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, setMode, mode); err != nil {
		return "", err
	}
	return readHidden(tty)
}
