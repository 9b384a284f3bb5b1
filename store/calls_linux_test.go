package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// mostCalls are the calls of a refresh that rotates. The first three ask for the collections,
// whether login is locked, and a session. Three search for the record, the client's secret and
// the identity for copies, and one asks for all their secrets. One reads the record again, to
// compare. Two write the new value and read it back. Two more are for a load that comes too
// late to be one of three.
const mostCalls = 12

// TestKeyring_refreshIsFewCalls counts what a whole refresh asks gnome-keyring.
// Bare go-keyring took 31 calls for it, and all of the time that a refresh may
// take longer than curl.
func TestKeyring_refreshIsFewCalls(t *testing.T) {
	b := newKeyringBus(t)
	c := keyringChild(t)
	for _, mode := range []string{"update", "client secret", "renew"} {
		if got := runOutcome(t, b.child(t, mode, c)); got.Kind != "ok" {
			t.Fatalf("%s: %+v", mode, got)
		}
	}
	calls := b.calls(t, func() {
		if got := runOutcome(t, b.child(t, "renew", c)); got.Kind != "ok" {
			t.Errorf("%+v", got)
		}
	})
	if len(calls) > mostCalls || !slices.Contains(calls, "SetSecret") {
		t.Errorf("%d calls: %q, want at most %d", len(calls), calls, mostCalls)
	}
	if !slices.Contains(calls, "GetSecrets") {
		t.Errorf("no secrets are asked for at once: %q", calls)
	}
	if i := slices.Index(calls, "SetSecret"); i >= 0 && !slices.Contains(calls[i:], "GetSecret") {
		t.Errorf("it is not read back: %q", calls)
	}
}

// What is asked for at once may be answered in part, by an error, or for other items: each
// item has its own value all the same.
func TestKeyring_secretsAtOnce(t *testing.T) {
	for name, together := range map[string]func([]dbus.ObjectPath, map[dbus.ObjectPath]fakeSecret) *dbus.Error{
		"all": func([]dbus.ObjectPath, map[dbus.ObjectPath]fakeSecret) *dbus.Error { return nil },
		"none": func(_ []dbus.ObjectPath, values map[dbus.ObjectPath]fakeSecret) *dbus.Error {
			clear(values)
			return nil
		},
		"an error": func([]dbus.ObjectPath, map[dbus.ObjectPath]fakeSecret) *dbus.Error {
			return dbus.MakeFailedError(errDown)
		},
		"one is left out": func(items []dbus.ObjectPath, values map[dbus.ObjectPath]fakeSecret) *dbus.Error {
			delete(values, items[0])
			return nil
		},
		"another item's": func(items []dbus.ObjectPath, values map[dbus.ObjectPath]fakeSecret) *dbus.Error {
			values["/org/freedesktop/secrets/collection/login/other"] = values[items[0]]
			delete(values, items[0])
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newPrivateBus(t)
			f := newFakeService(t, b, &fakeService{together: together})
			c := keyringChild(t)
			for _, mode := range []string{"update", "client secret", "renew", "renew"} {
				if got := runOutcome(t, b.child(t, mode, c)); got.Kind != "ok" {
					t.Fatalf("%s: %+v", mode, got)
				}
			}
			f.set(func() {
				if !slices.Contains(f.calls, "GetSecrets") {
					t.Errorf("calls: %q", f.calls)
				}
			})
			if got := runOutcome(t, b.child(t, "load", c)); got.Kind != "ok" || !strings.HasSuffix(got.Refresh, "''") {
				t.Errorf("%+v", got)
			}
		})
	}
}

// calls are what others call of the Secret Service while f runs.
func (b *privateBus) calls(t *testing.T, f func()) (members []string) {
	t.Helper()
	ear := b.dial(t)
	err := ear.BusObject().Call("org.freedesktop.DBus.Monitoring.BecomeMonitor", 0, []string{"type='method_call'"}, uint32(0)).Err
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan *dbus.Message, 1000)
	ear.Eavesdrop(heard)
	f()
	// A call of our own is the last.
	const last = "org.freedesktop.DBus.Peer.GetMachineId"
	b.dial(t).Object(secretsName, secretsPath).Go(last, dbus.FlagNoReplyExpected, nil)
	deadline := time.After(10 * time.Second)
	for {
		select {
		case m := <-heard:
			member := fmt.Sprint(m.Headers[dbus.FieldMember].Value())
			path, _ := m.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
			switch {
			case !strings.HasPrefix(string(path), string(secretsPath)):
			case member == "GetMachineId":
				return members
			default:
				members = append(members, member)
			}
		case <-deadline:
			t.Fatalf("the last call was not heard, but: %q", members)
		}
	}
}
