package cli

import (
	"errors"
	"io"
	"io/fs"

	"github.com/terradue/t2-cred/helper/hint"
)

// A stdout is standard output. It remembers the first error, so that no command ends
// with 0 whose output is lost.
type stdout struct {
	to  io.Writer
	err error
}

// Write implements io.Writer.
func (s *stdout) Write(b []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.to.Write(b)
	if err != nil {
		s.err = stdoutError(err)
	}
	return n, s.err
}

// stdoutError is the error of an output that cannot be written.
func stdoutError(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err // its name says nothing new
	}
	return &hint.Error{
		Kind: errStdout, Err: err,
		Remedy: hint.Say("give standard output a file, a pipe or a terminal that can be written"),
	}
}
