package e2e

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// owner is the owner of a file.
func owner(info os.FileInfo) (uid, gid int) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return os.Getuid(), os.Getgid()
	}
	return int(st.Uid), int(st.Gid)
}

// homeKeys are the keys of one home in the kernel's keyring of a user.
type homeKeys struct {
	t          *testing.T
	user       *other
	namespaces []string
	saved      map[string][]byte
}

func saveKeys(t *testing.T, user *other, homes []string) *homeKeys {
	t.Helper()
	k := &homeKeys{t: t, user: user, saved: map[string][]byte{}}
	for _, h := range homes {
		k.namespaces = append(k.namespaces, h[strings.LastIndexByte(h, '/')+1:])
	}
	k.each(func(id int, name string) error {
		b := make([]byte, 32<<10)
		n, err := unix.KeyctlBuffer(unix.KEYCTL_READ, id, b, 0)
		if err == nil {
			k.saved[name] = b[:min(n, len(b))]
		}
		return orGone(err)
	})
	return k
}

// orGone takes a key that has just gone for none.
func orGone(err error) error {
	for _, gone := range []error{unix.ENOKEY, unix.EKEYEXPIRED, unix.EKEYREVOKED} {
		if errors.Is(err, gone) {
			return nil
		}
	}
	return err
}

// restore removes what was added and puts back what was there.
func (k *homeKeys) restore() {
	k.t.Helper()
	k.each(func(id int, _ string) error {
		_, err := unix.KeyctlInt(unix.KEYCTL_UNLINK, id, unix.KEY_SPEC_USER_KEYRING, 0, 0)
		if errors.Is(err, unix.ENOENT) {
			err = nil
		}
		return orGone(err)
	})
	err := k.user.do(func() error {
		for name, payload := range k.saved {
			if _, err := unix.AddKey("user", name, payload, unix.KEY_SPEC_USER_KEYRING); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		k.t.Fatalf("put a key back: %v", err)
	}
}

// each calls f for each key of the home, as its user.
func (k *homeKeys) each(f func(id int, name string) error) {
	k.t.Helper()
	err := k.user.do(func() error {
		b := make([]byte, 1<<16)
		n, err := unix.KeyctlBuffer(unix.KEYCTL_READ, unix.KEY_SPEC_USER_KEYRING, b, 0)
		if err != nil {
			return err
		}
		for at := 0; at+4 <= min(n, len(b)); at += 4 {
			id := int(int32(uint32(b[at]) | uint32(b[at+1])<<8 | uint32(b[at+2])<<16 | uint32(b[at+3])<<24))
			text, err := unix.KeyctlString(unix.KEYCTL_DESCRIBE, id)
			if err != nil {
				continue // it has gone, or is nobody's business
			}
			name := text[strings.LastIndexByte(text, ';')+1:]
			for _, ns := range k.namespaces {
				if strings.Contains(name, ns) {
					if err := f(id, name); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		k.t.Fatalf("read the kernel's keyring: %v", err)
	}
}

// A vault is a user's login collection, seen from a connection of that user.
type vault struct {
	t       *testing.T
	conn    *dbus.Conn
	session dbus.ObjectPath
	saved   []vaultItem
}

type vaultItem struct {
	label      string
	attributes map[string]string
	secret     vaultSecret
}

// vaultSecret is the (oayays) of the Secret Service.
type vaultSecret struct {
	Session     dbus.ObjectPath
	Parameters  []byte
	Value       []byte
	ContentType string
}

const (
	secretsName  = "org.freedesktop.secrets"
	secretsItem  = "org.freedesktop.Secret.Item"
	secretsLogin = dbus.ObjectPath("/org/freedesktop/secrets/collection/login")
)

func openVault(t *testing.T, user *other, address string) *vault {
	t.Helper()
	v := &vault{t: t}
	if err := user.do(func() (err error) {
		v.conn, err = dbus.Connect(address)
		return err
	}); err != nil {
		t.Fatalf("connect to the user's bus: %v", err)
	}
	t.Cleanup(func() { _ = v.conn.Close() })
	// gnome-keyring 42 aborts when OpenSession is the first that it hears of a client.
	v.call("/org/freedesktop/secrets", "org.freedesktop.DBus.Peer.Ping", nil)
	var ignored dbus.Variant
	v.call("/org/freedesktop/secrets", "org.freedesktop.Secret.Service.OpenSession", []any{"plain", dbus.MakeVariant("")}, &ignored, &v.session)
	return v
}

func (v *vault) call(path dbus.ObjectPath, method string, args []any, out ...any) {
	v.t.Helper()
	c := v.conn.Object(secretsName, path).Go(method, 0, make(chan *dbus.Call, 1), args...)
	select {
	case <-c.Done:
	case <-time.After(10 * time.Second):
		v.t.Fatalf("%s: no answer", method)
	}
	if err := c.Store(out...); err != nil {
		v.t.Fatalf("%s: %v", method, err)
	}
}

func (v *vault) items() (paths []dbus.ObjectPath) {
	v.t.Helper()
	var items dbus.Variant
	v.call(secretsLogin, "org.freedesktop.DBus.Properties.Get", []any{"org.freedesktop.Secret.Collection", "Items"}, &items)
	paths, _ = items.Value().([]dbus.ObjectPath)
	return paths
}

func (v *vault) save() {
	v.t.Helper()
	v.saved = nil
	for _, path := range v.items() {
		var props map[string]dbus.Variant
		var i vaultItem
		v.call(path, "org.freedesktop.DBus.Properties.GetAll", []any{secretsItem}, &props)
		v.call(path, secretsItem+".GetSecret", []any{v.session}, &i.secret)
		i.label, _ = props["Label"].Value().(string)
		i.attributes, _ = props["Attributes"].Value().(map[string]string)
		v.saved = append(v.saved, i)
	}
	if len(v.saved) == 0 {
		v.t.Fatal("the keyring is empty")
	}
}

// restore deletes all items and makes those that were saved. An item has then
// another path, which nobody may remember over two runs.
func (v *vault) restore() {
	v.t.Helper()
	for _, path := range v.items() {
		var prompt dbus.ObjectPath
		v.call(path, secretsItem+".Delete", nil, &prompt)
	}
	for _, i := range v.saved {
		properties := map[string]dbus.Variant{secretsItem + ".Label": dbus.MakeVariant(i.label), secretsItem + ".Attributes": dbus.MakeVariant(i.attributes)}
		i.secret.Session = v.session
		var path, prompt dbus.ObjectPath
		v.call(secretsLogin, "org.freedesktop.Secret.Collection.CreateItem", []any{properties, i.secret, true}, &path, &prompt)
	}
}
