package store

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/safefile"
	"github.com/terradue/t2-cred/helper/secret"
)

// TestKeyring_twoItems: another program, or a copied keyring file, made a second item of
// the same attributes. The newest counts, a person is told, and erase deletes both.
func TestKeyring_twoItems(t *testing.T) {
	t.Parallel()
	b, c := newKeyringBus(t), keyringChild(t)
	s := open(t, testOptionsOf(t, c))
	drop(t, s, alice)
	service, name := "t2-cred-"+s.ns, alice.item(kindGrant)
	if got := runOutcome(t, b.child(t, "update", c)); got.Kind != "ok" {
		t.Fatalf("%+v", got)
	}
	records := func() (all []string) {
		for _, item := range itemsOf(t, b, service) {
			if item.attributes[attributeUser] == name {
				all = append(all, item.value)
			}
		}
		return all
	}
	stale := records()[0]
	time.Sleep(1100 * time.Millisecond) // the keyring counts in seconds
	conn, session := b.session(t)
	var item, prompt dbus.ObjectPath
	err := conn.Object(secretsName, loginCollection).Call(ifaceCollection+".CreateItem", 0, map[string]dbus.Variant{
		ifaceItem + ".Label":      dbus.MakeVariant("a copy"),
		ifaceItem + ".Attributes": dbus.MakeVariant(map[string]string{attributeUser: name, attributeService: service}),
	}, fakeSecret{session, []byte{}, []byte(stale), "text/plain"}, false).Store(&item, &prompt)
	if err != nil || len(records()) != 2 {
		t.Fatalf("%d items, %v", len(records()), err)
	}
	var said bytes.Buffer
	cmd := b.child(t, "rotate", c)
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	rotated := lastOutcome(t, out)
	if rotated.Kind != "ok" || !strings.Contains(said.String(), "the keyring has 2 items") || !strings.Contains(said.String(), "erase deletes them all") {
		t.Errorf("%+v, said %s", rotated, said.String())
	}
	if got := runOutcome(t, b.child(t, "load", c)); got.Kind != "ok" || got.Refresh != rotated.Refresh {
		t.Errorf("the stale item is read: %+v", got)
	}
	if got := runOutcome(t, b.child(t, "delete", c)); got.Kind != "ok" || len(records()) != 0 {
		t.Errorf("%+v, %d items are left", got, len(records()))
	}
}

// TestKeyring_theAliasIsTheUsersWord: login is locked, and the alias default names
// another keyring, which is not.
func TestKeyring_theAliasIsTheUsersWord(t *testing.T) {
	t.Parallel()
	b := newKeyringBus(t)
	other := b.makeDefault(t, "other")
	b.lock(t)
	c := keyringChild(t)
	s := open(t, testOptionsOf(t, c))
	drop(t, s, alice)
	for _, mode := range []string{"update", "rotate", "load"} {
		if got := runOutcome(t, b.child(t, mode, c)); got.Kind != "ok" {
			t.Fatalf("%s: %+v", mode, got)
		}
	}
	for _, item := range itemsOf(t, b, "t2-cred-"+s.ns) {
		if item.collection != other {
			t.Errorf("an item is in %s", item.collection)
		}
	}
	// With both locked it is as if there were login alone.
	b.lockCollection(t, other)
	ends(t, runOutcome(t, b.child(t, "load", c)), ErrLocked, saveLimit, "needs its password")
}

// TestKeyring_theOneInMemory: what the alias default names ends with the daemon.
func TestKeyring_theOneInMemory(t *testing.T) {
	t.Parallel()
	b := newPrivateBus(t)
	b.startKeyring(t, "")
	conn, _ := b.session(t)
	session := dbus.ObjectPath("/org/freedesktop/secrets/collection/session")
	if err := conn.Object(secretsName, secretsPath).Call(ifaceService+".SetAlias", 0, "default", session).Err; err != nil {
		t.Fatal(err)
	}
	ends(t, runOutcome(t, b.child(t, "update", keyringChild(t))), ErrUnavailable, saveLimit, "the one in memory")
}

