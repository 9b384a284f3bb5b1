package keyring

import (
	"context"
	"errors"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/terradue/t2-cred/store/backend"
)

// unlock lets the provider ask for the password, and waits for the end of that. A
// dialog that was dismissed leaves it locked, which the next call finds.
func (b *bus) unlock(ctx op) error {
	b.mu.Lock()
	t, err := b.look(ctx)
	b.mu.Unlock()
	if !errors.Is(err, backend.ErrLocked) {
		return err
	}
	err = t.unlock(ctx, t.collection, func() (bool, error) {
		locked, err := t.locked(ctx)
		return !locked, err
	})
	if errors.Is(err, errNobody) {
		return lockedError(errors.New("nobody unlocked it in time"))
	}
	return err
}

// unlock unlocks the collection, or one item where the provider asks for each.
func (t *talk) unlock(ctx op, object dbus.ObjectPath, done func() (bool, error)) error {
	var unlocked []dbus.ObjectPath
	var prompt dbus.ObjectPath
	call := goCall(ctx, t.object(secretsPath), ifaceService+".Unlock", []dbus.ObjectPath{object})
	if err := answer(ctx, call, &unlocked, &prompt); err != nil {
		return providerError(ctx, err)
	}
	return t.dialog(ctx, prompt, done)
}

// errNobody says that a dialog stood there until the time was over.
var errNobody = errors.New("nobody answered the keyring's dialog")

// dialog shows a dialog that the provider wants, if it wants one, and waits for
// its end: the signal, or that done says so, as the signal is lost when the daemon
// dies or three processes ask at once. What came of it is for the caller to see.
func (t *talk) dialog(ctx op, prompt dbus.ObjectPath, done func() (bool, error)) error {
	if prompt == noObject {
		return nil
	}
	if ctx.ask == askLater {
		t.object(prompt).Go(ifacePrompt+".Dismiss", dbus.FlagNoReplyExpected, nil)
		return errAsks
	}
	match := []dbus.MatchOption{dbus.WithMatchObjectPath(prompt), dbus.WithMatchInterface(ifacePrompt)}
	if err := t.conn.AddMatchSignalContext(ctx, match...); err != nil {
		return providerError(ctx, err)
	}
	signals := make(chan *dbus.Signal, 8)
	t.conn.Signal(signals)
	defer func() {
		t.conn.RemoveSignal(signals)
		_ = t.conn.RemoveMatchSignalContext(ctx, match...)
	}()
	box := t.object(prompt)
	if err := answer(ctx, goCall(ctx, box, ifacePrompt+".Prompt", "")); err != nil {
		return providerError(ctx, err)
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case s := <-signals:
			if s == nil { // the connection is gone
				return noAnswer()
			}
			if s.Path == prompt && s.Name == ifacePrompt+".Completed" {
				return nil
			}
		case <-tick.C:
			over, err := done()
			switch {
			case ctx.Err() != nil: // said below
			case err != nil:
				return providerError(ctx, err)
			case over:
				return nil
			}
		case <-ctx.Done():
			box.Go(ifacePrompt+".Dismiss", dbus.FlagNoReplyExpected, nil)
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return errNobody
		}
	}
}

// joinKWallet unlocks a wallet of KDE's that is open already, for which nobody is
// asked. KWallet (seen with 5.103) calls a wallet locked until the first client since
// its start has unlocked it over this interface, although the login has opened it.
// Whether it is open only its own interface tells; others do not know the question.
func (t *talk) joinKWallet(ctx op) bool {
	var label dbus.Variant
	if answer(ctx, goCall(ctx, t.object(t.collection), getProperty, ifaceCollection, "Label"), &label) != nil {
		return false
	}
	wallet, _ := label.Value().(string)
	for _, path := range []dbus.ObjectPath{"/modules/kwalletd5", "/modules/kwalletd6"} {
		var open bool
		err := answer(ctx, goCall(ctx, t.object(path), "org.kde.KWallet.isOpen", wallet), &open)
		if err != nil || !open {
			continue
		}
		err = t.unlock(op{ctx.Context, showDialogs}, t.collection, func() (bool, error) {
			locked, err := t.locked(ctx)
			return !locked, err
		})
		locked, lockedErr := t.locked(ctx)
		return err == nil && lockedErr == nil && !locked
	}
	return false
}
