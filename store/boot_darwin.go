package store

import (
	"time"

	"golang.org/x/sys/unix"
)

// bootClock is a clock that nobody sets and that goes on while the machine sleeps.
func bootClock() func() time.Duration {
	return func() time.Duration {
		var t unix.Timespec
		_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // it exists since macOS 10.12
		return time.Duration(t.Nano())
	}
}
