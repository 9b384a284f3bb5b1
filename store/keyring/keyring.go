// Package keyring is the backend that keeps items in the keyring of the operating
// system: the Secret Service on Linux, spoken to over D-Bus in go-keyring's own form,
// and go-keyring itself on macOS and Windows.
//
// Its Go API is internal to t2-cred and may change at any time.
package keyring

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

// Open returns the backend. It touches nothing.
func Open(o backend.Options) (backend.Backend, error) {
	k := &Keyring{opt: o, shared: &shared{vault: newVault("t2-cred-"+o.Namespace, o)}}
	k.split = splitter{items: keyringItems{k}, limit: itemLimit(runtime.GOOS)}
	return k, nil
}

// callLimit bounds an operation on the keyring in which nobody is waited for. A caller with
// much time gives the keyring more: an eighth of the time until the deadline.
const callLimit = 5 * time.Second

// dialogLimit bounds the wait for a person to answer the keyring's own dialog,
// should the caller have no deadline.
const dialogLimit = time.Minute

// itemLimit is the size of the largest item, by operating system. Windows'
// credential manager has a hard limit. On macOS go-keyring writes one line to
// security, of at most 4,095 bytes with base64 and the names; at exactly 4,096 a
// write fails without an error (zalando/go-keyring#153). Secret Service has no
// limit of its own, but gnome-keyring rewrites everything on each write.
func itemLimit(goos string) int {
	switch goos {
	case "windows":
		return 2560
	case "darwin":
		return 2800
	}
	return 16 << 10
}

// A Keyring is the keyring of the operating system. What it is asked is asked aside,
// with a deadline, and what it is told is not believed until read back: keyrings
// hang, and their clients panic.
type Keyring struct {
	opt   backend.Options
	split splitter
	quiet bool // no dialog is shown, whoever is there
	*shared
}

// shared is what a Keyring and its unattended twin have in common.
type shared struct {
	vault *vault // of this operating system
	// lost counts the calls that were given up and still hang. They cannot be
	// stopped. While any call hangs, further calls fail fast.
	lost atomic.Int32
	// saidAsks: the person knows by now that the keyring asks about single items.
	saidAsks atomic.Bool
}

// Unattended implements backend.Asker.
func (k *Keyring) Unattended() backend.Backend {
	twin := &Keyring{opt: k.opt, quiet: true, shared: k.shared}
	twin.split = splitter{items: keyringItems{twin}, limit: k.split.limit}
	return twin
}

// Describe implements backend.Backend.
func (k *Keyring) Describe() backend.Description {
	return backend.Description{
		Name: "keyring", Where: "the OS keyring, service " + k.vault.service,
		Proves: true, KernelCache: true, Slow: true,
	}
}

// An op is an operation under way, with what it may do about a dialog.
type op struct {
	context.Context
	ask asking
}

type asking int

const (
	// showDialogs shows what the keyring wants to ask.
	showDialogs asking = iota
	// askLater ends in errAsks instead, so that the person can be told first and given
	// time to answer.
	askLater
	// askNobody makes what needs a dialog an error.
	askNobody
)

var errAsks = errors.New("the keyring asks first")

// Load implements backend.Backend.
func (k *Keyring) Load(ctx context.Context, name string) (secret.Secret, backend.Revision, error) {
	var value string
	var rev backend.Revision
	err := k.do(ctx, func(o op) error {
		v, h, err := k.split.load(o, name)
		value, rev = v, h.revision()
		return err
	})
	if err != nil {
		value = ""
	}
	return secret.Secret(value), rev, err
}

// Save implements backend.Backend. The Secret Service has no check-and-set, so what
// is there is compared under the caller's lock.
func (k *Keyring) Save(ctx context.Context, name string, value secret.Secret, replaces backend.Revision) (rev backend.Revision, err error) {
	if err := backend.CheckSize(value); err != nil {
		return "", err
	}
	err = k.do(ctx, func(o op) error {
		old, err := headOf(keyringItems{k}.again(o, name))
		if err != nil && !errors.Is(err, backend.ErrCorrupt) {
			return err
		}
		if old.revision() != replaces {
			return backend.Conflict(name)
		}
		if old.kind == headBad {
			old = head{kind: headGone, raw: string(headGone)} // overwritten, and chunks looked for
		}
		raw, err := k.split.save(o, name, value.Reveal(), old)
		if h, parseErr := parseHead(raw); err == nil && parseErr == nil {
			rev = h.revision()
		}
		return err
	})
	return rev, err
}

// Delete implements backend.Backend.
func (k *Keyring) Delete(ctx context.Context, name string) error {
	return k.do(ctx, func(o op) error { return k.split.remove(o, name) })
}

