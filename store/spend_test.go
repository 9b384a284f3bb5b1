package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

// Refresh tokens of these tests: long, so that no hash contains one by chance.
const (
	second secret.Secret = "second-refresh-token-7f3a91c04be24d8f"
	third  secret.Secret = "third-refresh-token-90e1bb27f6a54c31"
)

// errDown is a backend that is gone for good.
var errDown = backend.Errorf(ErrUnavailable, backend.ErrNoAnswer, nil, "down")

// refuse lets operations fail, of records and copies' identities alike.
func refuse(ops ...string) func(op, name string) error {
	return func(op, _ string) error {
		if slices.Contains(ops, op) {
			return errDown
		}
		return nil
	}
}

// refuseGrants lets operations on records fail.
func refuseGrants(ops ...string) func(op, name string) error {
	return func(op, name string) error {
		if slices.Contains(ops, op) && isGrant(name) {
			return errDown
		}
		return nil
	}
}

// rotation is a refresh that brings a new refresh token.
func rotation(s *Store, to secret.Secret) (Record, error) {
	return refresh(context.Background(), s, alice, nil, func(old Record) (Record, error) {
		old.RefreshToken = to
		old.Token = sampleToken("of-" + to.Reveal())
		return old, nil
	})
}

// copyPlaces runs a test with disk as the place of the copy, and with the kernel where
// disk is refused.
func copyPlaces(t *testing.T, f func(t *testing.T, reopen func() (*Store, *watched), warnings *[]string)) {
	for _, place := range []string{"disk", "kernel"} {
		t.Run(place, func(t *testing.T) {
			if place == "kernel" && (runtime.GOOS != "linux" || !kernelOutlives()) {
				t.Skip("the kernel's keyring is no safe place here")
			}
			o := fileOptions(t)
			var warnings []string
			o.Warn = func(msg string) { warnings = append(warnings, msg) }
			reopen := func() (*Store, *watched) {
				s := open(t, o)
				return s, watch(s)
			}
			s, _ := reopen()
			put(t, s, alice, sampleRecord("g1"))
			if place == "kernel" {
				// A file in the way of the directory, for root too.
				if err := errors.Join(os.RemoveAll(s.copyDir()), os.WriteFile(s.copyDir(), nil, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			f(t, reopen, &warnings)
		})
	}
}

// A copy is whole after one write, behind which the room goes on. If the file cannot be
// overwritten, the kernel keeps the copy; the mark in the file counts no more then.
func TestCopy_whole(t *testing.T) {
	for _, full := range []bool{false, true} {
		if full && (runtime.GOOS != "linux" || !kernelOutlives()) {
			continue // the kernel's keyring is no safe place here
		}
		o := fileOptions(t)
		o.Warn = func(string) {}
		s := open(t, o)
		put(t, s, alice, sampleRecord("g1"))
		old, err := s.look(t.Context(), alice)
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.makeRoom(t.Context(), alice, copyHead{grant: old.rec.Grant, base: old.base}, 1000)
		if err != nil || r.file == nil {
			t.Fatalf("no room on disk: %v", err)
		}
		renewed := old.rec
		renewed.RefreshToken = "refresh-Wm4vJ2xQz8Lr5TnB7KcY"
		if full {
			_ = r.file.Close() // writing fails from here on
		} else if err := r.mark(); err != nil {
			t.Fatal(err)
		}
		r.head.state = stateSent
		if err := r.fill(encodeRecord(alice, renewed)); err != nil {
			t.Fatalf("full disk %v: %v", full, err)
		}
		r.close() // and the process is killed
		found, err := open(t, o).look(t.Context(), alice)
		if err != nil || found.rec.RefreshToken != renewed.RefreshToken || found.doubt != nil {
			t.Errorf("full disk %v: the copy was not taken: %v, doubt %v", full, err, found.doubt)
		}
		gone(t, s)
	}
}

// gone fails when a copy is left.
func gone(t *testing.T, s *Store) {
	t.Helper()
	if c, err := s.findCopies(alice, "g1"); err != nil || len(c) > 0 {
		t.Errorf("%d copies are left: %v", len(c), err)
	}
}

// stored fails unless that is what the backend itself holds.
func stored(t *testing.T, s *Store, refresh secret.Secret) {
	t.Helper()
	value, _, err := s.backend.Load(context.Background(), alice.item(kindGrant))
	if err == nil {
		var rec Record
		if rec, err = decodeFor(alice, value); err == nil && rec.RefreshToken == refresh {
			return
		}
	}
	t.Errorf("the backend does not hold %s: %v", refresh.Reveal(), err)
}

// inClear fails when a secret is found in a file below the store's directories.
func inClear(t *testing.T, s *Store, secrets ...secret.Secret) {
	t.Helper()
	err := filepath.WalkDir(filepath.Dir(s.opt.Config), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for _, one := range secrets {
			if strings.Contains(string(text), one.Reveal()) {
				t.Errorf("%s has a secret in clear", path)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestRefresh_aRotatedTokenIsKept(t *testing.T) {
	copyPlaces(t, func(t *testing.T, reopen func() (*Store, *watched), warnings *[]string) {
		s, w := reopen()
		w.refuse = refuseGrants("save")
		rec, err := rotation(s, second)
		if err != nil || rec.RefreshToken != second {
			t.Fatalf("Refresh = %+v, %v", rec, err)
		}
		if len(*warnings) != 1 || !strings.Contains((*warnings)[0], "could not be stored") ||
			strings.Contains((*warnings)[0], "\n") || strings.Contains((*warnings)[0], second.Reveal()) {
			t.Errorf("warnings: %q", *warnings)
		}
		inClear(t, s, second)
		// While the store is down the token in hand is served, and nothing more is sent.
		if tok, err := s.Token(context.Background(), alice); err != nil || tok.AccessToken.Reveal() != "of-"+second.Reveal() {
			t.Errorf("Token = %+v, %v", tok, err)
		}
		s, w = reopen()
		w.refuse = refuseGrants("save")
		if _, err := rotation(s, third); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "must be stored first") {
			t.Errorf("Refresh while a copy waits: %v", err)
		}
		if rec, err := s.Load(context.Background(), alice); err != nil || rec.RefreshToken != second {
			t.Errorf("Load while it is down: %+v, %v", rec, err)
		}
		// It works again: the next command stores it, a cached get too.
		s, _ = reopen()
		if _, err := s.Token(context.Background(), alice); err != nil {
			t.Error(err)
		}
		stored(t, s, second)
		gone(t, s)
	})
}

// What an interruption at each step leaves is settled by the next command.
func TestRefresh_interruptedAtEachStep(t *testing.T) {
	for step, tt := range map[string]struct {
		until func(r *spending, next Record) error
		want  secret.Secret
		doubt bool
	}{
		"locked": {func(*spending, Record) error { return nil }, sampleRecord("g1").RefreshToken, false},
		"room made": {func(r *spending, _ Record) error {
			return r.makeRoom(context.Background(), r.st.rec)
		}, sampleRecord("g1").RefreshToken, false},
		"marked": {func(r *spending, _ Record) error {
			return errors.Join(r.makeRoom(context.Background(), r.st.rec), r.mark())
		}, sampleRecord("g1").RefreshToken, true},
		"answered": {func(r *spending, next Record) error {
			return errors.Join(r.makeRoom(context.Background(), r.st.rec), r.mark(), r.room.fill(encodeRecord(alice, next)))
		}, second, false},
		"verified before it is saved": {func(r *spending, next Record) error {
			err := errors.Join(r.makeRoom(context.Background(), r.st.rec), r.mark(), r.seal(next))
			next.Token = sampleToken("of-" + second.Reveal())
			r.s.locks.countRefresh(r.name)
			r.s.keepRest(context.Background(), alice, r.st, next)
			return err
		}, second, false},
		"saved": {func(r *spending, next Record) error {
			return errors.Join(r.makeRoom(context.Background(), r.st.rec), r.mark(), r.room.fill(encodeRecord(alice, next)),
				r.saveItem(context.Background(), next))
		}, second, false},
	} {
		t.Run(step, func(t *testing.T) {
			copyPlaces(t, func(t *testing.T, reopen func() (*Store, *watched), _ *[]string) {
				s, _ := reopen()
				r := &spending{s: s, k: alice, name: alice.item(kindGrant)}
				var err error
				if r.st, err = s.look(context.Background(), alice); err != nil {
					t.Fatal(err)
				}
				next := r.st.rec
				next.RefreshToken = second
				if err := tt.until(r, next); err != nil {
					t.Fatal(err)
				}
				// The process is killed here: nothing else runs.
				s, _ = reopen()
				st, err := s.look(context.Background(), alice)
				if err != nil || st.rec.RefreshToken != tt.want || (st.doubt != nil) != tt.doubt {
					t.Errorf("after it: %s, doubt %+v, %v", st.rec.RefreshToken.Reveal(), st.doubt, err)
				}
				if !tt.doubt {
					gone(t, s)
				}
				stored(t, s, tt.want)
			})
		})
	}
}

// outcomes lets the issuer end a refresh in each way.
type outcomeOf struct {
	spender
	verdict Verdict
	err     error
}

func (o *outcomeOf) Send(ctx context.Context, ready func() error) (Record, Verdict, error) {
	if o.verdict == NotSent {
		return Record{}, NotSent, o.err
	}
	if err := ready(); err != nil {
		return Record{}, NotSent, err
	}
	return Record{}, o.verdict, o.err
}

func TestRefresh_theMarkStaysWithoutAnOutcome(t *testing.T) {
	silence := errors.New("no answer in time")
	for name, tt := range map[string]struct {
		verdict Verdict
		doubt   bool
	}{"not sent": {NotSent, false}, "refused": {Refused, false}, "unanswered": {Unanswered, true}} {
		t.Run(name, func(t *testing.T) {
			copyPlaces(t, func(t *testing.T, reopen func() (*Store, *watched), _ *[]string) {
				s, _ := reopen()
				_, err := s.Refresh(context.Background(), alice, Want{}, &outcomeOf{verdict: tt.verdict, err: silence})
				if !errors.Is(err, silence) {
					t.Fatalf("Refresh: %v", err)
				}
				s, _ = reopen()
				st, err := s.look(context.Background(), alice)
				if err != nil || (st.doubt != nil) != tt.doubt {
					t.Errorf("doubt = %+v, %v", st.doubt, err)
				}
				if tt.doubt {
					// The next refresh is told, does not send, and the mark is as it was.
					since := st.doubt.Since
					if _, err := s.Refresh(context.Background(), alice, Want{}, &outcomeOf{verdict: NotSent, err: silence}); !errors.Is(err, silence) {
						t.Errorf("Refresh: %v", err)
					}
					if st, err = s.look(context.Background(), alice); err != nil || st.doubt == nil || !st.doubt.Since.Equal(since) {
						t.Errorf("after one that was not sent: %+v, %v", st.doubt, err)
					}
					// A refusal that says nothing of the token leaves the mark too.
					if _, err := s.Refresh(context.Background(), alice, Want{}, &outcomeOf{verdict: Refused, err: silence}); !errors.Is(err, silence) {
						t.Errorf("Refresh: %v", err)
					}
					if st, err = s.look(context.Background(), alice); err != nil || st.doubt == nil || !st.doubt.Since.Equal(since) {
						t.Errorf("after one that was refused: %+v, %v", st.doubt, err)
					}
					// One that is answered ends it.
					if _, err := rotation(s, second); err != nil {
						t.Error(err)
					}
				}
				gone(t, s)
			})
		})
	}
}

// The last place breaks after room was made there: the error says that the token was
// spent, and is not that of a store that was found unavailable in time.
func TestRefresh_theRoomBreaks(t *testing.T) {
	copyPlaces(t, func(t *testing.T, reopen func() (*Store, *watched), _ *[]string) {
		s, w := reopen()
		if s.copyKernel.off || !isNotDir(s.copyDir()) {
			t.Skip("a file that was opened cannot be made to fail")
		}
		w.refuse = refuseGrants("save")
		_, err := refresh(context.Background(), s, alice, nil, func(old Record) (Record, error) {
			s.copyKernel.off = true
			old.RefreshToken = second
			return old, nil
		})
		if !errors.Is(err, ErrLost) || errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "the refresh token was spent") || strings.Contains(err.Error(), "nothing was") {
			t.Errorf("Refresh: %v", err)
		}
		s, _ = reopen()
		if st, err := s.look(context.Background(), alice); err != nil || st.doubt == nil {
			t.Errorf("the next refresh is not told: %+v, %v", st.doubt, err)
		}
	})
}

// A grant that was just obtained is stored also where its room has broken.
func TestObtain_theRoomBreaks(t *testing.T) {
	copyPlaces(t, func(t *testing.T, reopen func() (*Store, *watched), _ *[]string) {
		s, w := reopen()
		if s.copyKernel.off || !isNotDir(s.copyDir()) {
			t.Skip("a file that was opened cannot be made to fail")
		}
		obtain := func() error {
			s.copyKernel.off = false
			_, err := s.Obtain(context.Background(), alice, func(Record) (Record, error) {
				s.copyKernel.off = true
				return sampleRecord("g9"), nil
			})
			return err
		}
		w.refuse = refuseGrants("save")
		if err := obtain(); !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), "nothing was") {
			t.Errorf("with the item refused: %v", err)
		}
		w.refuse = nil
		if err := obtain(); err != nil {
			t.Error(err)
		}
		if rec, err := s.Load(context.Background(), alice); err != nil || rec.Grant != "g9" {
			t.Errorf("Load: %+v, %v", rec, err)
		}
	})
}

func isNotDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// Without room nothing is spent.
func TestRefresh_withoutRoomNothingIsSent(t *testing.T) {
	o := fileOptions(t)
	s := open(t, o)
	put(t, s, alice, sampleRecord("g1"))
	if err := errors.Join(os.RemoveAll(s.copyDir()), os.WriteFile(s.copyDir(), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	s.copyKernel.off = true
	_, err := refresh(context.Background(), s, alice, nil, func(old Record) (Record, error) {
		t.Error("the refresh token was sent")
		return old, nil
	})
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "so nothing was spent") {
		t.Errorf("Refresh: %v", err)
	}
	stored(t, s, sampleRecord("g1").RefreshToken)
}

// The lock file, or all of the state directory, is removed right before the request: one
// token is sent once. In the memory store the copies are in the state directory, as for
// a keyring.
func TestRefresh_theLockFileIsRemoved(t *testing.T) {
	for _, what := range []string{"lock file", "state directory"} {
		for _, o := range []Options{fileOptions(t), testOptions(t, "memory")} {
			t.Run(what+", "+o.Backend, func(t *testing.T) {
				s := open(t, o)
				put(t, s, alice, sampleRecord("g1"))
				path := filepath.Join(s.locks.dir, alice.item(kindGrant)+".lock")
				if what == "state directory" {
					path = o.StateDir
				}
				sent := 0
				tries := 0
				_, err := s.Refresh(context.Background(), alice, Want{}, &lockRemover{path: path, tries: &tries, spender: spender{f: func(old Record) (Record, error) {
					sent++
					old.RefreshToken = second
					old.Token = sampleToken("fresh")
					return old, nil
				}}})
				if err != nil || sent != 1 || tries != 2 {
					t.Errorf("sent %d times in %d tries, %v", sent, tries, err)
				}
				stored(t, s, second)
				gone(t, s)
			})
		}
	}
}

// lockRemover removes a path right before the first request.
type lockRemover struct {
	spender
	path  string
	tries *int
}

func (l *lockRemover) Send(ctx context.Context, ready func() error) (Record, Verdict, error) {
	if *l.tries++; *l.tries == 1 {
		_ = os.RemoveAll(l.path)
	}
	return l.spender.Send(ctx, ready)
}

// A caller that wants a fresh token is content with one that came while it waited, by
// the count of answers, whatever the clocks say.
func TestRefresh_freshByTheCount(t *testing.T) {
	o := fileOptions(t)
	now := time.Now()
	o.Now = func() time.Time { return now }
	s := open(t, o)
	put(t, s, alice, sampleRecord("g1"))
	enough := func(Token) bool { return true }
	asked := 0
	again := func(wait func()) {
		t.Helper()
		sp := &spender{f: func(old Record) (Record, error) {
			asked++
			old.Token = sampleToken(fmt.Sprint("fresh-", asked))
			return old, nil
		}}
		if wait != nil {
			wait()
		}
		if _, err := s.Refresh(context.Background(), alice, Want{Enough: enough, Fresh: true}, sp); err != nil {
			t.Fatal(err)
		}
	}
	again(nil)
	now = now.Add(-8 * time.Hour) // the clock is set back
	again(nil)
	if asked != 2 {
		t.Errorf("asked %d times, want 2", asked)
	}
	now = time.Now()
	// Another process gets one while this one waits for the lock.
	lock, err := s.lock(context.Background(), alice.item(kindGrant))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		again(nil)
	}()
	time.Sleep(100 * time.Millisecond)
	st, err := s.look(context.Background(), alice)
	if err != nil {
		t.Fatal(err)
	}
	fresh := st.rec
	fresh.Token = sampleToken("of another process")
	s.keepRest(context.Background(), alice, st, fresh)
	s.locks.countRefresh(alice.item(kindGrant))
	lock.release()
	<-done
	if asked != 2 {
		t.Errorf("asked %d times, though another process had just been answered", asked)
	}
}

// verifies tells when it is asked to verify.
type verifies struct {
	spender
	asked chan struct{}
}

func (v *verifies) Verify(ctx context.Context, stored Record) (Record, error) {
	close(v.asked)
	return v.spender.Verify(ctx, stored)
}

// A sealed token is verified while the item is saved: neither waits for the other.
func TestRefresh_verifiesWhileTheItemIsSaved(t *testing.T) {
	s := open(t, fileOptions(t))
	put(t, s, alice, sampleRecord("g1"))
	w := watch(s)
	sp := &verifies{asked: make(chan struct{}), spender: spender{f: func(old Record) (Record, error) {
		old.RefreshToken = second
		return old, nil
	}}}
	w.refuse = func(op, name string) error {
		if op != "save" || !isGrant(name) {
			return nil
		}
		select {
		case <-sp.asked:
		case <-time.After(5 * time.Second):
			t.Error("the token is not verified while the item is saved")
		}
		return nil
	}
	if _, err := s.Refresh(context.Background(), alice, Want{}, sp); err != nil {
		t.Error(err)
	}
	stored(t, s, second)
	gone(t, s)
}

// Somebody who does not take our lock has stored another record of the same grant: what
// the issuer gave last counts.
func TestRefresh_theItemChangedMeanwhile(t *testing.T) {
	s := open(t, fileOptions(t))
	put(t, s, alice, sampleRecord("g1"))
	_, err := refresh(context.Background(), s, alice, nil, func(old Record) (Record, error) {
		other := old
		other.Username = "written beside us"
		if err := s.saveAny(context.Background(), s.backend, alice.item(kindGrant), encodeRecord(alice, other)); err != nil {
			t.Fatal(err)
		}
		old.RefreshToken = second
		return old, nil
	})
	if err != nil {
		t.Error(err)
	}
	stored(t, s, second)
	gone(t, s)
}

func TestObtain_whatCannotBeStoredWaits(t *testing.T) {
	copyPlaces(t, func(t *testing.T, reopen func() (*Store, *watched), _ *[]string) {
		s, w := reopen()
		if err := s.Delete(context.Background(), alice); err != nil {
			t.Fatal(err)
		}
		w.refuse = refuseGrants("save")
		if _, err := s.Obtain(context.Background(), alice, func(Record) (Record, error) { return sampleRecord("g9"), nil }); err != nil {
			t.Fatal(err)
		}
		s, _ = reopen()
		if rec, err := s.Load(context.Background(), alice); err != nil || rec.Grant != "g9" {
			t.Errorf("Load: %+v, %v", rec, err)
		}
		gone(t, s)
	})
}

// A second exchange does not take the room of the first one's copy, and a cached get
// puts that copy in its place.
func TestObtain_doesNotOverwriteWhatWaits(t *testing.T) {
	copyPlaces(t, func(t *testing.T, reopen func() (*Store, *watched), warnings *[]string) {
		s, w := reopen()
		if err := s.Delete(context.Background(), alice); err != nil {
			t.Fatal(err)
		}
		w.refuse = refuseGrants("save")
		obtained := sampleRecord("g9")
		obtained.Token = Token{AccessToken: "cached", Type: "Bearer", Expiry: time.Now().Add(time.Hour), Obtained: time.Now()}
		if _, err := s.Obtain(context.Background(), alice, func(Record) (Record, error) { return obtained, nil }); err != nil {
			t.Fatal(err)
		}
		if last := (*warnings)[len(*warnings)-1]; !strings.Contains(last, "then run t2-cred get --profile ") {
			t.Errorf("warned %q", last)
		}
		asked := false
		_, err := s.Obtain(context.Background(), alice, func(Record) (Record, error) { asked = true; return Record{}, errors.New("the issuer refused it") })
		if asked || !errors.Is(err, ErrUnavailable) {
			t.Errorf("asked %v: %v", asked, err)
		}
		s, _ = reopen()
		_, _ = s.Token(context.Background(), alice)
		gone(t, s)
		if rec, err := s.Load(context.Background(), alice); err != nil || rec.Grant != "g9" {
			t.Errorf("Load: %+v, %v", rec, err)
		}
	})
}

// A copy that cannot be read may hold the only good refresh token.
func TestRefresh_anUnreadableCopyStops(t *testing.T) {
	o := fileOptions(t)
	o.Warn = func(string) {}
	s := open(t, o)
	put(t, s, alice, sampleRecord("g1"))
	// A directory in the place of the copy cannot be read, by root either.
	if err := os.MkdirAll(s.copyPath(alice, "g1"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := rotation(s, second); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "may hold the newest refresh token") {
		t.Errorf("Refresh: %v", err)
	}
	stored(t, s, sampleRecord("g1").RefreshToken)
}

func TestDelete_takesTheCopiesAlong(t *testing.T) {
	copyPlaces(t, func(t *testing.T, reopen func() (*Store, *watched), _ *[]string) {
		s, w := reopen()
		w.refuse = refuseGrants("save")
		if _, err := rotation(s, second); err != nil {
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

// A copy that this store's identity does not open is another store's: it is left alone.
func TestCopies_ofAnotherStoreAreLeftAlone(t *testing.T) {
	o := fileOptions(t)
	s := open(t, o)
	put(t, s, alice, sampleRecord("g1"))
	other := open(t, fileOptions(t))
	put(t, other, alice, sampleRecord("g1"))
	w := watch(other)
	w.refuse = refuseGrants("save")
	if _, err := rotation(other, second); err != nil {
		t.Fatal(err)
	}
	foreign, err := os.ReadFile(other.copyPath(alice, "g1"))
	if err != nil {
		t.Fatal(err)
	}
	path := s.copyPath(alice, "g1")
	if err := errors.Join(os.MkdirAll(s.copyDir(), 0o700), os.WriteFile(path, foreign, 0o600)); err != nil {
		t.Fatal(err)
	}
	st, err := s.look(context.Background(), alice)
	if err != nil || st.rec.RefreshToken != sampleRecord("g1").RefreshToken {
		t.Errorf("it was taken: %v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("it was removed: %v", err)
	}
}

// The copies that 3f78ee2 left in clear are taken one last time.
func TestOldCopies_areTaken(t *testing.T) {
	for name, tt := range map[string]struct {
		base func(stored secret.Secret) string
		want secret.Secret
	}{
		"of what is stored":         {digest, second},
		"of what was stored before": {func(secret.Secret) string { return digest("another value") }, sampleRecord("g1").RefreshToken},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, fileOptions(t))
			put(t, s, alice, sampleRecord("g1"))
			value, _, err := s.backend.Load(context.Background(), alice.item(kindGrant))
			if err != nil {
				t.Fatal(err)
			}
			next := sampleRecord("g1")
			next.RefreshToken = second
			next.format = firstRecord
			raw, err := json.Marshal(oldCopy{V: 1, Seq: 1, Base: tt.base(value), Value: encodeRecord(alice, next).Reveal()})
			if err == nil {
				err = errors.Join(os.MkdirAll(s.opt.RuntimeDir, 0o700), os.WriteFile(s.oldCopyPath(alice), raw, 0o600))
			}
			if err != nil {
				t.Fatal(err)
			}
			if rec, err := s.Load(context.Background(), alice); err != nil || rec.RefreshToken != tt.want {
				t.Errorf("Load = %s, %v", rec.RefreshToken.Reveal(), err)
			}
			stored(t, s, tt.want)
			if _, err := os.Stat(s.oldCopyPath(alice)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("it is still there: %v", err)
			}
		})
	}
}

// A grant of 3f78ee2 keeps its format; one that is made now is refused by it.
func TestRecord_formatOfAGrant(t *testing.T) {
	s := open(t, fileOptions(t))
	old := sampleRecord("g1")
	old.format = firstRecord
	put(t, s, alice, old)
	if _, err := rotation(s, second); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`{"v":1,`, `{"v":2,`} {
		value, _, err := s.backend.Load(context.Background(), alice.item(kindGrant))
		if err != nil || !strings.HasPrefix(value.Reveal(), want) {
			t.Errorf("the record begins with %.8s, want %s, %v", value.Reveal(), want, err)
		}
		put(t, s, alice, sampleRecord("g2"))
	}
}
