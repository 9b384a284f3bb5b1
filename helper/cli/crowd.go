package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/store"
)

const (
	// crowdWidth is on how many accounts a command works at once.
	crowdWidth = 8
	// crowdTries is after how many failures in a row a client is left alone.
	crowdTries = 3
)

// A crowd is many accounts for which issuers are asked. Each client at each issuer has a
// lane of its own, so that a slow issuer does not keep the others waiting. One account that
// fails never stops the rest.
type crowd struct {
	*app
	what string  // the command, for the progress line
	rate float64 // requests a second at one issuer; 0 for no limit
	// ready says whether the issuer is asked about an account; if not, one is done.
	ready func(ctx context.Context, one *outcome) bool
	// ask asks it. The error is kept in one, and slows down or ends its lane.
	ask func(ctx context.Context, h *helper.Helper, one *outcome) error
	// tell is called for each account, in their order, by one goroutine.
	tell func(one outcome)
}

// An outcome is what became of one account.
type outcome struct {
	account store.Account
	state   string
	err     error
}

// run goes through the accounts and returns what became of them. When ctx is cancelled
// it ends early: then reached says how many were seen to.
func (c *crowd) run(ctx context.Context, s *store.Store, accounts []store.Account) (all []outcome, reached int) {
	all = make([]outcome, len(accounts))
	lanes, paces := map[string]*lane{}, map[string]*pace{}
	for i, a := range accounts {
		all[i].account = a
		client := a.ClientID + " at " + a.Issuer
		if lanes[client] == nil {
			if paces[a.Issuer] == nil {
				paces[a.Issuer] = newPace(c.rate)
			}
			lanes[client] = &lane{pace: paces[a.Issuer], window: 1, changed: make(chan struct{})}
		}
		lanes[client].accounts = append(lanes[client].accounts, i)
	}
	// A slot is a helper that keeps its issuers: documents and connections serve for
	// many accounts. One goroutine at a time uses it.
	slots := make(chan *helper.Helper, crowdWidth)
	for range crowdWidth {
		slots <- c.sharing(c.newHelper(s))
	}
	line := c.progress(c.what, len(accounts))
	defer line.end()
	finished := make(chan int, crowdWidth)
	var running sync.WaitGroup
	for _, l := range lanes {
		running.Go(func() { c.drive(ctx, l, all, slots, finished) })
	}
	go func() { running.Wait(); close(finished) }()
	seen, told := make([]bool, len(all)), 0
	for i := range finished {
		seen[i] = true
		reached++
		line.step()
		for ; told < len(all) && seen[told]; told++ {
			c.tell(all[told])
		}
	}
	for ; told < len(all); told++ { // after an interruption some are missing in between
		if seen[told] {
			c.tell(all[told])
		}
	}
	return all, reached
}

// drive sees to the accounts of one lane.
func (c *crowd) drive(ctx context.Context, l *lane, all []outcome, slots chan *helper.Helper, finished chan<- int) {
	var running sync.WaitGroup
	defer running.Wait()
	for _, i := range l.accounts {
		one := &all[i]
		if errors.Is(ctx.Err(), context.Canceled) {
			return
		}
		ask, err := guarded(func() (bool, error) { return c.ready(ctx, one), nil })
		if err == nil && ask {
			err = l.enter(ctx)
		}
		if err != nil || !ask {
			if errors.Is(err, context.Canceled) {
				return
			}
			if err != nil {
				one.err = err
			}
			finished <- i
			continue
		}
		h := <-slots
		running.Go(func() {
			_, err := guarded(func() (any, error) { return nil, c.ask(ctx, h, one) })
			slots <- h
			l.leave(err)
			if errors.Is(err, context.Canceled) && errors.Is(ctx.Err(), context.Canceled) {
				return // it was not seen to
			}
			one.err = err
			finished <- i
		})
	}
}

// sharing makes a helper keep each issuer that it was given.
func (a *app) sharing(h *helper.Helper) *helper.Helper {
	open, kept := h.Issuer, map[string]*oidc.Issuer{}
	h.Issuer = func(p helper.Profile) *oidc.Issuer {
		name := p.Name + "\n" + p.Issuer
		if kept[name] == nil {
			kept[name] = open(p)
		}
		return kept[name]
	}
	return h
}

// A lane is the accounts of one client at one issuer. It begins with one account at a
// time and widens with every success, so that a client whose requests fail is asked
// crowdTries times and not for each account.
type lane struct {
	pace     *pace
	accounts []int

	mu              sync.Mutex
	window, running int
	failed          int   // in a row
	throttled       int   // in a row
	last            error // of the last failure
	changed         chan struct{}
}

// maxThrottled is after how many answers in a row that ask to slow down a client is left
// alone.
const maxThrottled = 10

// enter waits until the next account may be asked about. The error says why it is not.
func (l *lane) enter(ctx context.Context) error {
	for {
		l.mu.Lock()
		switch {
		case l.failed >= crowdTries, l.throttled >= maxThrottled:
			defer l.mu.Unlock()
			return fmt.Errorf("not asked, as it has just failed %d times in a row: %w", max(l.failed, l.throttled), l.last)
		case l.running < l.window:
			l.running++
			l.mu.Unlock()
			if err := l.pace.wait(ctx); err != nil {
				l.free()
				return notReached(err)
			}
			return nil
		}
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return notReached(ctx.Err())
		}
	}
}

// leave says how it went.
func (l *lane) leave(err error) {
	defer l.free()
	l.mu.Lock()
	defer l.mu.Unlock()
	slow, wait := asksToSlowDown(err)
	switch code := codeOf(err); {
	case err == nil:
		l.failed, l.throttled = 0, 0
		l.window = min(2*l.window, crowdWidth)
		l.pace.faster()
	case slow:
		l.throttled++
		l.window, l.last = 1, err
		l.pace.slower(wait)
	case code == exitUnreachable, code == exitRefused: // a client that is refused, too
		l.failed++
		l.window, l.last = 1, err
	case code == exitLogin: // the issuer answers
		l.failed, l.throttled = 0, 0
	}
}

func (l *lane) free() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
	close(l.changed)
	l.changed = make(chan struct{})
}

// codeOf is the exit code that an error would end a command with.
func codeOf(err error) int {
	if err == nil {
		return exitOK
	}
	code, _ := classify(err)
	return code
}

func notReached(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return hint.TimeUp(context.DeadlineExceeded, "before this account was reached")
	}
	return err
}
