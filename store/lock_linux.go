package store

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/terradue/t2-cred/helper/safefile"
)

// lockHolder says which process holds the lock, as far as the kernel tells, in
// words for a message. /proc/locks has lines like
// "1: FLOCK  ADVISORY  WRITE 1234 fd:01:5678 0 EOF".
func lockHolder(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	file := fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
	for range 3 { // a list that changes while it is read may lack a line
		text, err := safefile.Read("/proc/locks", safefile.Want{Max: 4 << 20})
		if err != nil {
			return ""
		}
		if holder := holderIn(string(text), file); holder != "" {
			return holder
		}
	}
	return ""
}

// holderIn looks for the holder of a file's lock in the text of /proc/locks.
func holderIn(text, file string) string {
	for line := range strings.Lines(text) {
		w := strings.Fields(line)
		// A line of a waiter has "->" second; a holder elsewhere has no pid here.
		if len(w) >= 6 && w[1] == "FLOCK" && w[5] == file && w[4] != "0" && w[4] != "-1" {
			return "process " + w[4]
		}
	}
	return ""
}
