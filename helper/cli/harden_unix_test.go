//go:build unix

package cli

import (
	"testing"

	"golang.org/x/sys/unix"
)

// A program that takes our place gets the limits and the umask that we had, also
// where nobody is root: what was lowered must be what can be raised again.
func TestHarden_canBeUndone(t *testing.T) {
	state := func() (core unix.Rlimit, umask int) {
		if err := unix.Getrlimit(unix.RLIMIT_CORE, &core); err != nil {
			t.Fatal(err)
		}
		umask = unix.Umask(0)
		unix.Umask(umask)
		return core, umask
	}
	core, umask := state()
	undo := harden()
	hardCore, hardUmask := state()
	if hardCore.Cur != 0 || hardCore.Max != core.Max || hardUmask != 0o077 {
		t.Errorf("hardened: core %+v, before %+v; umask %04o", hardCore, core, hardUmask)
	}
	undo()
	if softCore, softUmask := state(); softCore != core || softUmask != umask {
		t.Errorf("undone: core %+v, umask %04o; before %+v, %04o", softCore, softUmask, core, umask)
	}
}
