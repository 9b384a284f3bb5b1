package keyring

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/godbus/dbus/v5"
	ss "github.com/zalando/go-keyring/secret_service"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/store/backend"
)

const (
	attributeService = "service"
	attributeUser    = "username"
)

// unlockable: a locked keyring shows its dialog when it is asked to.
const unlockable = true

// vault keeps items in the Secret Service as go-keyring does, which reads them and
// whose items it reads. go-keyring itself would ask for the collections, unlock,
// open a session and close it again for each item, thirty calls for a refresh; has
// no deadline; takes a dismissed dialog for success; and can bring gnome-keyring
// down with its first call.
type vault struct {
	service string
	bus     *bus
	warn    func(string)
	label   func(name string) string
	waiting sync.Map // the names that callers of get wait to ask for
}

func newVault(service string, o backend.Options) *vault {
	v := &vault{service: service, bus: &bus{getenv: o.Getenv}, warn: o.Warn, label: o.Label}
	v.bus.ahead = v.seek
	if v.label == nil { // go-keyring's own
		v.label = func(name string) string { return fmt.Sprintf("Password for '%s' on '%s'", name, service) }
	}
	return v
}

func (v *vault) unlock(ctx op) error { return v.bus.unlock(ctx) }

// with does something in a talk, and explains why it failed. When the provider of
// an earlier talk has gone, it is done with the next one.
func (v *vault) with(ctx op, do func(t *talk) error) error {
	for again := false; ; again = true {
		t, err := v.bus.talk(ctx)
		if err != nil {
			return err
		}
		err = do(t)
		if err == nil || errors.Is(err, backend.ErrNotFound) {
			return err
		}
		v.bus.end(t)
		if again || !hasGone(err) {
			return v.explain(ctx, err)
		}
	}
}

// explain turns what a provider said into an error of this package.
func (v *vault) explain(ctx op, err error) error {
	if _, ok := errors.AsType[*hint.Error](err); ok {
		return err
	}
	switch {
	case errors.Is(err, errAsks):
		return err
	case errors.Is(err, errNobody):
		return backend.Errorf(backend.ErrUnavailable, backend.ErrNoAnswer,
			orFile("answer it, or have the keyring not ask (KeePassXC: Secret Service Integration)"), "%v", err)
	case ctx.Err() != nil:
		return endOf(ctx)
	case isLocked(err):
		return lockedError(err)
	}
	// It may have been locked, or have died, in between.
	if _, why := v.bus.talk(ctx); why != nil {
		return why
	}
	return refused(err)
}

func (v *vault) attributes(name string) map[string]string {
	return map[string]string{attributeUser: name, attributeService: v.service}
}

func (v *vault) get(ctx op, name string) (value string, err error) {
	v.waiting.Store(name, true)
	err = v.with(ctx, func(t *talk) (err error) {
		v.waiting.Delete(name)
		if one, ok := t.taken.LoadAndDelete(name); ok {
			one := one.(taken)
			t.found.Store(name, one.item)
			value = one.value
			return nil
		}
		value, err = v.read(ctx, t, name)
		return err
	})
	v.waiting.Delete(name)
	return value, err
}

// A taken item is one that seek has read.
type taken struct {
	item  dbus.ObjectPath
	value string
}

// seek searches for the items that callers of get wait to ask for, and take asks for all
// their values at once. What it does not bring, get asks for again: there is no such item,
// there are several, it is locked, or another provider has answered.
func (v *vault) seek(ctx op, t *talk) (take func()) {
	searches := map[string]*dbus.Call{}
	v.waiting.Range(func(name, _ any) bool {
		searches[name.(string)] = v.search(ctx, t, loginCollection, name.(string))
		return true
	})
	return func() {
		names := map[dbus.ObjectPath]string{}
		for name, search := range searches {
			var found []dbus.ObjectPath
			if answer(ctx, search, &found) == nil && len(found) == 1 {
				names[found[0]] = name
			}
		}
		if len(names) == 0 {
			return
		}
		all := goCall(ctx, t.object(secretsPath), ifaceService+".GetSecrets", slices.Collect(maps.Keys(names)), t.session)
		if answer(ctx, all) != nil || len(all.Body) != 1 {
			return
		}
		secrets, _ := all.Body[0].(map[dbus.ObjectPath][]any)
		for item, name := range names {
			if value, ok := bytesOf(secrets[item]); ok {
				t.taken.Store(name, taken{item, value})
			}
		}
	}
}

