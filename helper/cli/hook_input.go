package cli

import (
	"errors"
	"io"
	"time"
)

// A hookInput is standard input of a hook. Its reads end with the deadline of --timeout: a
// tool that says nothing, or not all, must not have its helper wait for ever.
type hookInput struct {
	in       io.Reader
	deadline *lazyDeadline
	err      error // of a read that is still under way
}

// hookInput is what a hook reads. A person who types has all the time there is.
func (a *app) hookInput() io.Reader {
	if a.StdinTerminal {
		return a.Stdin
	}
	return &hookInput{in: a.Stdin, deadline: a.deadline}
}

// Read implements io.Reader.
func (h *hookInput) Read(p []byte) (int, error) {
	if h.err != nil {
		return 0, h.err
	}
	type result struct {
		text []byte
		err  error
	}
	read := make(chan result, 1)
	go func() { // nothing can interrupt it, so it must not write into p
		text := make([]byte, len(p))
		n, err := guarded(func() (int, error) { return h.in.Read(text) })
		read <- result{text[:n], err}
	}()
	until, _ := h.deadline.Deadline()
	late := time.NewTimer(time.Until(until))
	defer late.Stop()
	select {
	case r := <-read:
		return copy(p, r.text), r.err
	case <-late.C:
		h.err = usageError(errors.New("standard input did not end within --timeout"))
	case <-h.deadline.begun():
		if h.err = h.deadline.Err(); h.deadline.isOver() {
			h.err = usageError(errors.New("standard input did not end within --timeout"))
		}
	}
	return 0, h.err
}
