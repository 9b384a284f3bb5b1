package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	secretsName      = "org.freedesktop.secrets"
	secretsPath      = dbus.ObjectPath("/org/freedesktop/secrets")
	loginCollection  = dbus.ObjectPath("/org/freedesktop/secrets/collection/login")
	ifaceService     = "org.freedesktop.Secret.Service"
	ifaceCollection  = "org.freedesktop.Secret.Collection"
	ifaceItem        = "org.freedesktop.Secret.Item"
	ifacePrompt      = "org.freedesktop.Secret.Prompt"
	getProperty      = "org.freedesktop.DBus.Properties.Get"
	noObject         = dbus.ObjectPath("/")
	addressVariable  = "DBUS_SESSION_BUS_ADDRESS"
	attributeService = "service"
	attributeUser    = "username"
)

// bus looks at the Secret Service without ever causing a dialog or starting a
// bus. It shares its connection with go-keyring, which saves a third of the time
// and puts an innocent call before go-keyring's first.
type bus struct {
	getenv func(string) string

	// first is held until this connection's first call is answered: gnome-keyring
	// registers a client when it is idle, and one whose later calls overtake that
	// can abort it (its issues 190 and 194).
	first sync.Mutex

	mu         sync.Mutex
	conn       *dbus.Conn
	collection dbus.ObjectPath // that go-keyring will use; "" until known
}

func newBus(getenv func(string) string) *bus { return &bus{getenv: getenv} }

// address finds the session bus as a login left it, and does not start one:
// godbus alone would run dbus-launch, whose daemons stay behind.
func (b *bus) address() (string, error) {
	if a := b.getenv(addressVariable); a != "" && a != "autolaunch:" {
		return a, nil
	}
	dirs := []string{fmt.Sprintf("/run/user/%d", os.Getuid())}
	if d := b.getenv("XDG_RUNTIME_DIR"); d != "" {
		dirs = slices.Insert(dirs, 0, d)
	}
	for _, d := range dirs {
		socket := filepath.Join(d, "bus")
		if info, err := os.Stat(socket); err == nil && info.Mode().Type() == os.ModeSocket {
			return "unix:path=" + dbus.EscapeBusAddressValue(socket), nil
		}
	}
	return "", &Error{
		Kind: ErrUnavailable, Detail: "no session bus, so no keyring",
		Remedy: `run in a desktop session or under dbus-run-session, or choose another store: store = "file" and t2-cred store init`,
	}
}

// connect returns the connection that go-keyring will use, too.
func (b *bus) connect() (*dbus.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn != nil && b.conn.Connected() {
		return b.conn, nil
	}
	address, err := b.address()
	if err != nil {
		return nil, err
	}
	// Both of them read the address there, and look no further when it is set.
	if os.Getenv(addressVariable) != address {
		if err := os.Setenv(addressVariable, address); err != nil {
			return nil, err
		}
	}
	b.conn, b.collection = nil, ""
	conn, err := dbus.SessionBus()
	if err != nil {
		return nil, &Error{
			Kind: ErrUnavailable, Detail: "cannot connect to the session bus at " + address, Err: err,
			Remedy: `log in again, or unset DBUS_SESSION_BUS_ADDRESS, or choose another store: store = "file" and t2-cred store init`,
		}
	}
	b.conn = conn
	return conn, nil
}

// check says what is wrong with the keyring, without a dialog: no bus, no
// provider, no default collection, or locked; nil when it is ready.
func (b *bus) check(ctx context.Context) error {
	conn, err := b.connect()
	if err != nil {
		return err
	}
	b.mu.Lock()
	collection := b.collection
	b.mu.Unlock()
	if collection != "" {
		if locked, err := b.locked(ctx, conn, collection); err == nil {
			return lockedOrNil(locked)
		}
		// The collection went, or its daemon: look at everything afresh.
	}
	return b.look(ctx, conn)
}

