package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
)

// errDown is a backend that is gone for good.
var errDown = &Error{Kind: ErrUnavailable, Detail: "down", Err: errGivenUp}

func refuse(ops ...string) func(op, name string) error {
	return func(op, _ string) error {
		if slices.Contains(ops, op) {
			return errDown
		}
		return nil
	}
}

// recoveries runs a test with the kernel as the place of the copy, and with the
// file.
func recoveries(t *testing.T, f func(t *testing.T, o Options, reopen func() (*Store, *watched), warnings *[]string)) {
	for _, place := range []string{"kernel", "file"} {
		t.Run(place, func(t *testing.T) {
			if place == "kernel" && runtime.GOOS != "linux" {
				t.Skip("Linux' alone")
			}
			o := fileOptions(t)
			var warnings []string
			o.Warn = func(msg string) { warnings = append(warnings, msg) }
			reopen := func() (*Store, *watched) {
				s := open(t, o)
				s.recovery.kernel.off = place == "file"
				return s, watch(s)
			}
			s, _ := reopen()
			put(t, s, alice, sampleRecord("g1"))
			f(t, o, reopen, &warnings)
		})
	}
}

func rotate(s *Store, to secret.Secret) (Record, error) {
	return s.Update(context.Background(), alice, func(old Record) (Record, error) {
		old.RefreshToken = to
		old.Token = sampleToken("of-" + to.Reveal())
		return old, nil
	})
}

func TestRecovery_aRotatedTokenIsKept(t *testing.T) {
	recoveries(t, func(t *testing.T, o Options, reopen func() (*Store, *watched), warnings *[]string) {
		s, w := reopen()
		w.refuse = func(op, name string) error {
			if op == "save" && isGrant(name) {
				return errDown
			}
			return nil
		}
		rec, err := rotate(s, "r2")
		if err != nil || rec.RefreshToken != "r2" {
			t.Fatalf("Update = %+v, %v", rec, err)
		}
		if len(*warnings) != 1 || !strings.Contains((*warnings)[0], "could not be stored") || strings.Contains((*warnings)[0], "\n") || strings.Contains((*warnings)[0], "r2") {
			t.Errorf("warnings: %q", *warnings)
		}
		if tok, err := s.Token(context.Background(), alice); err != nil || tok.AccessToken != "of-r2" {
			t.Errorf("Token = %+v, %v", tok, err)
		}
		if s.recovery.kernel.off {
			info, err := os.Stat(s.recovery.path(alice))
			if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
				t.Errorf("the file: %v, %v", info, err)
			}
			if !strings.Contains((*warnings)[0], s.recovery.path(alice)) {
				t.Errorf("the warning does not name the file: %q", *warnings)
			}
		}
		// The next run, still down: nothing is lost, and the newest is what counts.
		s, w = reopen()
		w.refuse = refuse("load", "save")
		if rec, err := s.Load(context.Background(), alice); err != nil || rec.RefreshToken != "r2" {
			t.Errorf("Load while it is down: %+v, %v", rec, err)
		}
		if rec, err := rotate(s, "r3"); err != nil || rec.RefreshToken != "r3" {
			t.Errorf("Update while it is down: %+v, %v", rec, err)
		}
		// A change without another token belongs to it as well.
		_, err = s.Update(context.Background(), alice, func(old Record) (Record, error) { old.Username = "bob"; return old, nil })
		if err != nil {
			t.Errorf("Update while it is down: %v", err)
		}
		// The run after that: it works again.
		s, _ = reopen()
		if rec, err := s.Load(context.Background(), alice); err != nil || rec.RefreshToken != "r3" || rec.Username != "bob" {
			t.Errorf("Load: %+v, %v", rec, err)
		}
		gone(t, s)
		stored(t, s, "r3")
	})
}

