//go:build unix

package cli

import (
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/terradue/t2-cred/helper/hint"
)

// notOfSudo refuses a directory that belongs to the user who called sudo, or that would
// be made in one: what root makes there the user can neither read nor replace.
func (a *app) notOfSudo(dir string) error {
	caller, err := strconv.ParseUint(a.Getenv("SUDO_UID"), 10, 32)
	if err != nil || caller == 0 || os.Geteuid() != 0 {
		return nil //nolint:nilerr // nobody has called sudo
	}
	var st unix.Stat_t
	for unix.Stat(dir, &st) != nil && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
	}
	if st.Uid != uint32(caller) {
		return nil
	}
	return configErrorf(hint.Say("run it without sudo; or with root's own home: sudo -H"),
		"%s belongs to user %d, who has called sudo and could not use what root makes there", dir, caller)
}
