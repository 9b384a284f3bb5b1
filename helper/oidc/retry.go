package oidc

import (
	"context"
	"crypto/tls"
	"errors"
	"time"
)

// pauses between tries; their number bounds the tries. Retry-After, when the
// issuer gives one, counts instead if the deadline allows it.
var pauses = [...]time.Duration{300 * time.Millisecond, 1200 * time.Millisecond}

// retry runs do until it succeeds, fails for good, or has failed len(pauses)+1
// times. do must be harmless when it is repeated.
func (i *Issuer) retry(ctx context.Context, do func() error) error {
	for try := 0; ; try++ {
		err := do()
		if err == nil || !mayPass(err) || !i.pause(ctx, try, err) {
			return err
		}
	}
}

// mayPass reports whether the next try may do better: the issuer is overloaded, or
// the connection failed. A certificate or a proxy's refusal stays as it is.
func mayPass(err error) bool {
	var refused *Error
	if errors.As(err, &refused) {
		return refused.overloaded()
	}
	var proxy *proxyError
	if errors.As(err, &proxy) && proxy.status < 500 {
		return false
	}
	var certificate *tls.CertificateVerificationError
	return errors.Is(err, ErrUnreachable) && !errors.As(err, &certificate)
}

// pause waits before the next try. It is false when there is none: the tries are used
// up, or ctx leaves no time.
func (i *Issuer) pause(ctx context.Context, try int, err error) bool {
	if try == len(pauses) || ctx.Err() != nil {
		return false
	}
	pause := pauses[try]
	var refused *Error
	if errors.As(err, &refused) && refused.RetryAfter > 0 {
		pause = refused.RetryAfter
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < pause+time.Second {
		return false
	}
	i.opt.Log.Debug("trying again", "after", pause, "error", err.Error())
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
