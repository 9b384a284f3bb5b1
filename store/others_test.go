package store

import (
	"os"
	"path/filepath"
	"testing"
)

// TestOthers: what another configuration has noted in the state directory is found by its
// path, counted, and never taken for one's own.
func TestOthers(t *testing.T) {
	eachLocal(t, func(t *testing.T, o Options) {
		first := o
		one := open(t, first)
		second := o
		second.Config = filepath.Join(filepath.Dir(o.Config), "second.toml")
		two := open(t, second)
		if n := two.OtherAccounts(); n != 0 {
			t.Errorf("%d accounts in an empty directory", n)
		}
		put(t, one, alice, sampleRecord("g1"))
		for _, c := range []struct {
			s       *Store
			k       Key
			configs []string
			path    string
			found   bool
			count   int
		}{
			{two, alice, []string{second.Config, first.Config}, first.Config, true, 1},
			{two, alice, []string{second.Config}, "", true, 1},
			{two, Key{alice.Profile, "nobody"}, []string{first.Config}, "", false, 1},
			{one, alice, []string{first.Config}, "", false, 0},
		} {
			if path, found := c.s.HasOther(c.k, c.configs...); path != c.path || found != c.found {
				t.Errorf("%v: %q %v, not %q %v", c.k, path, found, c.path, c.found)
			}
			if n := c.s.OtherAccounts(); n != c.count {
				t.Errorf("%d accounts of others, not %d", n, c.count)
			}
		}
		// A damaged note says nothing about an account.
		if err := os.WriteFile(one.notes.path(alice), []byte("note9\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, found := two.HasOther(alice); found {
			t.Error("a damaged note is believed")
		}
	})
}
