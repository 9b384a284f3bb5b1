package store

import (
	"time"

	"golang.org/x/sys/windows"
)

// bootClock is a clock that nobody sets and that goes on while the machine sleeps. It moves
// in steps of up to 16 ms.
func bootClock() func() time.Duration { return windows.DurationSinceBoot }
