//go:build !linux && !darwin && !windows

package store

import "time"

// bootClock is the time since 1970 by the wall clock, or by the monotonic clock where
// that has gone further: one of them counts a suspension or a clock that was set back.
func bootClock() func() time.Duration {
	begun := time.Now() //nolint:forbidigo // it is the clock of leases, not the caller's
	return func() time.Duration {
		t := time.Now() //nolint:forbidigo // as above
		wall := t.Round(0).Sub(begun.Round(0))
		return time.Duration(begun.UnixNano()) + max(t.Sub(begun), wall)
	}
}
