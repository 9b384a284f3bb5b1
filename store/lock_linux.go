package store

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
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
	f, err := os.Open("/proc/locks")
	if err != nil {
		return ""
	}
	defer f.Close()
	file := fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		w := strings.Fields(lines.Text())
		// A line of a waiter has "->" second; a holder elsewhere has no pid here.
		if len(w) >= 6 && w[1] == "FLOCK" && w[5] == file && w[4] != "0" && w[4] != "-1" {
			return "process " + w[4]
		}
	}
	return ""
}
