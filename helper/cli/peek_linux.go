package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// maxPeek is enough to recognize a request, and no more than a pipe always holds.
const maxPeek = 4096

// peek is the beginning of the data that a pipe or a socket has now. It consumes nothing and
// never waits. Of other files it says nothing: no tool gives a request in one.
func peek(f *os.File) []byte {
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	switch {
	case info.Mode()&os.ModeSocket != 0:
		text := make([]byte, maxPeek)
		n, _, err := unix.Recvfrom(int(f.Fd()), text, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		if err != nil || n < 0 {
			return nil
		}
		return text[:n]
	case info.Mode()&os.ModeNamedPipe != 0: // unnamed ones too
		return peekPipe(int(f.Fd()))
	}
	return nil
}

// peekPipe duplicates what lies in a pipe into one of our own, which leaves it there.
func peekPipe(fd int) []byte {
	var own [2]int
	if err := unix.Pipe2(own[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil
	}
	defer func() { _, _ = unix.Close(own[0]), unix.Close(own[1]) }()
	if n, err := unix.Tee(fd, own[1], maxPeek, unix.SPLICE_F_NONBLOCK); err != nil || n <= 0 {
		return nil
	}
	text := make([]byte, maxPeek)
	n, err := unix.Read(own[0], text)
	if err != nil || n < 0 {
		return nil
	}
	return text[:n]
}
