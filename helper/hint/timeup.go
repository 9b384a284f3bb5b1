package hint

import (
	"context"
	"errors"
)

// TimeUp makes an error for people of the bare one that a context has when the time of its
// caller is over. doing follows "the time was up". Every other error stays as it is, and so
// does an interrupt.
func TimeUp(err error, doing string) error {
	if !errors.Is(err, context.DeadlineExceeded) || err.Error() != context.DeadlineExceeded.Error() {
		return err
	}
	return &Error{
		Kind: context.DeadlineExceeded, Detail: "the time was up " + doing,
		Remedy: Say("try again, or give it longer with --timeout"),
	}
}
