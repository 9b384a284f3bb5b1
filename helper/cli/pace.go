package cli

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/terradue/t2-cred/helper/oidc"
)

const (
	// slowStart is the pause after which an issuer that had none is asked again, once
	// it has asked to slow down; each further time the pause doubles.
	slowStart = 50 * time.Millisecond
	slowest   = 5 * time.Second
	// throttlePause is the pause after a 429 without Retry-After.
	throttlePause = time.Second
)

// A pace spreads the requests at one issuer. It is slower for a while after the issuer
// has asked for that.
type pace struct {
	least time.Duration // between two requests

	mu    sync.Mutex
	pause time.Duration // between two requests, now
	next  time.Time
}

// newPace makes one of that many requests a second; 0 is no limit.
func newPace(rate float64) *pace {
	p := &pace{}
	if rate > 0 {
		p.least = time.Duration(float64(time.Second) / rate)
	}
	p.pause = p.least
	return p
}

// wait waits for the turn of the next request.
func (p *pace) wait(ctx context.Context) error {
	for {
		p.mu.Lock()
		now := time.Now()
		left := p.next.Sub(now)
		if left <= 0 {
			p.next = now.Add(p.pause)
			p.mu.Unlock()
			return ctx.Err()
		}
		p.mu.Unlock()
		timer := time.NewTimer(left)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// slower is called after the issuer has asked to slow down, and for how long to wait.
func (p *pace) slower(wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pause = min(max(2*p.pause, slowStart), slowest)
	if until := time.Now().Add(wait); until.After(p.next) {
		p.next = until
	}
}

// faster is called after a success.
func (p *pace) faster() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pause = max(p.least, p.pause*9/10)
	if p.pause < slowStart/10 {
		p.pause = p.least
	}
}

// asksToSlowDown reports whether an answer is 429 or has Retry-After, and how long to
// wait.
func asksToSlowDown(err error) (slow bool, wait time.Duration) {
	var refused *oidc.Error
	if !errors.As(err, &refused) || refused.Status != http.StatusTooManyRequests && refused.RetryAfter == 0 {
		return false, 0
	}
	if refused.RetryAfter == 0 {
		return true, throttlePause
	}
	return true, refused.RetryAfter
}
