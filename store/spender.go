package store

import (
	"context"
	"time"
)

// A Want says which cached token makes a refresh needless.
type Want struct {
	// Enough reports whether a cached token will do.
	Enough func(Token) bool
	// Fresh passes by a token that was cached before this refresh was asked for.
	Fresh bool
	// Patience bounds the wait for another process or machine that refreshes. Zero is
	// as long as the context lasts.
	Patience time.Duration
}

// patient is the context of a wait for somebody else.
func (w Want) patient(ctx context.Context) (context.Context, context.CancelFunc) {
	if w.Patience <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, w.Patience)
}

// Found is what a refresh starts from.
type Found struct {
	Record
	// Doubt is an earlier refresh that got no answer, or nil.
	Doubt *Doubt
	// Asked says that another process has had the issuer's answer about this account
	// while this one waited for the lock.
	Asked bool
	// Elsewhere says that another machine refreshed last: the store was copied.
	Elsewhere bool
}

// A Verdict is what became of a refresh token that was to be sent.
type Verdict int

// Verdicts. The zero one claims nothing.
const (
	// Unanswered: it may have been sent, and nobody knows what came of it.
	Unanswered Verdict = iota
	// NotSent: no byte of the request left.
	NotSent
	// Refused: the issuer answered, and has not taken the token.
	Refused
	// Granted: the issuer answered with tokens.
	Granted
)

// A Spender is the issuer's side of a refresh. Its methods are called in this order.
type Spender interface {
	// Prepare has at hand all that sending and verifying need, or says why nothing is
	// to be sent. It may return another record than was found, to be saved beside its
	// error: a grant that turned out to be revoked.
	Prepare(ctx context.Context, found Found) (Record, error)
	// Send sends the refresh token once. ready is called at the last moment before the
	// first byte leaves; its error forbids it. The record is what is to be stored: with
	// Granted the new refresh token, with Refused the mark that the grant is revoked, or
	// the zero Record for no change.
	Send(ctx context.Context, ready func() error) (Record, Verdict, error)
	// Verify verifies the access token of a record that is sealed by now and is being
	// stored, and returns the record with the token and with what its claims tell. Beside
	// an error the record counts too.
	Verify(ctx context.Context, stored Record) (Record, error)
}
