package store

import (
	"slices"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"
)

// fakeService is a Secret Service that behaves as badly as it is told to. It has
// one collection, login.
type fakeService struct {
	conn *dbus.Conn

	mu     sync.Mutex
	locked bool
	shut   bool // each item is locked
	// forgetful takes a new value of an item and keeps the old.
	forgetful bool
	// stale is how many searches find items that are not there, as those of a provider that
	// has ended since.
	stale int
	items map[string][]byte
	calls []string // in the order in which they came
	// prompt says which calls want a dialog first.
	promptCreate, promptDelete bool
	// completed is how a dialog ends: nil: never.
	completed []any
	// together changes the answer when several secrets are asked for at once; nil: there is
	// no such method.
	together func(items []dbus.ObjectPath, values map[dbus.ObjectPath]fakeSecret) *dbus.Error
	// onPrompt runs when a dialog is asked for.
	onPrompt func(f *fakeService)
}

const fakePrompt = dbus.ObjectPath("/org/freedesktop/secrets/prompt/p1")

type fakeSecret struct {
	Session     dbus.ObjectPath
	Parameters  []byte
	Value       []byte
	ContentType string
}

func newFakeService(t *testing.T, b *privateBus, f *fakeService) *fakeService {
	t.Helper()
	f.conn = b.dial(t)
	f.items = map[string][]byte{}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	service := map[string]any{
		"OpenSession": func(string, dbus.Variant) (dbus.Variant, dbus.ObjectPath, *dbus.Error) {
			f.called("OpenSession")
			return dbus.MakeVariant(""), "/org/freedesktop/secrets/session/s1", nil
		},
		"ReadAlias": func(string) (dbus.ObjectPath, *dbus.Error) { return loginCollection, nil },
		"Unlock":    f.unlock,
		"SearchItems": func(a map[string]string) (unlocked, locked []dbus.ObjectPath, e *dbus.Error) {
			return f.search(a), []dbus.ObjectPath{}, nil
		},
	}
	if f.together != nil {
		service["GetSecrets"] = func(items []dbus.ObjectPath, session dbus.ObjectPath) (map[dbus.ObjectPath]fakeSecret, *dbus.Error) {
			f.called("GetSecrets")
			values := map[dbus.ObjectPath]fakeSecret{}
			f.set(func() {
				for name, value := range f.items {
					if slices.Contains(items, itemPath(name)) {
						values[itemPath(name)] = fakeSecret{session, []byte{}, value, "text/plain"}
					}
				}
			})
			return values, f.together(items, values)
		}
	}
	must(f.conn.ExportMethodTable(service, secretsPath, ifaceService))
	must(f.conn.ExportMethodTable(map[string]any{
		"Get": func(_, name string) (dbus.Variant, *dbus.Error) {
			f.called("Get " + name)
			f.mu.Lock()
			defer f.mu.Unlock()
			if name == "Locked" {
				return dbus.MakeVariant(f.locked), nil
			}
			return dbus.MakeVariant([]dbus.ObjectPath{loginCollection}), nil
		},
	}, secretsPath, "org.freedesktop.DBus.Properties"))
	must(f.conn.ExportMethodTable(map[string]any{
		"Get": func(_, _ string) (dbus.Variant, *dbus.Error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			return dbus.MakeVariant(f.locked), nil
		},
	}, loginCollection, "org.freedesktop.DBus.Properties"))
	must(f.conn.ExportMethodTable(map[string]any{
		"SearchItems": func(a map[string]string) ([]dbus.ObjectPath, *dbus.Error) { return f.search(a), nil },
		"CreateItem":  f.create,
	}, loginCollection, ifaceCollection))
	must(f.conn.ExportMethodTable(map[string]any{"Prompt": f.show, "Dismiss": func() *dbus.Error { return nil }}, fakePrompt, ifacePrompt))
	must(f.conn.ExportMethodTable(map[string]any{"Close": func() *dbus.Error { return nil }}, "/org/freedesktop/secrets/session/s1", "org.freedesktop.Secret.Session"))
	reply, err := f.conn.RequestName(secretsName, dbus.NameFlagDoNotQueue)
	if err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatalf("cannot be the Secret Service: %v %v", reply, err)
	}
	return f
}

func itemPath(name string) dbus.ObjectPath {
	return loginCollection + dbus.ObjectPath("/"+lowerBase32.EncodeToString([]byte(name)))
}

func (f *fakeService) search(attributes map[string]string) []dbus.ObjectPath {
	f.called("SearchItems")
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stale > 0 {
		f.stale--
		return []dbus.ObjectPath{loginCollection + "/ended"}
	}
	if _, ok := f.items[attributes[attributeUser]]; ok {
		return []dbus.ObjectPath{itemPath(attributes[attributeUser])}
	}
	return []dbus.ObjectPath{}
}

func (f *fakeService) unlock(paths []dbus.ObjectPath) ([]dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.locked || f.shut {
		return []dbus.ObjectPath{}, fakePrompt, nil
	}
	return paths, noObject, nil
}

func (f *fakeService) create(properties map[string]dbus.Variant, s fakeSecret, _ bool) (dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	f.called("CreateItem")
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.promptCreate {
		return noObject, fakePrompt, nil
	}
	attributes, _ := properties[ifaceItem+".Attributes"].Value().(map[string]string)
	name := attributes[attributeUser]
	f.items[name] = s.Value
	path := itemPath(name)
	isShut := dbus.NewError("org.freedesktop.Secret.Error.IsLocked", nil)
	_ = f.conn.ExportMethodTable(map[string]any{
		"GetSecret": func(session dbus.ObjectPath) (fakeSecret, *dbus.Error) {
			f.called("GetSecret")
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.shut {
				return fakeSecret{}, isShut
			}
			return fakeSecret{session, []byte{}, f.items[name], "text/plain"}, nil
		},
		"SetSecret": func(s fakeSecret) *dbus.Error {
			f.called("SetSecret")
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.shut {
				return isShut
			}
			if !f.forgetful {
				f.items[name] = s.Value
			}
			return nil
		},
		"Delete": func() (dbus.ObjectPath, *dbus.Error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.promptDelete {
				return fakePrompt, nil
			}
			delete(f.items, name)
			return noObject, nil
		},
	}, path, ifaceItem)
	return path, noObject, nil
}

func (f *fakeService) show(string) *dbus.Error {
	f.mu.Lock()
	hook, body := f.onPrompt, f.completed
	f.mu.Unlock()
	if hook != nil {
		hook(f)
	}
	if body != nil {
		go func() { _ = f.conn.Emit(fakePrompt, ifacePrompt+".Completed", body...) }()
	}
	return nil
}

func (f *fakeService) called(name string) { f.set(func() { f.calls = append(f.calls, name) }) }

func (f *fakeService) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}
