package store

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// TestKeyring_badProviders are Secret Services that no honest error comes from.
func TestKeyring_badProviders(t *testing.T) {
	for name, tt := range map[string]struct {
		fake  *fakeService
		modes []string
		kind  error
	}{
		"dismissed dialog on create": {
			&fakeService{promptCreate: true, completed: []any{true, dbus.MakeVariant("")}},
			[]string{"update", "writable"}, ErrUnavailable,
		},
		"dialog on create that nobody answers": {&fakeService{promptCreate: true}, []string{"update"}, ErrUnavailable},
		"dismissed dialog on delete": {
			&fakeService{promptDelete: true, completed: []any{true, dbus.MakeVariant("")}},
			[]string{"kept", "delete"}, ErrUnavailable,
		},
		"an item whose dialog is dismissed": {
			&fakeService{shut: true, completed: []any{true, dbus.MakeVariant("")}}, []string{"update", "load", "update"}, ErrUnavailable,
		},
		"a completed dialog without a body":   {&fakeService{shut: true, completed: []any{}}, []string{"update", "load"}, ErrUnavailable},
		"a completed dialog of other types":   {&fakeService{shut: true, completed: []any{"yes", int32(1)}}, []string{"update", "load"}, ErrUnavailable},
		"an item whose dialog nobody answers": {&fakeService{shut: true}, []string{"update", "load"}, ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newPrivateBus(t)
			newFakeService(t, b, tt.fake)
			c := keyringChild(t)
			c.Millis = 1500
			for _, mode := range tt.modes {
				got := runOutcome(t, b.child(t, mode, c))
				if mode == "kept" && got.Kind == "ok" {
					continue
				}
				if got.Kind != tt.kind.Error() || got.Millis > 7000 {
					t.Errorf("%s: %+v", mode, got)
				}
				t.Log(got.Error)
			}
		})
	}
}

// TestKeyring_itemsLockedOneByOne: as with KeePassXC, each wants a dialog.
func TestKeyring_itemsLockedOneByOne(t *testing.T) {
	t.Parallel()
	b := newPrivateBus(t)
	f := newFakeService(t, b, &fakeService{
		completed: []any{false, dbus.MakeVariant("")},
		onPrompt:  func(f *fakeService) { f.set(func() { f.shut = false }) },
	})
	c := keyringChild(t)
	for _, mode := range []string{"update", "load", "rotate", "writable"} {
		f.set(func() { f.shut = true })
		if got := runOutcome(t, b.child(t, mode, c)); got.Kind != "ok" {
			t.Errorf("%s: %+v", mode, got)
		}
	}
}

// TestKeyring_keepsTheOldValue: a provider that takes a new value and has the old
// one is not believed.
func TestKeyring_keepsTheOldValue(t *testing.T) {
	t.Parallel()
	b := newPrivateBus(t)
	f := newFakeService(t, b, &fakeService{})
	c := keyringChild(t)
	drop(t, open(t, testOptionsOf(t, c)), alice)
	if got := runOutcome(t, b.child(t, "update", c)); got.Kind != "ok" {
		t.Fatalf("%+v", got)
	}
	f.set(func() { f.forgetful = true })
	got := runOutcome(t, b.child(t, "rotate", c))
	if got.Kind != "ok" { // the warning says that it is kept elsewhere
		t.Errorf("%+v", got)
	}
	if again := runOutcome(t, b.child(t, "load", c)); again.Refresh != got.Refresh {
		t.Errorf("the next run: %+v, want %s", again, got.Refresh)
	}
	f.set(func() { f.forgetful = false })
	if again := runOutcome(t, b.child(t, "load", c)); again.Kind != "ok" || again.Refresh != got.Refresh {
		t.Errorf("the run after that: %+v, want %s", again, got.Refresh)
	}
}

// TestKeyring_searchedTooEarly: the first search is sent before the provider has told its
// name on the bus, so one that has ended since may have answered it.
func TestKeyring_searchedTooEarly(t *testing.T) {
	t.Parallel()
	b := newPrivateBus(t)
	f := newFakeService(t, b, &fakeService{})
	c := keyringChild(t)
	drop(t, open(t, testOptionsOf(t, c)), alice)
	want := runOutcome(t, b.child(t, "update", c))
	if want.Kind != "ok" {
		t.Fatalf("%+v", want)
	}
	f.set(func() { f.stale = 1 })
	if got := runOutcome(t, b.child(t, "load", c)); got.Kind != "ok" || got.Refresh != want.Refresh {
		t.Errorf("%+v, want %s", got, want.Refresh)
	}
	if f.stale != 0 {
		t.Error("nothing was searched for")
	}
}

