package keyring

import (
	"context"
	"errors"

	"github.com/godbus/dbus/v5"
)

const (
	service = "org.freedesktop.secrets"
	// internal is gnome-keyring's own interface, the only way to unlock a running
	// daemon without a prompt: `gnome-keyring-daemon --unlock` does not.
	internal = "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface"

	root  = dbus.ObjectPath("/org/freedesktop/secrets")
	login = dbus.ObjectPath("/org/freedesktop/secrets/collection/login")
)

// secret is the (oayays) of the Secret Service.
type secret struct {
	Session     dbus.ObjectPath
	Parameters  []byte
	Value       []byte
	ContentType string
}

// call makes one call under a deadline.
func (s *Session) call(o dbus.BusObject, method string, args []any, out ...any) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	return o.CallWithContext(ctx, method, 0, args...).Store(out...)
}

func (s *Session) object(p dbus.ObjectPath) dbus.BusObject { return s.conn.Object(service, p) }

// open opens a session with the service. The ping before it is no courtesy:
// gnome-keyring 42 aborts when OpenSession is the first that it hears of a client.
func (s *Session) open() (dbus.ObjectPath, error) {
	if err := s.call(s.object(root), "org.freedesktop.DBus.Peer.Ping", nil); err != nil {
		return "", err
	}
	var ignored dbus.Variant
	var session dbus.ObjectPath
	err := s.call(s.object(root), "org.freedesktop.Secret.Service.OpenSession", []any{"plain", dbus.MakeVariant("")}, &ignored, &session)
	return session, err
}

// Lock locks the login collection.
func (s *Session) Lock() {
	s.t.Helper()
	var locked []dbus.ObjectPath
	var prompt dbus.ObjectPath
	s.must("lock", s.call(s.object(root), "org.freedesktop.Secret.Service.Lock", []any{[]dbus.ObjectPath{login}}, &locked, &prompt))
	if !s.Locked() {
		s.t.Fatalf("keyring: the login collection is still unlocked")
	}
}

// Unlock unlocks the login collection, without a prompt.
func (s *Session) Unlock() {
	s.t.Helper()
	session, err := s.open()
	s.must("unlock", err)
	s.must("unlock", s.call(s.object(root), internal+".UnlockWithMasterPassword",
		[]any{login, secret{session, []byte{}, []byte(password), "text/plain"}}))
	if s.Locked() {
		s.t.Fatalf("keyring: the login collection is still locked")
	}
}

// Locked tells whether the login collection is locked.
func (s *Session) Locked() bool {
	s.t.Helper()
	locked, err := s.locked()
	s.must("ask whether it is locked", err)
	return locked
}

func (s *Session) locked() (bool, error) {
	var v dbus.Variant
	if err := s.call(s.object(login), "org.freedesktop.DBus.Properties.Get", []any{"org.freedesktop.Secret.Collection", "Locked"}, &v); err != nil {
		return false, err
	}
	b, ok := v.Value().(bool)
	if !ok {
		return false, errors.New("the property Locked is no boolean")
	}
	return b, nil
}

// Item is an item of the login collection.
type Item struct {
	Label      string
	Attributes map[string]string
	Value      string
}

// Items are all items of the unlocked login collection.
func (s *Session) Items() []Item {
	s.t.Helper()
	session, err := s.open()
	s.must("list items", err)
	var v dbus.Variant
	s.must("list items", s.call(s.object(login), "org.freedesktop.DBus.Properties.Get", []any{"org.freedesktop.Secret.Collection", "Items"}, &v))
	paths, _ := v.Value().([]dbus.ObjectPath)
	items := make([]Item, 0, len(paths))
	for _, p := range paths {
		var props map[string]dbus.Variant
		var sec secret
		s.must("read an item", s.call(s.object(p), "org.freedesktop.DBus.Properties.GetAll", []any{"org.freedesktop.Secret.Item"}, &props))
		s.must("read an item", s.call(s.object(p), "org.freedesktop.Secret.Item.GetSecret", []any{session}, &sec))
		label, _ := props["Label"].Value().(string)
		attributes, _ := props["Attributes"].Value().(map[string]string)
		items = append(items, Item{label, attributes, string(sec.Value)})
	}
	return items
}