// gone fails when a copy is left.
func gone(t *testing.T, s *Store) {
	t.Helper()
	if c, ok := s.recovery.get(alice); ok {
		t.Errorf("the copy is still there: seq %d", c.Seq)
	}
	if _, err := os.Stat(s.recovery.path(alice)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
}

// stored fails unless that is what the backend itself holds.
func stored(t *testing.T, s *Store, refresh secret.Secret) {
	t.Helper()
	value, err := s.backend.Load(context.Background(), alice.item(kindGrant))
	if err == nil {
		var rec Record
		if rec, err = decodeFor(alice, value); err == nil && rec.RefreshToken == refresh {
			return
		}
	}
	t.Errorf("the backend does not hold %s: %v", refresh.Reveal(), err)
}

func TestRecovery_isPickedUpByUpdate(t *testing.T) {
	recoveries(t, func(t *testing.T, _ Options, reopen func() (*Store, *watched), _ *[]string) {
		s, w := reopen()
		w.refuse = refuse("save")
		if _, err := rotate(s, "r2"); err != nil {
			t.Fatal(err)
		}
		s, _ = reopen()
		_, err := s.Update(context.Background(), alice, func(old Record) (Record, error) {
			if old.RefreshToken != "r2" {
				t.Errorf("old = %+v", old)
			}
			return old, nil
		})
		if err != nil {
			t.Error(err)
		}
		gone(t, s)
		stored(t, s, "r2")
	})
}

// TestRecovery_aLaterRecordIsNotLost has somebody store a record who did not see
// the copy: a container with the same home and keyring.
func TestRecovery_aLaterRecordIsNotLost(t *testing.T) {
	recoveries(t, func(t *testing.T, _ Options, reopen func() (*Store, *watched), _ *[]string) {
		s, w := reopen()
		w.refuse = refuse("save")
		if _, err := rotate(s, "r2"); err != nil {
			t.Fatal(err)
		}
		blind, _ := reopen()
		blind.recovery.off = true
		if _, err := rotate(blind, "r3"); err != nil {
			t.Fatal(err)
		}
		s, _ = reopen()
		if rec, err := s.Load(context.Background(), alice); err != nil || rec.RefreshToken != "r3" {
			t.Errorf("Load: %+v, %v", rec, err)
		}
		gone(t, s)
	})
}

func TestRecovery_endsWithErase(t *testing.T) {
	recoveries(t, func(t *testing.T, _ Options, reopen func() (*Store, *watched), _ *[]string) {
		s, w := reopen()
		w.refuse = refuse("save")
		if _, err := rotate(s, "r2"); err != nil {
			t.Fatal(err)
		}
		w.refuse = nil
		if err := s.Delete(context.Background(), alice); err != nil {
			t.Fatal(err)
		}
		gone(t, s)
		s, _ = reopen()
		if _, err := s.Load(context.Background(), alice); !errors.Is(err, ErrNotFound) {
			t.Errorf("Load: %v", err)
		}
	})
}

// TestRecovery_ofANewGrant is an exchange whose fruit cannot be stored.
func TestRecovery_ofANewGrant(t *testing.T) {
	recoveries(t, func(t *testing.T, _ Options, reopen func() (*Store, *watched), _ *[]string) {
		s, w := reopen()
		if err := s.Delete(context.Background(), alice); err != nil {
			t.Fatal(err)
		}
		w.refuse = refuse("save")
		if _, err := s.Update(context.Background(), alice, func(Record) (Record, error) { return sampleRecord("g9"), nil }); err != nil {
			t.Fatal(err)
		}
		s, _ = reopen()
		notes, err := s.Accounts(context.Background()) // a note without its item
		if err != nil || len(notes) != 1 || notes[0].Grant != "g9" {
			t.Errorf("Accounts = %v, %v", notes, err)
		}
		if rec, err := s.Load(context.Background(), alice); err != nil || rec.Grant != "g9" {
			t.Errorf("Load: %+v, %v", rec, err)
		}
		gone(t, s)
	})
}

func TestRecovery_isAtHandBeforeTheSave(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has a place for it that is not a file")
	}
	s := open(t, fileOptions(t))
	put(t, s, alice, sampleRecord("g1"))
	w := watch(s)
	w.refuse = func(op, name string) error {
		if c, ok := s.recovery.get(alice); op == "save" && isGrant(name) && (!ok || !strings.Contains(c.Value, "r2")) {
			t.Errorf("a process killed now would lose the grant")
		}
		return nil
	}
	if _, err := rotate(s, "r2"); err != nil {
		t.Fatal(err)
	}
	gone(t, s)
}

