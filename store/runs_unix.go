//go:build unix

package store

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/store/backend"
)

// checkOwner refuses to spend in the directories of another user, as root does under
// sudo -E: the owner could not read what comes.
func (s *Store) checkOwner() error {
	for _, dir := range []string{s.opt.StateDir, s.is.Dir} {
		var st unix.Stat_t
		if dir == "" || unix.Stat(dir, &st) != nil || int(st.Uid) == os.Geteuid() {
			continue
		}
		return backend.Errorf(ErrUnavailable, nil,
			hint.Do(hint.Words("run it as that user; or, if the directory is to be yours: "), hint.Shell("chown", "-R", fmt.Sprint(os.Geteuid()), dir)),
			"%s belongs to user %d and this is user %d", dir, st.Uid, os.Geteuid())
	}
	return nil
}

// lockFlags open a lock file without waiting, should a pipe be in its place.
const lockFlags = os.O_CREATE | os.O_RDONLY | unix.O_NONBLOCK

// runs reports whether a process of this machine runs, as far as we may know.
func runs(pid int) bool {
	err := unix.Kill(pid, 0)
	return pid > 0 && (err == nil || errors.Is(err, unix.EPERM))
}
