package cli

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/store"
)

const (
	// shortestNap bounds how often the issuer is asked, whatever it says of its
	// tokens' life.
	shortestNap = time.Second
	// longestPause bounds how long a watcher waits before it tries again.
	longestPause = time.Minute
	// lookUp is how often the clock is looked at: a timer stands still while the
	// machine sleeps, and the token does not.
	lookUp = time.Minute
)

// errStopped is SIGTERM, the proper end of what goes on until it is stopped.
var errStopped = errors.New("stopped")

// A watcher keeps one file supplied with a valid access token.
type watcher struct {
	request helper.Request
	// get asks for a credential; warn gets what is to be said beside one.
	get     func(ctx context.Context, r helper.Request, warn func(msg string)) (helper.Credential, error)
	now     func() time.Time
	timeout time.Duration // for each round
	output  string
	put     func(helper.Credential) error // into the file
	say     func(line string)
	warn    func(msg string)
	hintFor func(error) string // what to do about an error

	held    helper.Credential // what is in the file; the zero one at first
	trouble int               // rounds that failed since the last good one
	lapsed  bool              // it was said that the token in the file has expired
}

// untilStopped does something until a signal comes, or an error.
func untilStopped(parent context.Context, do func(context.Context) error) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, stopSignals()...)
	defer signal.Stop(signals)
	defer surviveBrokenPipes()()
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	go func() {
		select {
		case s := <-signals:
			if s == syscall.SIGTERM {
				cancel(errStopped)
			}
			cancel(context.Canceled)
		case <-ctx.Done():
		}
	}()
	err := do(ctx)
	if errors.Is(context.Cause(ctx), errStopped) {
		return nil
	}
	return err
}

// watch keeps the file fresh until ctx ends, or a round fails for what time does
// not mend.
func (w *watcher) watch(ctx context.Context) error {
	for {
		next, err := w.round(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		if err := w.sleepUntil(ctx, next); err != nil {
			return err
		}
	}
}

// round renews the token and says when the next round is due.
func (w *watcher) round(ctx context.Context) (next time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	why, err := w.once(ctx)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return time.Time{}, ctx.Err() // it failed for that
	case err != nil && !passing(err) && !w.cannotWriteNow(err):
		return time.Time{}, err
	case err == nil && why == "":
		w.trouble, w.lapsed = 0, false
		return w.renewal(), nil
	}
	w.complain(why, err)
	w.trouble++
	return w.wall().Add(pause(w.trouble)), nil
}

// once gets a token and puts it into the file. Why is what kept it from getting
// another one than is in the file already.
func (w *watcher) once(ctx context.Context) (why string, err error) {
	r, warn := w.request, w.warn
	if left := w.left(); left > 0 {
		// Any that outlives the one in the file, from the cache too: another process
		// may have renewed it. Where the issuer is in trouble, Get returns the old one
		// and says why.
		longer := left + time.Second
		r.MinValid = &longer
		warn = func(msg string) { why = msg }
	}
	c, err := w.get(ctx, r, warn)
	if err != nil {
		return "", err
	}
	if c.Token == w.held.Token {
		return why, nil
	}
	if why != "" && !c.Expiry.After(w.held.Expiry) {
		w.warn(why) // about the new one
	}
	if err := w.put(c); err != nil {
		return "", err
	}
	w.held = c
	w.say(fmt.Sprintf("wrote %s: a token that is valid until %s", w.output, jsonTime(c.Expiry)))
	return "", nil
}

// renewal is when the token in the file is to be renewed: with a third of its life
// left, or what was asked for, but not before half of it is over.
func (w *watcher) renewal() time.Time {
	left := w.left()
	margin := left / 3
	if w.request.MinValid != nil {
		margin = min(*w.request.MinValid, left/2)
	}
	// Not all watchers of a fleet at the same moment.
	margin += time.Duration(rand.Float64() * float64(left) / 20)
	return w.wall().Add(max(left-margin, shortestNap))
}

// complain says that there is trouble when it begins, and again when it has cost
// the file its valid token.
func (w *watcher) complain(why string, err error) {
	left := w.left()
	lapsed := left <= 0 && !w.lapsed
	if w.trouble > 0 && !lapsed {
		return
	}
	w.lapsed = w.lapsed || lapsed
	if err == nil { // it says for how long the old one is good
		w.warn(fmt.Sprintf("%s: %s; trying on", w.output, why))
		return
	}
	state := fmt.Sprintf("its token is valid for %s", left.Round(time.Second))
	switch {
	case w.held.Expiry.IsZero():
		state = "nothing was written yet"
	case lapsed:
		state = "its token has expired"
	}
	w.warn(fmt.Sprintf("%s: %v; %s; trying on", w.output, err, state))
	if todo := w.hintFor(err); todo != "" {
		w.say("hint: " + todo)
	}
}

// pause is how long to wait after so many failures in a row: from a second to a
// minute, more or less.
func pause(failures int) time.Duration {
	p := min(time.Second<<min(failures-1, 6), longestPause)
	return p*3/4 + time.Duration(rand.Float64()*float64(p)/4)
}

// passing reports whether time may mend it.
func passing(err error) bool {
	code, _ := classify(err)
	return code == exitUnreachable || code == exitBusy || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, store.ErrLocked) || errors.Is(err, store.ErrUnavailable)
}

// cannotWriteNow is a full disk, or the like, for a file that could be written
// before.
func (w *watcher) cannotWriteNow(err error) bool {
	return errors.Is(err, errOutput) && !w.held.Expiry.IsZero()
}

// wall is the time that a clock on the wall shows, which goes on while the machine
// sleeps.
func (w *watcher) wall() time.Time { return w.now().Round(0) }

// left is how long the token in the file is valid.
func (w *watcher) left() time.Duration { return w.held.Expiry.Sub(w.wall()) }

func (w *watcher) sleepUntil(ctx context.Context, t time.Time) error {
	for {
		left := t.Sub(w.wall())
		if left <= 0 {
			return ctx.Err()
		}
		timer := time.NewTimer(min(left, lookUp))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}
