package store

import (
	"errors"
	"path"
	"reflect"
	"testing"

	"github.com/godbus/dbus/v5"
	gokeyring "github.com/zalando/go-keyring"
)

// TestKeyring_isGoKeyrings: what t2-cred keeps is what bare go-keyring keeps, which
// wrote the items of earlier versions. Each reads, replaces and deletes the other's.
func TestKeyring_isGoKeyrings(t *testing.T) {
	s := open(t, keyringOptions(t))
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", theBus.address) // go-keyring reads it
	ctx, service := t.Context(), "t2-cred-"+s.ns
	const name = "grant,p,a"
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	holds := func(value string) {
		t.Helper()
		if got, err := gokeyring.Get(service, name); err != nil || got != "="+value {
			t.Fatalf("go-keyring reads %q, %v, want %q", got, err, value)
		}
		if got, _, err := s.backend.Load(ctx, name); err != nil || got.Reveal() != value {
			t.Fatalf("Load = %q, %v, want %q", got.Reveal(), err, value)
		}
		if items := itemsOf(t, theBus.privateBus, service); len(items) != 1 {
			t.Fatalf("there are %d items: %+v", len(items), items)
		}
	}
	must(s.saveAny(ctx, s.backend, name, "ours"))
	holds("ours")
	ours := itemsOf(t, theBus.privateBus, service)
	must(gokeyring.Set(service, name, "=theirs"))
	holds("theirs")
	must(s.saveAny(ctx, s.backend, name, "ours again"))
	holds("ours again")
	must(gokeyring.Delete(service, name))
	if _, _, err := s.backend.Load(ctx, name); !errors.Is(err, ErrNotFound) {
		t.Fatalf("Load of what go-keyring has deleted: %v", err)
	}
	must(gokeyring.Set(service, name, "=ours"))
	holds("ours")
	if ours[0].label != s.opt.label(name) {
		t.Errorf("our item is called %q, not %q", ours[0].label, s.opt.label(name))
	}
	theirs := itemsOf(t, theBus.privateBus, service)
	ours[0].label = theirs[0].label // items are found by attributes; a label is for people
	if !reflect.DeepEqual(ours, theirs) {
		t.Errorf("our item is\n%+v, go-keyring's is\n%+v", ours, theirs)
	}
	must(s.saveAny(ctx, s.backend, name, "last"))
	must(s.backend.Delete(ctx, name))
	if _, err := gokeyring.Get(service, name); !errors.Is(err, gokeyring.ErrNotFound) {
		t.Fatalf("go-keyring reads what we have deleted: %v", err)
	}
}

// TestKeyring_choosesAsGoKeyring: where there is no login, it is the default.
func TestKeyring_choosesAsGoKeyring(t *testing.T) {
	b := newPrivateBus(t)
	b.startKeyring(t, "")
	other := b.makeDefault(t, "other")
	c := keyringChild(t)
	s := open(t, testOptionsOf(t, c))
	drop(t, s, alice)
	for _, mode := range []string{"bare set", "load", "rotate", "bare get", "load"} {
		if got := runOutcome(t, b.child(t, mode, c)); got.Kind != "ok" {
			t.Fatalf("%s: %+v", mode, got)
		}
	}
	items := itemsOf(t, b, "t2-cred-"+s.ns)
	for _, item := range items {
		if item.collection != other {
			t.Errorf("an item is in %s, want %s", item.collection, other)
		}
	}
	if len(items) != 2 { // the record, and the identity for copies
		t.Errorf("%d items, want 2", len(items))
	}
}

// keptItem is what the Secret Service tells of an item.
type keptItem struct {
	collection         dbus.ObjectPath
	label              string
	attributes         map[string]string
	value, contentType string
}

// itemsOf asks for the items of a service, on a connection of its own.
func itemsOf(t *testing.T, b *privateBus, service string) []keptItem {
	t.Helper()
	conn, session := b.session(t)
	var paths, locked []dbus.ObjectPath
	err := conn.Object(secretsName, secretsPath).Call(ifaceService+".SearchItems", 0, map[string]string{attributeService: service}).Store(&paths, &locked)
	if err != nil || len(locked) > 0 {
		t.Fatalf("locked: %v, %v", locked, err)
	}
	items := make([]keptItem, len(paths))
	for i, p := range paths {
		var s fakeSecret
		var of map[string]dbus.Variant
		item := conn.Object(secretsName, p)
		if err := item.Call(ifaceItem+".GetSecret", 0, session).Store(&s); err != nil {
			t.Fatal(err)
		}
		if err := item.Call("org.freedesktop.DBus.Properties.GetAll", 0, ifaceItem).Store(&of); err != nil {
			t.Fatal(err)
		}
		items[i] = keptItem{collection: dbus.ObjectPath(path.Dir(string(p))), value: string(s.Value), contentType: s.ContentType}
		items[i].label, _ = of["Label"].Value().(string)
		items[i].attributes, _ = of["Attributes"].Value().(map[string]string)
		// gnome-keyring adds it to any item, once it has read its file again.
		delete(items[i].attributes, "xdg:schema")
	}
	return items
}