func TestKeyring_waitsForTheDialog(t *testing.T) {
	later := func(f *fakeService) {
		time.AfterFunc(700*time.Millisecond, func() { f.set(func() { f.locked = false }) })
	}
	atOnce := func(f *fakeService) { f.set(func() { f.locked = false }) }
	for name, tt := range map[string]struct {
		fake   *fakeService
		want   string
		within int // ms; 0: the deadline
	}{
		"unlocked":                       {&fakeService{locked: true, onPrompt: atOnce, completed: []any{false, dbus.MakeVariant("")}}, "ok", 1500},
		"unlocked, but no word comes":    {&fakeService{locked: true, onPrompt: later}, "ok", 0},
		"dismissed":                      {&fakeService{locked: true, completed: []any{true, dbus.MakeVariant("")}}, ErrLocked.Error(), 1500},
		"nobody comes":                   {&fakeService{locked: true}, ErrLocked.Error(), 0},
		"completed, but without a body":  {&fakeService{locked: true, completed: []any{}}, ErrLocked.Error(), 1500},
		"the provider goes away instead": {&fakeService{locked: true, onPrompt: func(f *fakeService) { go f.conn.Close() }}, ErrUnavailable.Error(), 1500},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newPrivateBus(t)
			newFakeService(t, b, tt.fake)
			c := keyringChild(t)
			c.Attended, c.Millis = true, 4000
			cmd := b.child(t, "update", c)
			drop(t, open(t, testOptionsOf(t, c)), alice)
			var stderr, out bytes.Buffer
			cmd.Stderr, cmd.Stdout = &stderr, &out
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v\n%s", err, stderr.String())
			}
			got := lastOutcome(t, out.Bytes())
			within := cmp.Or(tt.within, 6000)
			if got.Kind != tt.want || got.Millis > within {
				t.Errorf("%+v", got)
			}
			if n := strings.Count(stderr.String(), "waiting for the keyring to be unlocked"); n != 1 {
				t.Errorf("said %d times that it waits: %q", n, stderr.String())
			}
		})
	}
}

// TestKeyring_firstCallIsHarmless watches the order of calls: gnome-keyring can
// abort when the first one of a connection opens a session, as go-keyring's Set
// does.
func TestKeyring_firstCallIsHarmless(t *testing.T) {
	b := newPrivateBus(t)
	f := newFakeService(t, b, &fakeService{})
	c := keyringChild(t)
	c.Dir = t.TempDir()
	for _, mode := range []string{"writable", "update", "load", "rotate", "refresh"} {
		f.set(func() { f.calls = nil })
		if got := runOutcome(t, b.child(t, mode, c)); got.Kind != "ok" {
			t.Errorf("%s: %+v", mode, got)
		}
		var calls []string
		f.set(func() { calls = slices.Clone(f.calls) })
		searched := false
		for i, call := range calls {
			if i == 0 && call != "Get Collections" {
				t.Errorf("%s: the first call is %s", mode, call)
			}
			searched = searched || call == "SearchItems"
			if (call == "CreateItem" || call == "SetSecret") && !searched {
				t.Errorf("%s: an item is written before one was looked for: %q", mode, calls)
			}
		}
		if len(calls) < 3 && mode != "refresh" { // which is content with the token
			t.Errorf("%s: calls were %q", mode, calls)
		}
	}
}

// TestKeyring_saysThatAnItemIsAskedFor: where somebody is there, one line tells that
// a dialog waits, and there is more time for it than for a call.
func TestKeyring_saysThatAnItemIsAskedFor(t *testing.T) {
	t.Parallel()
	b := newPrivateBus(t)
	f := newFakeService(t, b, &fakeService{
		onPrompt: func(f *fakeService) {
			time.AfterFunc(callTime+500*time.Millisecond, func() {
				f.set(func() { f.shut = false })
				_ = f.conn.Emit(fakePrompt, ifacePrompt+".Completed", false, dbus.MakeVariant(""))
			})
		},
	})
	c := keyringChild(t)
	if got := runOutcome(t, b.child(t, "update", c)); got.Kind != "ok" {
		t.Fatalf("%+v", got)
	}
	f.set(func() { f.shut = true })
	c.Attended = true
	cmd := b.child(t, "rotate", c)
	var stderr, out bytes.Buffer
	cmd.Stderr, cmd.Stdout = &stderr, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	if got := lastOutcome(t, out.Bytes()); got.Kind != "ok" || got.Millis < int(callTime.Milliseconds()) {
		t.Errorf("%+v", got)
	}
	if n := strings.Count(stderr.String(), "waiting for the keyring's dialog to be answered"); n != 1 {
		t.Errorf("said %d times that it waits: %q", n, stderr.String())
	}
}
