package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// mostCalls are the calls of a refresh that rotates: the collections, whether it
// is locked, a session; a search and a secret for the record, the client's secret and
// the identity for copies; the record's secret once more, to compare; the new value and the
// same read back.
const mostCalls = 14

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
	if i := slices.Index(calls, "SetSecret"); i >= 0 && !slices.Contains(calls[i:], "GetSecret") {
		t.Errorf("it is not read back: %q", calls)
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
