package cli

import (
	"fmt"
	"io/fs"
	"syscall"
)

// inode tells a file from another that took its place with the same size and time,
// and shows a change that put the time back.
func inode(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprint(st.Dev, st.Ino, st.Ctim.Sec, st.Ctim.Nsec)
}
