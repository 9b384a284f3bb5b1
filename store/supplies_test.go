package store

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/terradue/t2-cred/helper/safefile"
)

// However a refresh ends, nothing is left of the place that was taken on disk for it. What
// a killed process left goes too.
func TestRefresh_thePlaceIsGivenBack(t *testing.T) {
	trouble := errors.New("the issuer is away")
	for name, run := range map[string]func(t *testing.T, s *Store) error{
		"granted":  func(_ *testing.T, s *Store) error { _, err := rotation(s, second); return err },
		"not sent": func(_ *testing.T, s *Store) error { return spends(s, &outcomeOf{verdict: NotSent, err: trouble}) },
		"refused":  func(_ *testing.T, s *Store) error { return spends(s, &outcomeOf{verdict: Refused, err: trouble}) },
		"not prepared": func(_ *testing.T, s *Store) error {
			return spends(s, &unprepared{err: trouble})
		},
		"served by the item": func(_ *testing.T, s *Store) error {
			asked := 0
			enough := func(Token) bool { asked++; return asked > 1 } // not by the cache, which is asked first
			_, err := s.Refresh(context.Background(), alice, Want{Enough: enough}, &outcomeOf{verdict: Granted})
			return err
		},
		"nothing is stored": func(_ *testing.T, s *Store) error {
			if err := s.Delete(context.Background(), alice); err != nil {
				return err
			}
			return spends(s, &outcomeOf{verdict: NotSent, err: trouble})
		},
		"deleted": func(_ *testing.T, s *Store) error { return s.Delete(context.Background(), alice) },
		"obtained": func(_ *testing.T, s *Store) error {
			_, err := s.Obtain(context.Background(), alice, func(Record) (Record, error) { return sampleRecord("g2"), nil })
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, fileOptions(t))
			put(t, s, alice, sampleRecord("g1"))
			taken := s.placePath(alice)
			if err := safefile.MakeDir(s.copyDir()); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(taken, []byte("of a killed process"), 0o400); err != nil {
				t.Fatal(err)
			}
			if err := run(t, s); err != nil && !errors.Is(err, trouble) && !errors.Is(err, ErrNotFound) {
				t.Fatal(err)
			}
			left, err := os.ReadDir(s.copyDir())
			if err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func spends(s *Store, sp Spender) error {
	_, err := s.Refresh(context.Background(), alice, Want{}, sp)
	return err
}

// An unprepared spender has nothing to send.
type unprepared struct {
	spender
	err error
}

func (u *unprepared) Prepare(context.Context, Found) (Record, error) { return Record{}, u.err }

// No room is made while nobody knows whom a copy is sealed to. An earlier mark stays as it
// was then, and so does the answer to the question of what became of the refresh token.
func TestRefresh_theMarkStaysWithoutARecipient(t *testing.T) {
	s := open(t, fileOptions(t))
	put(t, s, alice, sampleRecord("g1"))
	silence := errors.New("no answer in time")
	if err := spends(s, &outcomeOf{verdict: Unanswered, err: silence}); !errors.Is(err, silence) {
		t.Fatal(err)
	}
	before, err := s.look(t.Context(), alice)
	if err != nil || before.doubt == nil {
		t.Fatalf("no doubt: %v", err)
	}
	identity, rev, err := s.backend.Load(t.Context(), kindSeal)
	if err != nil {
		t.Fatal(err)
	}
	if rev, err = s.backend.Save(t.Context(), kindSeal, "AGE-SECRET-KEY-DAMAGED", rev); err != nil {
		t.Fatal(err)
	}
	if err := spends(s, &outcomeOf{verdict: Granted}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("with a damaged identity: %v", err)
	}
	after, err := s.look(t.Context(), alice)
	if err != nil || after.doubt == nil || !after.doubt.Since.Equal(before.doubt.Since) || after.doubt.PID != before.doubt.PID {
		t.Errorf("the mark was %+v, and is %+v, %v", before.doubt, after.doubt, err)
	}
	if _, err := s.backend.Save(t.Context(), kindSeal, identity, rev); err != nil {
		t.Fatal(err)
	}
	if _, err := rotation(s, second); err != nil {
		t.Error(err)
	}
	gone(t, s)
}
