package store

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terradue/t2-cred/helper/safefile"
)

// bootID names this run of the machine.
func bootID() string {
	text, _ := safefile.Read("/proc/sys/kernel/random/boot_id", safefile.Want{Max: 64})
	return strings.TrimSpace(string(text))
}

// bootClock is a clock that nobody sets and that goes on while the machine is suspended.
func bootClock() func() time.Duration {
	return func() time.Duration {
		var t unix.Timespec
		_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) // it exists in every kernel that Go runs on
		return time.Duration(t.Nano())
	}
}

// fileID names a file of this run of the machine; empty where it is not known.
func fileID(path, bootID string) string {
	info, err := os.Stat(path)
	if err != nil || bootID == "" {
		return ""
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s %d %d", bootID, st.Dev, st.Ino)
}
