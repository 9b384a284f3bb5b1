package oidc

import (
	"context"
	"errors"
	"time"
)

// pauses between tries; their number bounds the tries. Retry-After, when the
// issuer gives one, is kept to if the deadline allows it.
var pauses = [...]time.Duration{300 * time.Millisecond, 1200 * time.Millisecond}

// retry runs do until it succeeds, fails for good, or has failed len(pauses)+1
// times. A failure is tried again when no connection was made (the request
// never left), when the issuer said 429 (it did not serve it), or when it is
// repeatable: a second one does no harm although the first may have been served.
func (i *Issuer) retry(ctx context.Context, repeatable bool, do func() error) error {
	for try := 0; ; try++ {
		err := do()
		if err == nil || try == len(pauses) || ctx.Err() != nil {
			return err
		}
		var refused *Error
		isRefusal := errors.As(err, &refused)
		switch {
		case isRefusal && refused.Status == 429:
		case neverSent(err):
		case isRefusal && !refused.Temporary():
			return err
		case !isRefusal && !errors.Is(err, ErrUnreachable):
			return err
		case !repeatable:
			return err
		}
		pause := pauses[try]
		if isRefusal && refused.RetryAfter > 0 {
			pause = refused.RetryAfter
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < pause+time.Second {
			return err
		}
		i.opt.Log.Debug("trying again", "after", pause, "error", err.Error())
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
	}
}
