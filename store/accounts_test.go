package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestAccounts_areRepaired(t *testing.T) {
	eachLocal(t, func(t *testing.T, o Options) {
		s, ctx := open(t, o), context.Background()
		if got, err := s.Accounts(ctx); err != nil || len(got) != 0 {
			t.Fatalf("Accounts = %v, %v", got, err)
		}
		long := Key{"gep", strings.Repeat("É", 60)}
		keys := []Key{{"a", "x"}, {"a", "y"}, {"b", "x"}, long}
		for i, k := range keys {
			put(t, s, k, sampleRecord(fmt.Sprint("g", i)))
		}
		w := watch(s)
		check := func(want ...Key) {
			t.Helper()
			got, err := s.Accounts(ctx)
			var have []Key
			for _, n := range got {
				have = append(have, n.Key)
			}
			if err != nil || !slices.Equal(have, want) {
				t.Errorf("Accounts = %v, %v, want %v", have, err, want)
			}
		}
		check(keys...)
		grants := slices.DeleteFunc(slices.Clone(w.loads), func(name string) bool { return !isGrant(name) })
		if len(grants) != len(keys) {
			t.Errorf("loaded %q: each record is to be read once", grants)
		}
		if _, err := w.List(ctx, ""); errors.Is(err, errors.ErrUnsupported) {
			return // the notes are all there is
		}
		// Notes deleted: made anew.
		for _, k := range keys[1:] {
			if err := s.notes.remove(k); err != nil {
				t.Fatal(err)
			}
		}
		check(keys...)
		if n, err := s.Note(long); err != nil || n.Grant != "g3" || n.Issuer == "" {
			t.Errorf("rebuilt note: %+v, %v", n, err)
		}
		if tok, err := s.Token(ctx, long); err != nil || tok.AccessToken != "first" {
			t.Errorf("Token after a rebuilt note = %+v, %v", tok, err)
		}
		// Item deleted by somebody else: so are its note and token.
		if err := w.Backend.Delete(ctx, keys[1].item(kindGrant)); err != nil {
			t.Fatal(err)
		}
		check(keys[0], keys[2], long)
		if _, err := s.Note(keys[1]); !errors.Is(err, ErrNotFound) {
			t.Errorf("Note without an item: %v", err)
		}
		if v, err := s.kernel.get(s.kernelName(keys[1])); err == nil {
			t.Errorf("its token is still in the kernel: %q", v)
		}
	})
}

func TestLoad_mendsTheNote(t *testing.T) {
	eachLocal(t, func(t *testing.T, o Options) {
		s, ctx := open(t, o), context.Background()
		put(t, s, alice, sampleRecord("g1"))
		if err := s.notes.remove(alice); err != nil {
			t.Fatal(err)
		}
		if rec, err := s.Load(ctx, alice); err != nil || rec.Token.AccessToken != "first" {
			t.Errorf("Load = %+v, %v", rec, err)
		}
		if n, err := s.Note(alice); err != nil || n.Grant != "g1" {
			t.Errorf("Note = %+v, %v", n, err)
		}
	})
}
