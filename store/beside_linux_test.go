package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
)

// slowly is a backend like a keyring, that does something before it saves.
type slowly struct {
	Backend
	before func() error
}

func (slowly) loadsSlowly() {}

func (b slowly) Save(ctx context.Context, name string, value secret.Secret) error {
	if err := b.before(); err != nil {
		return err
	}
	return b.Backend.Save(ctx, name, value)
}

// TestUpdate_besideASlowBackend: the token of the grant that is there is cached
// while the item is written, and that of a new one is not.
func TestUpdate_besideASlowBackend(t *testing.T) {
	needKernel(t)
	s := open(t, fileOptions(t))
	s.kernel.off = false
	put(t, s, alice, sampleRecord("g1"))
	plain, ctx := s.backend, t.Context()
	cached := func(token string) bool {
		got, err := s.Token(ctx, alice)
		return err == nil && got.AccessToken.Reveal() == token
	}
	renew := func(token string, before func() error, change func(*Record)) error {
		s.backend = slowly{plain, before}
		_, err := s.Update(ctx, alice, func(old Record) (Record, error) {
			old.Token = sampleToken(token)
			change(&old)
			return old, nil
		})
		return err
	}

	wait := func() error {
		for range 200 {
			if cached("second") {
				return nil
			}
			time.Sleep(10 * time.Millisecond)
		}
		return errors.New("the token was not cached while the item was written")
	}
	if err := renew("second", wait, func(r *Record) { r.Username = "other" }); err != nil {
		t.Error(err)
	}

	broken := errors.New("broken")
	fails := func() error { return broken }
	if err := renew("third", fails, func(r *Record) { r.Dead = "gone" }); !errors.Is(err, broken) {
		t.Errorf("the item was not written: %v", err)
	}
	if n, err := s.Note(alice); err != nil || n.Dead != "" || !cached("third") {
		t.Errorf("the note is not that of what is stored: %+v, %v", n, err)
	}

	early := func() error {
		time.Sleep(50 * time.Millisecond)
		if cached("fourth") {
			return errors.New("the token of a grant is there before its record")
		}
		return nil
	}
	if err := renew("fourth", early, func(r *Record) { r.Grant = "g2" }); err != nil || !cached("fourth") {
		t.Errorf("a new grant: %v", err)
	}
}
