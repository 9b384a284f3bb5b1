package store

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

// twoStores are the keyring and the file store of one configuration.
func twoStores(t *testing.T) (keyring, file *Store) {
	t.Helper()
	o := keyringOptions(t)
	if _, err := InitFile(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	keyring = open(t, o)
	o.Backend = "file"
	return keyring, open(t, o)
}

func TestMove_takesEverythingAlong(t *testing.T) {
	needKernel(t)
	ctx := context.Background()
	ring, file := twoStores(t)
	want := sampleRecord("g1")
	put(t, ring, alice, want)
	if err := ring.SetClientSecret(ctx, "gep", "hunter2"); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ from, to *Store }{{ring, file}, {file, ring}} {
		before, err := step.from.Note(alice)
		if err != nil {
			t.Fatal(err)
		}
		if err := CopyClientSecret(ctx, step.from, step.to, "gep"); err != nil {
			t.Fatal(err)
		}
		if s, err := step.from.ClientSecret(ctx, "gep"); err != nil || s != "hunter2" {
			t.Errorf("to %s: the client secret is in %s no more: %v", step.to.Name(), step.from.Name(), err)
		}
		if err := step.from.DeleteClientSecret(ctx, "gep"); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time there is nothing to move
			if err := Move(ctx, step.from, step.to, alice); err != nil {
				t.Fatal(err)
			}
		}
		got, err := step.to.Load(ctx, alice)
		if err != nil || !got.Token.equal(want.Token) {
			t.Fatalf("to %s: %+v, %v", step.to.Name(), got, err)
		}
		got.Token = want.Token
		if !reflect.DeepEqual(got, want) {
			t.Errorf("to %s: %+v", step.to.Name(), got)
		}
		if s, err := step.to.ClientSecret(ctx, "gep"); err != nil || s != "hunter2" {
			t.Errorf("to %s: client secret %v", step.to.Name(), err)
		}
		after, err := step.to.Note(alice)
		before.Backend = step.to.Name()
		if err != nil || !reflect.DeepEqual(after, before) {
			t.Errorf("to %s: note %+v, want %+v, %v", step.to.Name(), after, before, err)
		}
		// The old one knows nothing any more, not even the access token.
		if _, err := step.from.Load(ctx, alice); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s still has the record: %v", step.from.Name(), err)
		}
		if _, err := step.from.Token(ctx, alice); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s still has the token: %v", step.from.Name(), err)
		}
		if step.to == file {
			if _, err := ring.kernel.get(ring.kernelName(alice)); err == nil {
				t.Error("the kernel still has the token")
			}
		}
	}
	if err := ring.DeleteClientSecret(ctx, "gep"); err != nil {
		t.Error(err)
	}
	if err := ring.Delete(ctx, alice); err != nil {
		t.Error(err)
	}
}

// TestMove_losesNothing: whatever is refused on the way, the record is in one store
// or in both, and running it again finishes it.
func TestMove_losesNothing(t *testing.T) {
	ctx := context.Background()
	refused := backend.Errorf(ErrUnavailable, nil, nil, "refused by the test")
	for n := range 12 {
		ring, file := twoStores(t)
		put(t, ring, alice, sampleRecord("g1"))
		call := 0
		refuse := func(string, string) error {
			if call++; call > n {
				return refused
			}
			return nil
		}
		watch(ring).refuse, watch(file).refuse = refuse, refuse
		err := Move(ctx, ring, file, alice)
		if n == 0 && !errors.Is(err, refused) {
			t.Fatalf("nothing was refused: %v", err)
		}
		ring.backend, file.backend = ring.backend.(*watched).Backend, file.backend.(*watched).Backend
		there := false
		for _, s := range []*Store{ring, file} {
			if rec, err := s.Load(ctx, alice); err == nil {
				there = there || rec.RefreshToken == sampleRecord("g1").RefreshToken
			}
		}
		if !there {
			t.Fatalf("refused from call %d on (%v): the record is in neither store", n+1, err)
		}
		if err := Move(ctx, ring, file, alice); err != nil {
			t.Errorf("refused from call %d on: again: %v", n+1, err)
		}
		if _, err := file.Load(ctx, alice); err != nil {
			t.Errorf("refused from call %d on: in the end: %v", n+1, err)
		}
		if err == nil {
			return
		}
	}
	t.Error("there is no end to the calls of a move")
}

// TestMove_doesNotBringBackASpentToken: what was moved halfway, and used there since,
// is newer than what is left here.
func TestMove_doesNotBringBackASpentToken(t *testing.T) {
	ctx := context.Background()
	ring, file := twoStores(t)
	rec := sampleRecord("g1")
	put(t, ring, alice, rec)
	rec.RefreshToken = "rotated"
	rec.Token = sampleToken("second")
	rec.Token.Obtained = rec.Token.Obtained.Add(time.Second)
	put(t, file, alice, rec)
	if err := Move(ctx, ring, file, alice); err != nil {
		t.Fatal(err)
	}
	if got, err := file.Load(ctx, alice); err != nil || got.RefreshToken != "rotated" {
		t.Errorf("the newer refresh token was written over: %v", err)
	}
	if _, err := ring.Load(ctx, alice); !errors.Is(err, ErrNotFound) {
		t.Errorf("the older one is still there: %v", err)
	}
}

func TestMove_refuses(t *testing.T) {
	ctx := context.Background()
	ring, file := twoStores(t)
	put(t, ring, alice, sampleRecord("g1"))
	put(t, file, alice, sampleRecord("g2"))
	err := Move(ctx, ring, file, alice)
	if e, ok := errors.AsType[*hint.Error](err); !errors.Is(err, ErrMoved) || !ok || e.Hint().String() == "" {
		t.Errorf("another credential in the way: %v", err)
	}
	for _, s := range []*Store{ring, file} {
		if _, err := s.Load(ctx, alice); err != nil {
			t.Errorf("%s: %v", s.Name(), err)
		}
	}
	elsewhere := open(t, fileOptions(t))
	memory := open(t, Options{
		Backend: "memory", Config: ring.opt.Config, StateDir: ring.opt.StateDir, DataDir: ring.opt.DataDir,
		RuntimeDir: ring.opt.RuntimeDir, Getenv: ring.opt.Getenv, Now: ring.opt.Now,
	})
	for name, to := range map[string]*Store{"of another configuration": elsewhere, "the same": ring, "that keeps nothing": memory} {
		if Move(ctx, ring, to, alice) == nil || CopyClientSecret(ctx, ring, to, "gep") == nil {
			t.Errorf("moved to a store %s", name)
		}
	}
	// A newer client secret takes the place of an older one.
	for s, value := range map[*Store]secret.Secret{ring: "new", file: "old"} {
		if err := s.SetClientSecret(ctx, "gep", value); err != nil {
			t.Fatal(err)
		}
	}
	if err := CopyClientSecret(ctx, ring, file, "gep"); err != nil {
		t.Fatal(err)
	}
	if s, err := file.ClientSecret(ctx, "gep"); err != nil || s != "new" {
		t.Errorf("the client secret: %v", err)
	}
	if err := ring.Delete(ctx, alice); err != nil {
		t.Error(err)
	}
}
