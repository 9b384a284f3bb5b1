package keyring

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/godbus/dbus/v5"

	"github.com/terradue/t2-cred/store/backend"
)

const (
	secretsName     = "org.freedesktop.secrets"
	secretsPath     = dbus.ObjectPath("/org/freedesktop/secrets")
	loginCollection = dbus.ObjectPath("/org/freedesktop/secrets/collection/login")
	// sessionCollection is gnome-keyring's collection in memory.
	sessionCollection = dbus.ObjectPath("/org/freedesktop/secrets/collection/session")
	ifaceService      = "org.freedesktop.Secret.Service"
	ifaceCollection   = "org.freedesktop.Secret.Collection"
	ifaceItem         = "org.freedesktop.Secret.Item"
	ifacePrompt       = "org.freedesktop.Secret.Prompt"
	getProperty       = "org.freedesktop.DBus.Properties.Get"
	noObject          = dbus.ObjectPath("/")
	addressVariable   = "DBUS_SESSION_BUS_ADDRESS"

	// What a bus says for want of a provider.
	nameUnknown    = "org.freedesktop.DBus.Error.ServiceUnknown"
	nameHasNoOwner = "org.freedesktop.DBus.Error.NameHasNoOwner"
)

// bus finds the Secret Service, without ever causing a dialog or starting a bus.
type bus struct {
	getenv func(string) string

	// mu is held until a connection's first call is answered: gnome-keyring
	// registers a client when it is idle, and one whose later calls overtake that
	// can abort it (its issues 190 and 194).
	mu   sync.Mutex
	now  *talk // nil: to be looked for
	conn *dbus.Conn
	// dialled is the address of conn.
	dialled string
	// ahead searches in login for what callers of talk wait to ask for, once it is likely
	// that it is the collection that will be taken. If it is, take takes what was found.
	// It may be nil.
	ahead func(ctx op, t *talk) (take func())
}

// A talk is with one provider, which has answered, about the collection that
// go-keyring would use. What it says is told to that process alone: one that took
// its name since has another first call to be asked, and other items.
type talk struct {
	conn                *dbus.Conn
	to                  string // the provider's name on the bus
	collection, session dbus.ObjectPath
	found               sync.Map // name to the path of its item, for the set that follows
	taken               sync.Map // name to a taken item, by ahead
}

func (t *talk) object(path dbus.ObjectPath) dbus.BusObject { return t.conn.Object(t.to, path) }

// address finds the session bus as a login left it, and does not start one:
// godbus alone would run dbus-launch, whose daemons stay behind.
func (b *bus) address() (string, error) {
	if a := b.getenv(addressVariable); a != "" && a != "autolaunch:" {
		return a, nil
	}
	dirs := []string{fmt.Sprintf("/run/user/%d", os.Getuid())}
	if d := b.getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(d) { // XDG: relative ones are to be ignored
		dirs = slices.Insert(dirs, 0, d)
	}
	for _, d := range dirs {
		socket := filepath.Join(d, "bus")
		if info, err := os.Stat(socket); err == nil && info.Mode().Type() == os.ModeSocket {
			return "unix:path=" + dbus.EscapeBusAddressValue(socket), nil
		}
	}
	return "", backend.Errorf(backend.ErrUnavailable, nil, orFile("run in a desktop session or under dbus-run-session"), "no session bus, so no keyring")
}

// talk returns the talk with the provider, begun now if there is none. The error
// says what is wrong: no bus, no provider, no default collection, or locked.
func (b *bus) talk(ctx op) (*talk, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.now != nil && b.now.conn.Connected() {
		return b.now, nil
	}
	t, err := b.look(ctx)
	if err != nil {
		return nil, err
	}
	b.now = t
	return t, nil
}

// end has the next one look for the provider afresh.
func (b *bus) end(t *talk) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.now == t {
		b.now = nil
	}
}

// look asks for the collections, and only when it has the answer for anything
// else. That question is also the ping: it tells a provider that answers from one
// that does not, and lets gnome-keyring get to know this client. The question whether login
// is locked would do as well, but as the first one it brought gnome-keyring 42.1 down, once
// in some hundred times. When it is locked, the talk comes with the error.
func (b *bus) look(ctx op) (*talk, error) {
	conn, err := b.connect(ctx)
	if err != nil {
		return nil, err
	}
	t := &talk{conn: conn, to: secretsName}
	service := t.object(secretsPath)
	var paths dbus.Variant
	if err := answer(ctx, goCall(ctx, service, getProperty, ifaceService, "Collections"), &paths); err != nil {
		if ctx.Err() == nil && busEnded(err) {
			return nil, noBus(b.dialled, err)
		}
		return nil, providerError(ctx, err)
	}
	name := goCall(ctx, conn.BusObject(), "org.freedesktop.DBus.GetNameOwner", secretsName)
	open := goCall(ctx, service, ifaceService+".OpenSession", "plain", dbus.MakeVariant(""))
	all, _ := paths.Value().([]dbus.ObjectPath)
	take := func() {}
	if slices.Contains(all, loginCollection) && b.ahead != nil {
		take = b.ahead(ctx, t)
	}
	locked, err := t.choose(ctx, all)
	if err != nil {
		return nil, err
	}
	if locked {
		locked = !t.joinKWallet(ctx)
	}
	switch {
	case ctx.Err() != nil:
		return nil, endOf(ctx)
	case locked:
		return t, lockedError(nil)
	}
	var none dbus.Variant
	if err := answer(ctx, open, &none, &t.session); err != nil {
		return nil, providerError(ctx, err)
	}
	if err := answer(ctx, name, &t.to); err != nil {
		return nil, providerError(ctx, err)
	}
	if t.collection == loginCollection {
		take()
	}
	return t, nil
}

