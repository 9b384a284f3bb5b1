package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
	"github.com/terradue/t2-cred/store/openbao/baotest"
)

// fileAndEngine are the two stores of one configuration.
func fileAndEngine(t *testing.T, e *baotest.Engine) (file, engine *Store) {
	t.Helper()
	o := engineOptions(t, e)
	engine = open(t, o)
	o.Backend = "file"
	if _, err := InitFile(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	return open(t, o), engine
}

// TestMove_toAnEngineAndBack takes record, token and client secret along, and leaves
// nothing where they were.
func TestMove_toAnEngineAndBack(t *testing.T) {
	ctx, e := context.Background(), baotest.New(t, 2)
	file, engine := fileAndEngine(t, e)
	want := sampleRecord("g1")
	put(t, file, alice, want)
	for _, step := range []struct{ from, to *Store }{{file, engine}, {engine, file}} {
		for range 2 { // the second time there is nothing to move
			if err := Move(ctx, step.from, step.to, alice); err != nil {
				t.Fatal(err)
			}
		}
		rec, err := step.to.Load(ctx, alice)
		if err != nil || rec.RefreshToken != want.RefreshToken || rec.Token.AccessToken != want.Token.AccessToken || rec.Machine != "" {
			t.Errorf("in %s: %v, its token is there %v", step.to.Name(), err, rec.Token.AccessToken == want.Token.AccessToken)
		}
		if _, err := step.from.Load(ctx, alice); !errors.Is(err, ErrNotFound) {
			t.Errorf("in %s: %v", step.from.Name(), err)
		}
	}
	if names := e.Names(); len(names) > 1 { // the identity that copies are sealed to
		t.Errorf("the engine still has %q", names)
	}
}

// TestMove_engineUsedSince: an interrupted move left the grant in both, and a machine has
// refreshed it since.
func TestMove_engineUsedSince(t *testing.T) {
	ctx := context.Background()
	file, engine := fileAndEngine(t, baotest.New(t, 1))
	rec := sampleRecord("g1")
	put(t, file, alice, rec)
	rec.RefreshToken = second
	rec.Token = sampleToken("second")
	rec.Token.Obtained = rec.Token.Obtained.Add(time.Second)
	put(t, engine, alice, rec)
	_ = engine.notes.remove(alice) // another machine did it
	if err := Move(ctx, file, engine, alice); err != nil {
		t.Fatal(err)
	}
	if got, err := engine.Load(ctx, alice); err != nil || got.RefreshToken != second {
		t.Errorf("the newer refresh token was written over: %v", err)
	}
	if _, err := file.Load(ctx, alice); !errors.Is(err, ErrNotFound) {
		t.Errorf("the older one is still there: %v", err)
	}
	put(t, file, alice, sampleRecord("g2"))
	if err := Move(ctx, file, engine, alice); !errors.Is(err, ErrMoved) {
		t.Errorf("over another grant: %v", err)
	}
	if i, _, err := engine.loadItem(ctx, alice); err != nil || i.Claim != nil {
		t.Errorf("the claim of the move: %v, %v", i.Claim, err)
	}
}

// A promptingBackend has a person asked before it saves.
type promptingBackend struct {
	backend.Backend
	ask func()
}

func (b promptingBackend) Save(ctx context.Context, name string, value secret.Secret, replaces backend.Revision) (backend.Revision, error) {
	b.ask()
	return b.Backend.Save(ctx, name, value, replaces)
}

// TestShared_deleteAfterTakeover: whoever took longer than the lease deletes nothing that
// another machine has stored since.
func TestShared_deleteAfterTakeover(t *testing.T) {
	ctx := context.Background()
	takeOver := func(f *fleet, other *Store) {
		done := make(chan error, 1)
		go func() {
			_, err := f.get(other, nil)
			done <- err
		}()
		for {
			select {
			case err := <-done:
				if err != nil {
					t.Error(err)
				}
				return
			case <-time.After(20 * time.Millisecond):
				if i, _, err := other.loadItem(ctx, alice); err == nil && i.Claim != nil && !other.isMine(i.Claim) {
					f.pass(time.Second)
				}
			}
		}
	}
	for name, do := range map[string]func(f *fleet, engine, file, other *Store) error{
		"move": func(f *fleet, engine, file, other *Store) error {
			asked := false
			file.backend = promptingBackend{file.backend, func() {
				if !asked {
					asked = true
					takeOver(f, other)
				}
			}}
			return Move(ctx, engine, file, alice)
		},
		"update": func(f *fleet, engine, _, other *Store) error {
			_, err := engine.Update(ctx, alice, func(Record) (Record, error) {
				takeOver(f, other)
				return Record{}, nil
			})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, 1)
			o := engineOptions(t, f.engine)
			engine, other := f.reopen(o), f.machine()
			o.Backend = "file"
			if _, err := InitFile(ctx, o); err != nil {
				t.Fatal(err)
			}
			file := open(t, o)
			if err := do(f, engine, file, other); !errors.Is(err, ErrBusy) {
				t.Errorf("error %v", err)
			}
			f.once(1)
			f.settled()
			if _, err := file.Load(ctx, alice); !errors.Is(err, ErrNotFound) {
				t.Errorf("the spent refresh token is in the file store: %v", err)
			}
		})
	}
}