// look asks for the collections, and only when it has the answer for anything
// else. That question is also the ping: it tells a provider that answers from one
// that does not, and lets gnome-keyring get to know this client.
func (b *bus) look(ctx context.Context, conn *dbus.Conn) error {
	service := conn.Object(secretsName, secretsPath)
	var paths dbus.Variant
	b.first.Lock()
	err := answer(ctx, goCall(ctx, service, getProperty, ifaceService, "Collections"), &paths)
	b.first.Unlock()
	if err != nil {
		return providerError(ctx, err)
	}
	all, _ := paths.Value().([]dbus.ObjectPath)
	// As go-keyring chooses: login if there is one, else the default.
	if slices.Contains(all, loginCollection) {
		b.use(loginCollection)
		return lockedAnswer(ctx, goCall(ctx, conn.Object(secretsName, loginCollection), getProperty, ifaceCollection, "Locked"))
	}
	var path dbus.ObjectPath
	if err := answer(ctx, goCall(ctx, service, ifaceService+".ReadAlias", "default"), &path); err != nil {
		return providerError(ctx, err)
	}
	if path == noObject || path == "" {
		return &Error{
			Kind: ErrUnavailable, Detail: "the keyring service has no default keyring",
			Remedy: `create one in the desktop's passwords program and make it the default, or choose another store: store = "file" and t2-cred store init`,
		}
	}
	b.use(path)
	return lockedAnswer(ctx, goCall(ctx, conn.Object(secretsName, path), getProperty, ifaceCollection, "Locked"))
}

func (b *bus) use(collection dbus.ObjectPath) {
	b.mu.Lock()
	b.collection = collection
	b.mu.Unlock()
}

func (b *bus) locked(ctx context.Context, conn *dbus.Conn, collection dbus.ObjectPath) (bool, error) {
	var v dbus.Variant
	err := answer(ctx, goCall(ctx, conn.Object(secretsName, collection), getProperty, ifaceCollection, "Locked"), &v)
	locked, _ := v.Value().(bool)
	return locked, err
}

// lockedAnswer takes a provider that will not say for unlocked: go-keyring finds
// out, under its deadline.
func lockedAnswer(ctx context.Context, call *dbus.Call) error {
	var v dbus.Variant
	if err := answer(ctx, call, &v); err != nil {
		if ctx.Err() != nil {
			return endOf(ctx)
		}
		return nil
	}
	locked, _ := v.Value().(bool)
	return lockedOrNil(locked)
}

func lockedOrNil(locked bool) error {
	if locked {
		return lockedError(nil)
	}
	return nil
}

// unlock lets the provider ask for the password, and waits for the end of that.
// go-keyring would do it, too, but waits for ever when the dialog's answer is
// lost, as it is when the daemon dies or three processes ask at once.
func (b *bus) unlock(ctx context.Context) error {
	conn, err := b.connect()
	if err != nil {
		return err
	}
	b.mu.Lock()
	collection := b.collection
	b.mu.Unlock()
	var unlocked []dbus.ObjectPath
	var prompt dbus.ObjectPath
	service := conn.Object(secretsName, secretsPath)
	err = answer(ctx, goCall(ctx, service, ifaceService+".Unlock", []dbus.ObjectPath{collection}), &unlocked, &prompt)
	if err != nil {
		return providerError(ctx, err)
	}
	if prompt == noObject {
		return b.check(ctx)
	}
	match := []dbus.MatchOption{dbus.WithMatchObjectPath(prompt), dbus.WithMatchInterface(ifacePrompt)}
	if err := conn.AddMatchSignalContext(ctx, match...); err != nil {
		return providerError(ctx, err)
	}
	signals := make(chan *dbus.Signal, 8)
	conn.Signal(signals)
	defer func() {
		conn.RemoveSignal(signals)
		_ = conn.RemoveMatchSignalContext(ctx, match...)
	}()
	dialog := conn.Object(secretsName, prompt)
	if err := answer(ctx, goCall(ctx, dialog, ifacePrompt+".Prompt", "")); err != nil {
		return providerError(ctx, err)
	}
	return b.awaitUnlocked(ctx, conn, collection, dialog, signals)
}