// List implements backend.Backend. It has one page.
func (k *Keyring) List(ctx context.Context, after string) ([]string, error) {
	if after != "" {
		return nil, nil
	}
	var all []string
	err := k.do(ctx, func(o op) error {
		return k.aside(o, func() (err error) { all, err = k.vault.list(o); return err })
	})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range all {
		if !strings.Contains(name, "/") { // a chunk
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// do runs an operation within its time, and when the keyring is locked, once more
// after it was unlocked, if somebody is there to do it.
func (k *Keyring) do(ctx context.Context, f func(o op) error) error {
	switch {
	case k.quiet:
		return within(op{ctx, askNobody}, k.limit(ctx), f)
	case !unlockable || !k.opt.Attended:
		return within(op{ctx, showDialogs}, k.limit(ctx), f)
	}
	err := k.withDialogNotice(ctx, f)
	if !errors.Is(err, backend.ErrLocked) {
		return err
	}
	k.opt.Warn("waiting for the keyring to be unlocked")
	err = within(op{ctx, showDialogs}, dialogLimit, func(o op) error {
		return k.aside(o, func() error { return k.vault.unlock(o) })
	})
	if err != nil {
		return err
	}
	return k.withDialogNotice(ctx, f)
}

// withDialogNotice runs an operation within its time. Where the keyring asks about an
// item, it says so and runs the operation once more, with the time for an answer.
func (k *Keyring) withDialogNotice(ctx context.Context, f func(o op) error) error {
	err := within(op{ctx, askLater}, k.limit(ctx), f)
	if !errors.Is(err, errAsks) {
		return err
	}
	if !k.saidAsks.Swap(true) {
		k.opt.Warn("waiting for the keyring's dialog to be answered: it asks before it gives or changes an item")
	}
	return within(op{ctx, showDialogs}, dialogLimit, f)
}

func within(o op, limit time.Duration, f func(o op) error) error {
	ctx, cancel := context.WithTimeout(o.Context, limit)
	defer cancel()
	return f(op{ctx, o.ask})
}

// limit is callLimit, but where the system's dialog comes unannounced.
func (k *Keyring) limit(ctx context.Context) time.Duration {
	if runtime.GOOS == "darwin" && k.opt.Attended {
		return dialogLimit
	}
	if end, ok := ctx.Deadline(); ok {
		return max(callLimit, time.Until(end)/8)
	}
	return callLimit
}

// aside runs f and gives it up when ctx ends. As long as f then hangs, nothing
// more is asked in this process.
func (k *Keyring) aside(ctx context.Context, f func() error) error {
	if k.lost.Load() > 0 {
		return backend.Errorf(backend.ErrUnavailable, backend.ErrNoAnswer, otherStore(), "the keyring did not answer before")
	}
	if ctx.Err() != nil {
		return endOf(ctx)
	}
	done, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		defer func() {
			if p := recover(); p != nil {
				detail := "the keyring's client failed"
				if e, ok := p.(runtime.Error); ok { // names types and numbers only
					detail += ": " + e.Error()
				}
				done <- backend.Errorf(backend.ErrUnavailable, nil, otherStore(), "%s", detail)
			}
		}()
		done <- f()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	// What obeys its context says best itself how it ended.
	select {
	case err := <-done:
		return err
	case <-time.After(50 * time.Millisecond):
	}
	k.lost.Add(1)
	go func() {
		<-ended
		k.lost.Add(-1)
	}()
	return endOf(ctx)
}

// endOf says how a context ended: an interrupt is not the keyring's fault.
func endOf(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return noAnswer()
}

// otherStore is the remedy for a keyring that does not work.
func otherStore() hint.Remedy { return orFile("restart the keyring service") }

// orFile is a remedy, or else the file store.
func orFile(words string) hint.Remedy {
	return hint.Do(hint.Words(words+", or use the file store: "), hint.Run("store", "init", "--use"))
}

func noAnswer() error {
	return backend.Errorf(backend.ErrUnavailable, backend.ErrNoAnswer, otherStore(), "the keyring does not answer")
}

// keyringItems are the vault's items, asked for aside.
type keyringItems struct{ *Keyring }

func (k keyringItems) get(ctx op, name string) (string, error) {
	return k.read(ctx, func() (string, error) { return k.vault.get(ctx, name) })
}

// again is get for an item that is about to be set.
func (k keyringItems) again(ctx op, name string) (string, error) {
	return k.read(ctx, func() (string, error) { return k.vault.again(ctx, name) })
}

func (k keyringItems) read(ctx op, f func() (string, error)) (string, error) {
	var value string // not a result: what is given up may still write to it
	err := k.aside(ctx, func() (err error) { value, err = f(); return err })
	if err != nil {
		return "", err
	}
	return value, nil
}

func (k keyringItems) set(ctx op, name, value string) error {
	return k.aside(ctx, func() error { return k.vault.set(ctx, name, value) })
}

func (k keyringItems) del(ctx op, name string) error {
	return k.aside(ctx, func() error { return k.vault.del(ctx, name) })
}

func lockedError(err error) error {
	return backend.Errorf(backend.ErrLocked, err, orFile("unlock the keyring (log in to the desktop, or open its passwords program)"), "the keyring needs its password")
}

func refused(err error) error {
	return backend.Errorf(backend.ErrUnavailable, err, otherStore(), "the keyring refused")
}

func notDeleted() error {
	return backend.Errorf(backend.ErrUnavailable, nil, nil, "the keyring did not delete the item")
}
