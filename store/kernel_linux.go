package store

import (
	"errors"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terradue/t2-cred/helper/safefile"
	"github.com/terradue/t2-cred/store/backend"
)

// kernelRing keeps small secrets in the kernel's keyring of this user: in memory
// only, gone at the latest with the machine. With off it refuses everything, as
// a container's seccomp profile does.
type kernelRing struct{ off bool }

const (
	// The whole of it for the possessor and for this user, nothing for others.
	// Without the user's part a process in a session that is not linked to the
	// user keyring (a systemd service, cron) could not read what another put there.
	keyPerm = 0x3f3f0000
	// maxKey is the kernel's limit for the payload of a user key.
	maxKey = 32767
)

// get returns a key's payload; the error wraps ErrNotFound when there is none,
// also when it expired.
func (r kernelRing) get(name string) (string, error) {
	if r.off {
		return "", errors.ErrUnsupported
	}
	id, err := findKey(name)
	if err != nil {
		return "", err
	}
	for buf := make([]byte, 4096); ; {
		n, err := unix.KeyctlBuffer(unix.KEYCTL_READ, id, buf, 0)
		if err != nil {
			return "", keyError(err)
		}
		if n <= len(buf) {
			return string(buf[:n]), nil
		}
		buf = make([]byte, n)
	}
}

// put adds or replaces a key that ends after ttl; 0 is without end. On an error
// no key of that name is left: an old one would pass for the new.
func (r kernelRing) put(name, payload string, ttl time.Duration) error {
	if r.off {
		return errors.ErrUnsupported
	}
	if len(payload) > maxKey {
		r.remove(name)
		return backend.Errorf(backend.ErrTooLarge, nil, nil, "kernel keyring")
	}
	err := possessing(func() error {
		id, err := unix.AddKey("user", name, []byte(payload), unix.KEY_SPEC_USER_KEYRING)
		if err != nil {
			return err
		}
		if err := unix.KeyctlSetperm(id, keyPerm); err != nil {
			return err
		}
		// The kernel counts whole seconds; 0 means no timeout.
		seconds := 0
		if ttl > 0 {
			seconds = max(1, int(ttl/time.Second))
		}
		_, err = unix.KeyctlInt(unix.KEYCTL_SET_TIMEOUT, id, seconds, 0, 0)
		return err
	})
	if err != nil {
		r.remove(name)
	}
	return err
}

// remove unlinks the key, if there is one. It needs no right on the key itself.
func (r kernelRing) remove(name string) {
	if r.off {
		return
	}
	_ = possessing(func() error {
		id, err := findKey(name)
		if err == nil {
			_, err = unix.KeyctlInt(unix.KEYCTL_UNLINK, id, unix.KEY_SPEC_USER_KEYRING, 0, 0)
		}
		return err
	})
}

// possessing runs f again, with the user keyring linked to this thread, when the
// kernel denied it. A process whose session is not linked to the user keyring (a
// systemd service, cron) does not possess what it puts there, and may not even
// change the key that it has just made.
func possessing(f func() error) error {
	err := f()
	if !errors.Is(err, unix.EACCES) {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if _, linkErr := unix.KeyctlInt(unix.KEYCTL_LINK, unix.KEY_SPEC_USER_KEYRING, unix.KEY_SPEC_THREAD_KEYRING, 0, 0); linkErr != nil {
		return err
	}
	return f()
}

func findKey(name string) (int, error) {
	id, err := unix.KeyctlSearch(unix.KEY_SPEC_USER_KEYRING, "user", name, 0)
	return id, keyError(err)
}

func keyError(err error) error {
	switch {
	case errors.Is(err, unix.ENOKEY), errors.Is(err, unix.EKEYEXPIRED), errors.Is(err, unix.EKEYREVOKED):
		return backend.Errorf(backend.ErrNotFound, err, nil, "")
	}
	return err
}

// kernelOutlives reports whether the kernel's keyring of this user lasts longer than
// this process's user namespace. In a namespace of its own, as in a rootless
// container, it does not.
func kernelOutlives() bool {
	const whole = "0 0 4294967295"
	text, err := safefile.Read("/proc/self/uid_map", safefile.Want{Max: 4 << 10})
	return err == nil && strings.Join(strings.Fields(string(text)), " ") == whole
}