// TestKernelCopies_ofAnotherGrantAreLeftAlone: two containers of one user share the
// kernel's keyring and the path of the home. Each has a grant and an identity of its own.
func TestKernelCopies_ofAnotherGrantAreLeftAlone(t *testing.T) {
	if !kernelOutlives() {
		t.Skip("the kernel's keyring is no safe place here")
	}
	o := fileOptions(t)
	o.Warn = func(string) {}
	storeOf := func(grant string) *Store {
		t.Helper()
		one := o
		one.DataDir = filepath.Join(tempDir(t), "data")
		if _, err := InitFile(t.Context(), one); err != nil {
			t.Fatal(err)
		}
		s := open(t, one)
		t.Cleanup(func() {
			for _, g := range []string{grant, newGrant} {
				s.copyKernel.remove(s.copyKey(alice, g))
			}
		})
		put(t, s, alice, sampleRecord(grant))
		if err := errors.Join(os.RemoveAll(s.copyDir()), os.WriteFile(s.copyDir(), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		return s
	}
	a, b := storeOf("grant-of-a"), storeOf("grant-of-b")
	w := watch(a)
	w.refuse = refuseGrants("save")
	if _, err := rotation(a, second); err != nil {
		t.Fatal(err)
	}
	raw, err := a.copyKernel.get(a.copyKey(alice, "grant-of-a"))
	if err != nil || strings.Contains(raw, second.Reveal()) || strings.Contains(raw, sampleRecord("g").RefreshToken.Reveal()[:40]) {
		t.Fatalf("the copy is not there, or in clear: %v", err)
	}
	for _, look := range []func() error{
		func() error { _, err := b.Load(t.Context(), alice); return err },
		func() error { _, err := b.Accounts(t.Context()); return err },
		func() error { _, err := rotation(b, third); return err },
		func() error { return b.Delete(t.Context(), alice) },
	} {
		if err := look(); err != nil {
			t.Error(err)
		}
		if now, err := a.copyKernel.get(a.copyKey(alice, "grant-of-a")); err != nil || now != raw {
			t.Fatalf("the other's copy was changed or removed: %v", err)
		}
	}
	w.refuse = nil
	if rec, err := a.Load(t.Context(), alice); err != nil || rec.RefreshToken != second {
		t.Errorf("Load: %v", err)
	}
	stored(t, a, second)
}

// TestLocks_noneOnTheFileSystem has its own message, which names another place.
func TestLocks_noneOnTheFileSystem(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOLCK, syscall.EOPNOTSUPP, syscall.ENOSYS} {
		err := cannotLock("/nfs/state/locks/grant.lock", errno)
		if !safefile.NoLocks(errno) || !errors.Is(err, ErrUnavailable) ||
			hint.Of(err).String() != "this file system has no locks: set XDG_STATE_HOME to a directory on another one" {
			t.Errorf("%v: %v (hint %q)", errno, err, hint.Of(err))
		}
	}
	dir := t.TempDir()
	if text := hint.Of(cannotLock(filepath.Join(dir, "locks", "grant.lock"), syscall.EACCES)).String(); text != "make "+dir+" writable for this user, or set XDG_STATE_HOME to another one" {
		t.Errorf("hint %q", text)
	}
}

// TestRefresh_onAnotherMachine: a copied store says so to its first refresh there, and
// to no later one.
func TestRefresh_onAnotherMachine(t *testing.T) {
	s := open(t, fileOptions(t))
	if s.machine() == "" {
		t.Skip("NOT CHECKED: this machine has no /etc/machine-id")
	}
	old := sampleRecord("g1")
	old.Machine = "anothermachineid"
	put(t, s, alice, old)
	for n, want := range []bool{true, false} {
		sp := &elsewhere{spender: spender{f: func(old Record) (Record, error) {
			old.RefreshToken += "'"
			return old, nil
		}}}
		if _, err := s.Refresh(context.Background(), alice, Want{}, sp); err != nil || sp.told != want {
			t.Errorf("refresh %d: told %v, %v", n+1, sp.told, err)
		}
	}
}

// elsewhere keeps what it was told.
type elsewhere struct {
	spender
	told bool
}

func (e *elsewhere) Prepare(ctx context.Context, found Found) (Record, error) {
	e.told = found.Elsewhere
	return e.spender.Prepare(ctx, found)
}

// TestToken_ofTheFuture: one that was got by a clock that is ahead is not served.
func TestToken_ofTheFuture(t *testing.T) {
	o := fileOptions(t)
	now := time.Now().Add(24 * time.Hour)
	o.Now = func() time.Time { return now }
	s := open(t, o)
	rec := sampleRecord("g1")
	rec.Token.Obtained, rec.Token.Expiry = now, now.Add(5*time.Minute)
	put(t, s, alice, rec)
	if tok, err := s.Token(t.Context(), alice); err != nil || tok.AccessToken != secret.Secret("first") {
		t.Fatalf("%v, %v", tok.Expiry, err)
	}
	now = now.Add(-24 * time.Hour)
	if tok, err := s.Token(t.Context(), alice); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v, %v", tok.Expiry, err)
	}
}
