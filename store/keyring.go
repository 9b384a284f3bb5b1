package store

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	gokeyring "github.com/zalando/go-keyring"

	"github.com/terradue/t2-cred/helper/secret"
)

func init() {
	register("keyring", func(o Options, ns string) (Backend, error) {
		k := &keyring{service: "t2-cred-" + ns, opt: o, bus: newBus(o.Getenv)}
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

// keyring is the keyring of the operating system, by go-keyring, which alone
// hangs, panics, starts stray daemons and can bring gnome-keyring down. So before
// it is asked anything the bus looks whether it would answer at all, and what it
// does is done aside, with a deadline, and not believed until read back.
type keyring struct {
	service string
	opt     Options
	bus     *bus
	split   splitter
	// lost counts the calls that were given up and still hang. They cannot be
	// stopped, and as long as there is one nothing more is asked.
	lost atomic.Int32
}

func (*keyring) provesSaves() {}

func (*keyring) loadsSlowly() {}

type nobodyKey struct{}

// askingNobody marks a context in which a locked keyring is an error and no
// dialog is shown, whoever is there.
func askingNobody(ctx context.Context) context.Context {
	return context.WithValue(ctx, nobodyKey{}, true)
}

func (k *keyring) Load(ctx context.Context, name string) (secret.Secret, error) {
	ctx, cancel, err := k.ready(ctx)
	defer cancel()
	if err != nil {
		return "", err
	}
	value, h, err := k.split.load(ctx, name)
	if heads := headsOf(ctx); heads != nil && (err == nil || errors.Is(err, ErrNotFound)) {
		heads.Store(name, h)
	}
	return secret.Secret(value), err
}

func (k *keyring) Save(ctx context.Context, name string, value secret.Secret) error {
	if err := checkSize(value); err != nil {
		return err
	}
	ctx, cancel, err := k.ready(ctx)
	defer cancel()
	if err != nil {
		return err
	}
	old, err := k.headOf(ctx, name)
	if err != nil {
		return err
	}
	return k.split.save(ctx, name, value.Reveal(), old)
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
	ctx, cancel, err := k.ready(ctx)
	defer cancel()
	if err != nil {
		return err
	}
	return k.split.remove(ctx, name)
}

func (k *keyring) List(ctx context.Context) ([]string, error) {
	ctx, cancel, err := k.ready(ctx)
	defer cancel()
	if err != nil {
		return nil, err
	}
	var all []string
	err = k.aside(ctx, func() (err error) { all, err = k.bus.list(ctx, k.service); return err })
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

// ready finds out whether the keyring would answer, and waits for it to be
// unlocked if somebody is there to do it. The returned context ends with the
// time that the operation may take.
func (k *keyring) ready(ctx context.Context) (context.Context, context.CancelFunc, error) {
	within, cancel := context.WithTimeout(ctx, k.limit())
	err := k.aside(within, func() error { return k.bus.check(within) })
	if !errors.Is(err, ErrLocked) || !k.opt.Attended || ctx.Value(nobodyKey{}) != nil {
		return within, cancel, err
	}
	cancel()
	k.opt.Warn("waiting for the keyring to be unlocked")
	waiting, cancel := context.WithTimeout(ctx, dialogLimit)
	err = k.aside(waiting, func() error { return k.bus.unlock(waiting) })
	cancel()
	within, cancel = context.WithTimeout(ctx, k.limit())
	return within, cancel, err
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

// keyringItems is go-keyring seen as items.
type keyringItems struct{ *keyring }

func (k keyringItems) get(ctx context.Context, name string) (value string, err error) {
	err = k.aside(ctx, func() (err error) {
		value, err = gokeyring.Get(k.service, name)
		return err
	})
	if err != nil {
		return "", k.explain(ctx, err)
	}
	return value, nil
}

// set always follows a get in this process: a connection whose first call opens
// a session can abort gnome-keyring (its issues 190 and 194).
func (k keyringItems) set(ctx context.Context, name, value string) error {
	err := k.aside(ctx, func() error { return gokeyring.Set(k.service, name, value) })
	if err != nil {
		return k.explain(ctx, err)
	}
	// A dismissed dialog, for one, is no error to go-keyring.
	got, err := k.get(ctx, name)
	if errors.Is(err, ErrNotFound) || err == nil && got != value {
		return notKept()
	}
	return err
}

func (k keyringItems) del(ctx context.Context, name string) error {
	err := k.aside(ctx, func() error { return gokeyring.Delete(k.service, name) })
	if err != nil {
		if err = k.explain(ctx, err); errors.Is(err, ErrNotFound) {
			return nil
		}
		return err
	}
	_, err = k.get(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err == nil {
		err = &Error{Kind: ErrUnavailable, Detail: "the keyring did not delete the item"}
	}
	return err
}

// explain turns what go-keyring said, mostly without a type, into an error of
// this package.
func (k keyringItems) explain(ctx context.Context, err error) error {
	if _, ok := errors.AsType[*Error](err); ok || ctx.Err() != nil {
		return err
	}
	switch {
	case errors.Is(err, gokeyring.ErrNotFound), isNoObject(err):
		return &Error{Kind: ErrNotFound}
	case errors.Is(err, gokeyring.ErrSetDataTooBig):
		return &Error{Kind: ErrTooLarge, Err: err}
	case errors.Is(err, gokeyring.ErrUnsupportedPlatform):
		return &Error{Kind: ErrUnavailable, Detail: "no keyring on this system", Err: err, Remedy: otherStore}
	case isLocked(err):
		return lockedError(err)
	}
	// It may have been locked, or have died, since it was looked at.
	if why := k.aside(ctx, func() error { return k.bus.check(ctx) }); why != nil {
		return why
	}
	return &Error{Kind: ErrUnavailable, Detail: "the keyring refused", Err: err, Remedy: otherStore}
}

func lockedError(err error) error {
	return &Error{
		Kind: ErrLocked, Detail: "the keyring needs its password", Err: err,
		Remedy: `unlock the keyring (log in to the desktop, or open its passwords program), or choose another store: store = "file" and t2-cred store init`,
	}
}