// awaitUnlocked waits for the dialog to complete, and looks itself now and then,
// as the signal may never come.
func (b *bus) awaitUnlocked(ctx context.Context, conn *dbus.Conn, collection dbus.ObjectPath, dialog dbus.BusObject, signals <-chan *dbus.Signal) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case s := <-signals:
			if s == nil { // the connection is gone
				return noAnswer()
			}
			if s.Path == dialog.Path() && s.Name == ifacePrompt+".Completed" {
				return b.check(ctx) // a dismissed one leaves it locked
			}
		case <-tick.C:
			locked, err := b.locked(ctx, conn, collection)
			if ctx.Err() != nil {
				continue
			}
			if err != nil {
				return providerError(ctx, err)
			}
			if !locked {
				return nil
			}
		case <-ctx.Done():
			dialog.Go(ifacePrompt+".Dismiss", dbus.FlagNoReplyExpected, nil)
			return lockedError(errors.New("nobody unlocked it in time"))
		}
	}
}

// listBatch is how many items are asked for at once: a bus allows 128 calls
// without an answer, unless its configuration says more.
const listBatch = 64

// list returns the user names of the items of a service. Locked items do not tell
// theirs.
func (b *bus) list(ctx context.Context, service string) ([]string, error) {
	conn, err := b.connect()
	if err != nil {
		return nil, err
	}
	var paths, locked []dbus.ObjectPath
	search := goCall(ctx, conn.Object(secretsName, secretsPath), ifaceService+".SearchItems", map[string]string{attributeService: service})
	if err := answer(ctx, search, &paths, &locked); err != nil {
		return nil, providerError(ctx, err)
	}
	if len(locked) > 0 {
		return nil, lockedError(nil)
	}
	names := make([]string, 0, len(paths))
	for batch := range slices.Chunk(paths, listBatch) {
		calls := make([]*dbus.Call, len(batch))
		for i, p := range batch {
			calls[i] = goCall(ctx, conn.Object(secretsName, p), getProperty, ifaceItem, "Attributes")
		}
		for _, c := range calls {
			var v dbus.Variant
			err := answer(ctx, c, &v)
			if isNoObject(err) {
				continue // deleted since
			}
			if err != nil {
				return nil, providerError(ctx, err)
			}
			if attributes, ok := v.Value().(map[string]string); ok && attributes[attributeUser] != "" {
				names = append(names, attributes[attributeUser])
			}
		}
	}
	return names, nil
}

func goCall(ctx context.Context, o dbus.BusObject, method string, args ...any) *dbus.Call {
	return o.GoWithContext(ctx, method, 0, make(chan *dbus.Call, 1), args...)
}

func answer(ctx context.Context, c *dbus.Call, into ...any) error {
	select {
	case <-c.Done:
		if len(into) == 0 {
			return c.Err
		}
		return c.Store(into...)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// providerError explains why the Secret Service did not answer a plain question.
func providerError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return endOf(ctx)
	}
	e := &Error{Kind: ErrUnavailable, Detail: "the keyring service failed", Err: err, Remedy: otherStore}
	if d, ok := errors.AsType[dbus.Error](err); ok {
		switch {
		case d.Name == "org.freedesktop.DBus.Error.ServiceUnknown",
			d.Name == "org.freedesktop.DBus.Error.NameHasNoOwner",
			strings.HasPrefix(d.Name, "org.freedesktop.DBus.Error.Spawn."):
			e.Detail = "no keyring service on the session bus"
			e.Remedy = `install and start one (gnome-keyring, KWallet, KeePassXC), or choose another store: store = "file" and t2-cred store init`
		}
	}
	return e
}

// isNoObject recognises the two errors of an item that another process deleted
// or is just replacing.
func isNoObject(err error) bool {
	d, ok := errors.AsType[dbus.Error](err)
	if !ok {
		return false
	}
	text := d.Error()
	return d.Name == "org.freedesktop.Secret.Error.NoSuchObject" ||
		strings.HasPrefix(text, "Object does not exist at path") ||
		strings.HasPrefix(text, "No such interface") && strings.Contains(text, ifaceItem)
}

func isLocked(err error) bool {
	d, ok := errors.AsType[dbus.Error](err)
	return ok && (d.Name == "org.freedesktop.Secret.Error.IsLocked" || strings.Contains(d.Error(), "in a locked collection"))
}
