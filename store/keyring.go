package store

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
)

func init() {
	register("keyring", func(o Options, ns string) (Backend, error) {
		k := &keyring{opt: o, vault: newVault("t2-cred-"+ns, o.Getenv)}
		k.split = splitter{items: keyringItems{k}, limit: itemLimit(runtime.GOOS)}
		return k, nil
	})
}

// callLimit bounds an operation on the keyring in which nobody is waited for.
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

// keyring is the keyring of the operating system. What it is asked is asked aside,
// with a deadline, and what it is told is not believed until read back: keyrings
// hang, and those who talk to them panic.
type keyring struct {
	opt   Options
	vault *vault // of this operating system
	split splitter
	// lost counts the calls that were given up and still hang. They cannot be
	// stopped, and as long as there is one nothing more is asked.
	lost atomic.Int32
	// saidAsks: the person knows by now that the keyring asks about single items.
	saidAsks atomic.Bool
}

func (*keyring) provesSaves() {}

func (*keyring) loadsSlowly() {}

type nobodyKey struct{}

// sayFirstKey marks a context in which a dialog about an item is not shown yet: the
// error is errAsks, so that the person can be told, and given time to answer.
type sayFirstKey struct{}

var errAsks = errors.New("the keyring asks first")

// askingNobody marks a context in which a locked keyring is an error and no
// dialog is shown, whoever is there.
func askingNobody(ctx context.Context) context.Context {
	return context.WithValue(ctx, nobodyKey{}, true)
}

func (k *keyring) Load(ctx context.Context, name string) (secret.Secret, error) {
	var value string
	err := k.do(ctx, func(ctx context.Context) (err error) {
		var h head
		value, h, err = k.split.load(ctx, name)
		if heads := headsOf(ctx); heads != nil && (err == nil || errors.Is(err, ErrNotFound)) {
			heads.Store(name, h)
		}
		return err
	})
	return secret.Secret(value), err
}

func (k *keyring) Save(ctx context.Context, name string, value secret.Secret) error {
	if err := checkSize(value); err != nil {
		return err
	}
	return k.do(ctx, func(ctx context.Context) error {
		old, err := k.headOf(ctx, name)
		if err != nil {
			return err
		}
		return k.split.save(ctx, name, value.Reveal(), old)
	})
}

// headOf is the head that save has to know: the one that was loaded since the
// lock was taken, or read now.
func (k *keyring) headOf(ctx context.Context, name string) (head, error) {
	if heads := headsOf(ctx); heads != nil {
		if h, ok := heads.LoadAndDelete(name); ok {
			return h.(head), nil
		}
	}
	h, err := k.split.readHead(ctx, name)
	if errors.Is(err, ErrCorrupt) {
		return head{kind: headGone, raw: string(headGone)}, nil // overwritten, and chunks looked for
	}
	return h, err
}

type headsKey struct{}

// holdingLock marks a context of an operation that holds the lock of what it
// saves. The keyring then need not read again what was just loaded.
func holdingLock(ctx context.Context) context.Context {
	return context.WithValue(ctx, headsKey{}, &sync.Map{})
}

func headsOf(ctx context.Context) *sync.Map {
	heads, _ := ctx.Value(headsKey{}).(*sync.Map)
	return heads
}

func (k *keyring) Delete(ctx context.Context, name string) error {
	return k.do(ctx, func(ctx context.Context) error { return k.split.remove(ctx, name) })
}

func (k *keyring) List(ctx context.Context) ([]string, error) {
	var all []string
	err := k.do(ctx, func(ctx context.Context) error {
		return k.aside(ctx, func() (err error) { all, err = k.vault.list(ctx); return err })
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
	return names, nil
}

// do runs an operation within its time, and when the keyring is locked, once more
// after it was unlocked, if somebody is there to do it.
func (k *keyring) do(ctx context.Context, op func(ctx context.Context) error) error {
	if !unlockable || !k.opt.Attended || ctx.Value(nobodyKey{}) != nil {
		return within(ctx, k.limit(), op)
	}
	err := k.sayingFirst(ctx, op)
	if !errors.Is(err, ErrLocked) {
		return err
	}
	k.opt.Warn("waiting for the keyring to be unlocked")
	err = within(ctx, dialogLimit, func(ctx context.Context) error {
		return k.aside(ctx, func() error { return k.vault.unlock(ctx) })
	})
	if err != nil {
		return err
	}
	return k.sayingFirst(ctx, op)
}

// sayingFirst runs an operation within its time, and where the keyring asks about an
// item, once more with the time that it takes to answer, when that has been said.
func (k *keyring) sayingFirst(ctx context.Context, op func(ctx context.Context) error) error {
	err := within(context.WithValue(ctx, sayFirstKey{}, true), k.limit(), op)
	if !errors.Is(err, errAsks) {
		return err
	}
	if !k.saidAsks.Swap(true) {
		k.opt.Warn("waiting for the keyring's dialog to be answered: it asks before it gives or changes an item")
	}
	return within(ctx, dialogLimit, op)
}

func within(ctx context.Context, limit time.Duration, op func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return op(ctx)
}

// limit is callLimit, but where the system's dialog comes unannounced.
func (k *keyring) limit() time.Duration {
	if runtime.GOOS == "darwin" && k.opt.Attended {
		return dialogLimit
	}
	return callLimit
}

// aside runs f and gives it up when ctx ends. As long as f then hangs, nothing
// more is asked in this process.
func (k *keyring) aside(ctx context.Context, f func() error) error {
	if k.lost.Load() > 0 {
		return &Error{Kind: ErrUnavailable, Detail: "the keyring did not answer before", Err: errGivenUp, Remedy: otherStore}
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
				done <- &Error{Kind: ErrUnavailable, Detail: detail, Remedy: otherStore}
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

const otherStore = `restart the keyring service, or choose another store: store = "file" and t2-cred store init`

func noAnswer() error {
	return &Error{Kind: ErrUnavailable, Detail: "the keyring does not answer", Err: errGivenUp, Remedy: otherStore}
}

// keyringItems are the vault's items, asked for aside.
type keyringItems struct{ *keyring }

func (k keyringItems) get(ctx context.Context, name string) (string, error) {
	var value string // not a result: what is given up may still write to it
	err := k.aside(ctx, func() (err error) { value, err = k.vault.get(ctx, name); return err })
	if err != nil {
		return "", err
	}
	return value, nil
}

func (k keyringItems) set(ctx context.Context, name, value string) error {
	return k.aside(ctx, func() error { return k.vault.set(ctx, name, value) })
}

func (k keyringItems) del(ctx context.Context, name string) error {
	return k.aside(ctx, func() error { return k.vault.del(ctx, name) })
}

func lockedError(err error) error {
	return &Error{
		Kind: ErrLocked, Detail: "the keyring needs its password", Err: err,
		Remedy: `unlock the keyring (log in to the desktop, or open its passwords program), or choose another store: store = "file" and t2-cred store init`,
	}
}

func refused(err error) error {
	return &Error{Kind: ErrUnavailable, Detail: "the keyring refused", Err: err, Remedy: otherStore}
}

func notDeleted() error {
	return &Error{Kind: ErrUnavailable, Detail: "the keyring did not delete the item"}
}