func TestRecovery_savingIsTriedAgain(t *testing.T) {
	o := fileOptions(t)
	o.Warn = func(msg string) { t.Errorf("warned: %s", msg) }
	s := open(t, o)
	put(t, s, alice, sampleRecord("g1"))
	w := watch(s)
	failures := 2
	w.refuse = func(op, name string) error {
		if op == "save" && isGrant(name) && failures > 0 {
			failures--
			return &Error{Kind: ErrUnavailable, Detail: "for a moment"}
		}
		return nil
	}
	started := time.Now()
	if _, err := rotate(s, "r2"); err != nil {
		t.Fatal(err)
	}
	stored(t, s, "r2")
	gone(t, s)
	if d := time.Since(started); d > 3*time.Second {
		t.Errorf("it took %s", d)
	}
}

func TestRecovery_nowhereToKeepIt(t *testing.T) {
	for name, spoil := range map[string]func(o Options) error{
		"a file in the way": func(o Options) error { return os.WriteFile(o.RuntimeDir, nil, 0o600) },
		"open to others": func(o Options) error {
			return errors.Join(os.Mkdir(o.RuntimeDir, 0o700), os.Chmod(o.RuntimeDir, 0o777))
		},
		"a link": func(o Options) error { return os.Symlink(os.TempDir(), o.RuntimeDir) },
	} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS == "windows" && name != "a file in the way" {
				t.Skip("modes are Unix'")
			}
			o := fileOptions(t)
			s := open(t, o)
			s.recovery.kernel.off = true
			put(t, s, alice, sampleRecord("g1"))
			w := watch(s)
			w.refuse = func(op, name string) error {
				if op == "save" && isGrant(name) {
					return errDown
				}
				return nil
			}
			if err := spoil(o); err != nil {
				t.Fatal(err)
			}
			rec, err := rotate(s, "r2")
			if !errors.Is(err, ErrUnavailable) || rec.Token.AccessToken != "of-r2" {
				t.Errorf("Update = %+v, %v; want the record, and an error that says it is not kept", rec, err)
			}
			if strings.Contains(err.Error(), "r2") {
				t.Errorf("the error shows the token: %v", err)
			}
		})
	}
}

func TestRecovery_isOnlyForRotation(t *testing.T) {
	s := open(t, fileOptions(t))
	put(t, s, alice, sampleRecord("g1"))
	w := watch(s)
	w.refuse = refuse("save")
	_, err := s.Update(context.Background(), alice, func(old Record) (Record, error) {
		old.Dead = "invalid_grant"
		return old, nil
	})
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("Update: %v", err)
	}
	gone(t, s)
	if n, err := s.Note(alice); err != nil || n.Dead != "" {
		t.Errorf("the note tells what was not stored: %+v, %v", n, err)
	}
}

func TestRecovery_isNotForMemory(t *testing.T) {
	s := open(t, testOptions(t, "memory"))
	put(t, s, alice, sampleRecord("g1"))
	watch(s).refuse = refuse("save")
	if _, err := rotate(s, "r2"); err == nil {
		t.Error("kept beyond the process what was not to be kept at all")
	}
}

// TestRecovery_killedAfterTheSave leaves the copy that a process leaves which is
// killed between the save and the removal of the copy.
func TestRecovery_killedAfterTheSave(t *testing.T) {
	recoveries(t, func(t *testing.T, _ Options, reopen func() (*Store, *watched), _ *[]string) {
		s, w := reopen()
		old, err := w.Backend.Load(context.Background(), alice.item(kindGrant))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rotate(s, "r2"); err != nil {
			t.Fatal(err)
		}
		now, err := w.Backend.Load(context.Background(), alice.item(kindGrant))
		if err != nil {
			t.Fatal(err)
		}
		c := recoveryCopy{V: codecVersion, Seq: 1, Base: digest(old), Value: now.Reveal()}
		if !s.recovery.putKernel(alice, c) {
			if _, err := s.recovery.putFile(alice, c); err != nil {
				t.Fatal(err)
			}
		}
		s, w = reopen()
		if rec, err := s.Load(context.Background(), alice); err != nil || rec.RefreshToken != "r2" {
			t.Errorf("Load = %+v, %v", rec, err)
		}
		if w.savedGrants() > 0 {
			t.Error("what was saved is saved again")
		}
		gone(t, s)
	})
}
