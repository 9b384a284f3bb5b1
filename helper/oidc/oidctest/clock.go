package oidctest

import (
	"sync"
	"time"
)

// A Clock is what an issuer tells the time by: iat, exp and nbf, the end of
// sessions, the Date header. It starts at the real time and goes on with it.
type Clock struct {
	mu     sync.Mutex
	offset time.Duration
	frozen time.Time
}

// Now is the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.frozen.IsZero() {
		return c.frozen
	}
	return time.Now().Add(c.offset)
}

// Advance puts the clock forward, or back if d is negative.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
	if !c.frozen.IsZero() {
		c.frozen = c.frozen.Add(d)
	}
}

// Freeze stops the clock at t; only Advance moves it then.
func (c *Clock) Freeze(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen = t
}