// again reads the item that the last get of that name has found, without another search,
// for the set that follows. One that is no longer at its path is looked for.
func (v *vault) again(ctx op, name string) (value string, err error) {
	err = v.with(ctx, func(t *talk) (err error) {
		err = backend.NotFound()
		if item, ok := t.found.Load(name); ok {
			value, err = t.secret(ctx, item.(dbus.ObjectPath))
		}
		if errors.Is(err, backend.ErrNotFound) {
			t.found.Delete(name)
			value, err = v.read(ctx, t, name)
		}
		return err
	})
	return value, err
}

func (v *vault) read(ctx op, t *talk, name string) (string, error) {
	item, err := v.find(ctx, t, name, v.search(ctx, t, t.collection, name))
	if err != nil {
		return "", err
	}
	t.found.Store(name, item)
	return t.secret(ctx, item)
}

// find returns the item of that name that the search has found; the error is ErrNotFound
// when there is none. Of several, which another program or a copied keyring file made, the
// one that was changed last counts.
func (v *vault) find(ctx op, t *talk, name string, search *dbus.Call) (dbus.ObjectPath, error) {
	var found []dbus.ObjectPath
	err := answer(ctx, search, &found)
	switch {
	case err != nil:
		return "", err
	case len(found) == 0:
		return "", backend.NotFound()
	case len(found) == 1:
		return found[0], nil
	}
	v.warn(fmt.Sprintf("the keyring has %d items %q of %s; the newest is used, and erase deletes them all", len(found), name, v.service))
	newest, at := found[0], uint64(0)
	for _, item := range found {
		var changed dbus.Variant
		if err := answer(ctx, goCall(ctx, t.object(item), getProperty, ifaceItem, "Modified"), &changed); err != nil {
			return "", err
		}
		if when, _ := changed.Value().(uint64); when > at {
			newest, at = item, when
		}
	}
	return newest, nil
}

// all are the items of that name.
func (v *vault) all(ctx op, t *talk, name string) (found []dbus.ObjectPath, err error) {
	err = answer(ctx, v.search(ctx, t, t.collection, name), &found)
	return found, err
}

// search asks for the items of that name in a collection.
func (v *vault) search(ctx op, t *talk, collection dbus.ObjectPath, name string) *dbus.Call {
	return goCall(ctx, t.object(collection), ifaceCollection+".SearchItems", v.attributes(name))
}

// secret returns an item's value.
func (t *talk) secret(ctx op, item dbus.ObjectPath) (value string, err error) {
	err = t.opened(ctx, item, func() (err error) {
		value, err = valueIn(ctx, t.getSecret(ctx, item))
		return err
	})
	return value, err
}

func (t *talk) getSecret(ctx op, item dbus.ObjectPath) *dbus.Call {
	return goCall(ctx, t.object(item), ifaceItem+".GetSecret", t.session)
}

// valueIn is the value in the answer to GetSecret. godbus would store the whole secret byte
// by byte, each by reflection.
func valueIn(ctx op, call *dbus.Call) (string, error) {
	if err := answer(ctx, call); err != nil {
		return "", err
	}
	if len(call.Body) == 1 {
		members, _ := call.Body[0].([]any)
		if value, ok := bytesOf(members); ok {
			return value, nil
		}
	}
	return "", errors.New("the keyring service gave something that is no secret")
}

// bytesOf is the value of a secret of the Secret Service, which has four members.
func bytesOf(members []any) (string, bool) {
	if len(members) != 4 {
		return "", false
	}
	value, ok := members[2].([]byte)
	return string(value), ok
}

// opened does something to an item, and again once it is unlocked when it is
// locked alone, as where KeePassXC asks about each. One that has just been deleted
// is backend.ErrNotFound.
func (t *talk) opened(ctx op, item dbus.ObjectPath, do func() error) error {
	err := do()
	if isLocked(err) {
		if locked, lockErr := t.locked(ctx); lockErr != nil || locked || ctx.ask == askNobody {
			return err
		}
		never := func() (bool, error) { return false, nil }
		if err := t.unlock(ctx, item, never); err != nil {
			return err
		}
		if err = do(); isLocked(err) {
			return refused(err)
		}
	}
	if isNoObject(err) {
		return backend.NotFound()
	}
	return err
}

// set writes an item and reads it back: that nothing was reported does not prove
// that anything was done. An item that is there gets another value, for which
// gnome-keyring writes its file once; to replace the item it would write it twice.
func (v *vault) set(ctx op, name, value string) error {
	return v.with(ctx, func(t *talk) error {
		secret := ss.NewSecret(t.session, value)
		got := ""
		item, err := v.known(ctx, t, name)
		if err == nil {
			got, err = t.renew(ctx, item, secret)
		}
		switch {
		case err == nil && got != value: // unless the provider read before it wrote
			got, err = t.secret(ctx, item)
		case errors.Is(err, backend.ErrNotFound):
			if err = v.create(ctx, t, name, secret); err != nil {
				return err
			}
			got, err = v.read(ctx, t, name)
		}
		if errors.Is(err, backend.ErrNotFound) || err == nil && got != value {
			return backend.NotKept()
		}
		return err
	})
}