// choose takes the collection that go-keyring takes, login if there is one, else the
// default, and says whether it is locked. Where login is locked and the default is
// another collection that is not, the default is taken: the alias is the user's word.
// A provider that will not say whether it is locked is taken for unlocked: it says so
// when it is asked for an item.
func (t *talk) choose(ctx op, all []dbus.ObjectPath) (locked bool, err error) {
	isLocked := func(path dbus.ObjectPath) bool {
		t.collection = path
		locked, err := t.locked(ctx)
		return err == nil && locked
	}
	login := slices.Contains(all, loginCollection)
	if login && !isLocked(loginCollection) {
		return false, nil
	}
	var path dbus.ObjectPath
	err = answer(ctx, goCall(ctx, t.object(secretsPath), ifaceService+".ReadAlias", "default"), &path)
	none := path == noObject || path == ""
	switch {
	case login:
		if err == nil && !none && path != loginCollection && path != sessionCollection && !isLocked(path) {
			return false, nil
		}
		t.collection = loginCollection
		return true, nil
	case err != nil:
		return false, providerError(ctx, err)
	case none:
		return false, backend.Errorf(backend.ErrUnavailable, nil, orFile("create one in the desktop's passwords program and make it the default"), "the keyring service has no default keyring")
	case path == sessionCollection:
		return false, backend.Errorf(backend.ErrUnavailable, nil, orFile("make a keyring that is kept on disk the default"), "the default keyring is the one in memory, which ends with the keyring service")
	}
	return isLocked(path), nil
}

func (t *talk) locked(ctx op) (bool, error) {
	var v dbus.Variant
	err := answer(ctx, goCall(ctx, t.object(t.collection), getProperty, ifaceCollection, "Locked"), &v)
	locked, _ := v.Value().(bool)
	return locked, err
}

func goCall(ctx op, o dbus.BusObject, method string, args ...any) *dbus.Call {
	return o.GoWithContext(ctx, method, 0, make(chan *dbus.Call, 1), args...)
}

func answer(ctx op, c *dbus.Call, into ...any) error {
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
func providerError(ctx op, err error) error {
	if ctx.Err() != nil {
		return endOf(ctx)
	}
	e := backend.Errorf(backend.ErrUnavailable, err, otherStore(), "the keyring service failed")
	if d, ok := errors.AsType[dbus.Error](err); ok {
		switch {
		case d.Name == nameUnknown, d.Name == nameHasNoOwner,
			strings.HasPrefix(d.Name, "org.freedesktop.DBus.Error.Spawn."):
			return backend.Errorf(backend.ErrUnavailable, err, orFile("install and start one (gnome-keyring, KWallet, KeePassXC)"), "no keyring service on the session bus")
		}
	}
	return e
}

// isNoObject recognises the errors, two of gnome-keyring's and one of KWallet's, of
// an item that another process deleted or is just replacing.
func isNoObject(err error) bool {
	d, ok := errors.AsType[dbus.Error](err)
	if !ok {
		return false
	}
	text := d.Error()
	return d.Name == "org.freedesktop.Secret.Error.NoSuchObject" ||
		d.Name == "org.freedesktop.DBus.Error.UnknownObject" ||
		strings.HasPrefix(text, "Object does not exist at path") ||
		strings.HasPrefix(text, "No such interface") && strings.Contains(text, ifaceItem)
}

// hasGone recognises that the provider, or its bus, was gone before it was asked.
func hasGone(err error) bool {
	if errors.Is(err, dbus.ErrClosed) {
		return true
	}
	d, ok := errors.AsType[dbus.Error](err)
	return ok && (d.Name == nameUnknown || d.Name == nameHasNoOwner)
}

func isLocked(err error) bool {
	d, ok := errors.AsType[dbus.Error](err)
	return ok && (d.Name == "org.freedesktop.Secret.Error.IsLocked" || strings.Contains(d.Error(), "in a locked collection"))
}