// known is the item that the last get of that name has found, or is looked for
// now. Providers give a path to one item only, as long as they run.
func (v *vault) known(ctx op, t *talk, name string) (dbus.ObjectPath, error) {
	if item, ok := t.found.LoadAndDelete(name); ok {
		return item.(dbus.ObjectPath), nil
	}
	return v.find(ctx, t, name, v.search(ctx, t, t.collection, name))
}

// renew gives an item another value and returns the one that it has then. It asks
// for that at once: what is asked on one connection arrives in its order.
func (t *talk) renew(ctx op, item dbus.ObjectPath, secret ss.Secret) (back string, err error) {
	err = t.opened(ctx, item, func() (err error) {
		write := goCall(ctx, t.object(item), ifaceItem+".SetSecret", secret)
		read := t.getSecret(ctx, item)
		if err := answer(ctx, write); err != nil {
			return err
		}
		back, err = valueIn(ctx, read)
		return err
	})
	return back, err
}

// create makes an item, or replaces the one that was made in between.
func (v *vault) create(ctx op, t *talk, name string, secret ss.Secret) error {
	properties := map[string]dbus.Variant{
		ifaceItem + ".Label":      dbus.MakeVariant(v.label(name)),
		ifaceItem + ".Attributes": dbus.MakeVariant(v.attributes(name)),
	}
	var item, prompt dbus.ObjectPath
	call := goCall(ctx, t.object(t.collection), ifaceCollection+".CreateItem", properties, secret, true)
	if err := answer(ctx, call, &item, &prompt); err != nil {
		return err
	}
	return t.dialog(ctx, prompt, func() (bool, error) { return v.has(ctx, t, name) })
}

func (v *vault) has(ctx op, t *talk, name string) (bool, error) {
	found, err := v.all(ctx, t, name)
	return len(found) > 0, err
}

// del deletes all items of that name.
func (v *vault) del(ctx op, name string) error {
	return v.with(ctx, func(t *talk) error {
		t.found.Delete(name)
		items, err := v.all(ctx, t, name)
		if err != nil {
			return err
		}
		for _, item := range items {
			if err := v.delItem(ctx, t, item); err != nil && !errors.Is(err, backend.ErrNotFound) {
				return err
			}
		}
		if has, err := v.has(ctx, t, name); err != nil || has {
			return errors.Join(err, notDeleted())
		}
		return nil
	})
}

func (v *vault) delItem(ctx op, t *talk, item dbus.ObjectPath) error {
	var prompt dbus.ObjectPath
	err := t.opened(ctx, item, func() error {
		return answer(ctx, goCall(ctx, t.object(item), ifaceItem+".Delete"), &prompt)
	})
	if err != nil {
		return err
	}
	return t.dialog(ctx, prompt, func() (bool, error) {
		var label dbus.Variant
		err := answer(ctx, goCall(ctx, t.object(item), getProperty, ifaceItem, "Label"), &label)
		return isNoObject(err), nil
	})
}

// listBatch is how many items are asked for at once: a bus allows 128 calls
// without an answer, unless its configuration says more.
const listBatch = 64

// list returns the names of the items of this service. Locked items do not tell
// theirs.
func (v *vault) list(ctx op) (names []string, err error) {
	err = v.with(ctx, func(t *talk) error { names, err = v.names(ctx, t); return err })
	return names, err
}

func (v *vault) names(ctx op, t *talk) ([]string, error) {
	var paths, locked []dbus.ObjectPath
	search := goCall(ctx, t.object(secretsPath), ifaceService+".SearchItems", map[string]string{attributeService: v.service})
	if err := answer(ctx, search, &paths, &locked); err != nil {
		return nil, err
	}
	if len(locked) > 0 {
		return nil, lockedError(nil)
	}
	names := make([]string, 0, len(paths))
	for batch := range slices.Chunk(paths, listBatch) {
		calls := make([]*dbus.Call, len(batch))
		for i, p := range batch {
			calls[i] = goCall(ctx, t.object(p), getProperty, ifaceItem, "Attributes")
		}
		for _, c := range calls {
			var of dbus.Variant
			err := answer(ctx, c, &of)
			if isNoObject(err) {
				continue // deleted since
			}
			if err != nil {
				return nil, err
			}
			if attributes, ok := of.Value().(map[string]string); ok && attributes[attributeUser] != "" {
				names = append(names, attributes[attributeUser])
			}
		}
	}
	return names, nil
}
