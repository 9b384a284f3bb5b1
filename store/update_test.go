package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
)

// watched is a backend that counts, and refuses what a test wants refused.
type watched struct {
	Backend
	mu                   sync.Mutex
	loads, saves, delete []string
	refuse               func(op, name string) error
}

func watch(s *Store) *watched {
	w := &watched{Backend: s.backend}
	s.backend = w
	return w
}

func (w *watched) note(list *[]string, op, name string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	*list = append(*list, name)
	if w.refuse != nil {
		return w.refuse(op, name)
	}
	return nil
}

func (w *watched) Load(ctx context.Context, name string) (secret.Secret, error) {
	if err := w.note(&w.loads, "load", name); err != nil {
		return "", err
	}
	return w.Backend.Load(ctx, name)
}

func (w *watched) Save(ctx context.Context, name string, value secret.Secret) error {
	if err := w.note(&w.saves, "save", name); err != nil {
		return err
	}
	return w.Backend.Save(ctx, name, value)
}

func (w *watched) Delete(ctx context.Context, name string) error {
	if err := w.note(&w.delete, "delete", name); err != nil {
		return err
	}
	return w.Backend.Delete(ctx, name)
}

func (w *watched) reset() { w.loads, w.saves, w.delete = nil, nil, nil }

// savedGrants counts writes of records.
func (w *watched) savedGrants() int {
	n := 0
	for _, name := range w.saves {
		if isGrant(name) {
			n++
		}
	}
	return n
}

func TestUpdate_keepsARecord(t *testing.T) {
	eachBackend(t, func(t *testing.T, o Options) {
		s, ctx := open(t, o), context.Background()
		drop(t, s, alice)
		if _, err := s.Load(ctx, alice); !errors.Is(err, ErrNotFound) {
			t.Fatalf("Load of nothing: %v", err)
		}
		if _, err := s.Note(alice); !errors.Is(err, ErrNotFound) {
			t.Fatalf("Note of nothing: %v", err)
		}
		want := sampleRecord("g1")
		got, err := s.Update(ctx, alice, func(old Record) (Record, error) {
			if !reflect.DeepEqual(old, Record{}) {
				t.Errorf("old = %v, want the zero Record", old)
			}
			return want, nil
		})
		if err != nil || !sameRecord(got, want) {
			t.Fatalf("Update = %+v, %v", got, err)
		}
		other := open(t, o) // as the next process would
		if o.Backend == "memory" {
			other = s
		}
		if got, err := other.Load(ctx, alice); err != nil || !sameRecord(got, want) {
			t.Errorf("Load = %+v, %v, want %+v", got, err, want)
		}
		if tok, err := other.Token(ctx, alice); err != nil || !tok.equal(want.Token) {
			t.Errorf("Token = %+v, %v", tok, err)
		}
		n, err := other.Note(alice)
		if err != nil || n.Key != alice || n.Grant != "g1" || n.Username != want.Username || n.Backend != o.Backend || n.Refreshed.IsZero() {
			t.Errorf("Note = %+v, %v", n, err)
		}
	})
}

// sameRecord compares what must survive being stored.
func sameRecord(a, b Record) bool {
	return encodeRecord(alice, a) == encodeRecord(alice, b) && a.Token.equal(b.Token)
}

func TestUpdate_writesOnlyWhatChanged(t *testing.T) {
	eachBackend(t, func(t *testing.T, o Options) {
		s, ctx := open(t, o), context.Background()
		put(t, s, alice, sampleRecord("g1"))
		w := watch(s)
		note := noteFile(o, alice)
		before, _ := os.Stat(note)
		if _, err := s.Update(ctx, alice, func(old Record) (Record, error) { return old, nil }); err != nil {
			t.Fatal(err)
		}
		after, _ := os.Stat(note)
		if len(w.saves)+len(w.delete) > 0 || before != nil && before.ModTime() != after.ModTime() {
			t.Errorf("an equal record wrote %q, deleted %q, or its note", w.saves, w.delete)
		}
		fresh := sampleToken("second")
		if _, err := s.Update(ctx, alice, func(old Record) (Record, error) { old.Token = fresh; return old, nil }); err != nil {
			t.Fatal(err)
		}
		if w.savedGrants() != 0 {
			t.Errorf("a new access token wrote the record: %q", w.saves)
		}
		if tok, err := s.Token(ctx, alice); err != nil || !tok.equal(fresh) {
			t.Errorf("Token = %+v, %v", tok, err)
		}
		w.reset()
		if _, err := s.Update(ctx, alice, func(old Record) (Record, error) { old.RefreshToken = "r2"; return old, nil }); err != nil {
			t.Fatal(err)
		}
		if w.savedGrants() != 1 {
			t.Errorf("a new refresh token wrote %q", w.saves)
		}
	})
}

func noteFile(o Options, k Key) string {
	return dirNotes{filepath.Join(o.StateDir, namespace(o), "notes-"+o.Backend)}.path(k)
}

func TestUpdate_whatFReturns(t *testing.T) {
	refused := errors.New("invalid_grant")
	dead := sampleRecord("g1")
	dead.Dead = "invalid_grant: session not active"
	dead.Token = Token{}
	tests := []struct {
		name      string
		rec       Record
		err       error
		wantStore Record // zero: nothing stored
		wantToken bool
	}{
		{"error and nothing", Record{}, refused, sampleRecord("g1"), true},
		{"error and a changed record", dead, refused, dead, false},
		{"error and the old record", sampleRecord("g1"), refused, sampleRecord("g1"), true},
		{"nothing", Record{}, nil, Record{}, false},
		{"another grant without a token", sampleRecordNoToken("g2"), nil, sampleRecordNoToken("g2"), false},
	}
	eachBackend(t, func(t *testing.T, o Options) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				s, ctx := open(t, o), context.Background()
				first := sampleRecord("g1")
				put(t, s, alice, first)
				_, err := s.Update(ctx, alice, func(old Record) (Record, error) {
					rec := tt.rec
					if rec.Token.AccessToken != "" {
						rec.Token = old.Token
					}
					return rec, tt.err
				})
				if !errors.Is(err, tt.err) || (tt.err == nil) != (err == nil) {
					t.Errorf("Update: %v, want %v", err, tt.err)
				}
				rec, err := s.Load(ctx, alice)
				if tt.wantStore.Grant == "" {
					if !errors.Is(err, ErrNotFound) {
						t.Errorf("Load = %+v, %v, want nothing", rec, err)
					}
					if _, err := s.Note(alice); !errors.Is(err, ErrNotFound) {
						t.Errorf("the note is still there: %v", err)
					}
				} else if err != nil || encodeRecord(alice, rec) != encodeRecord(alice, tt.wantStore) {
					t.Errorf("Load = %+v, %v, want %+v", rec, err, tt.wantStore)
				}
				if _, err := s.Token(ctx, alice); (err == nil) != tt.wantToken || err != nil && !errors.Is(err, ErrNotFound) {
					t.Errorf("Token: %v, want one: %v", err, tt.wantToken)
				}
			})
		}
	})
}

func sampleRecordNoToken(grant string) Record {
	r := sampleRecord(grant)
	r.Token = Token{}
	return r
}

func TestUpdate_refusesARecordWithoutGrant(t *testing.T) {
	s := open(t, testOptions(t, "memory"))
	_, err := s.Update(context.Background(), alice, func(Record) (Record, error) { return Record{RefreshToken: "r"}, nil })
	if err == nil {
		t.Error("kept a record that no token can be bound to")
	}
}

func TestUpdate_cannotBeCancelledOnceSpent(t *testing.T) {
	eachBackend(t, func(t *testing.T, o Options) {
		s := open(t, o)
		drop(t, s, alice)
		ctx, cancel := context.WithCancel(context.Background())
		_, err := s.Update(ctx, alice, func(Record) (Record, error) {
			cancel() // SIGTERM, just after the issuer's answer
			return sampleRecord("g1"), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if rec, err := s.Load(context.Background(), alice); err != nil || rec.Grant != "g1" {
			t.Errorf("Load = %+v, %v", rec, err)
		}
	})
}

func TestUpdate_releasesTheLockWhenFPanics(t *testing.T) {
	eachBackend(t, func(t *testing.T, o Options) {
		s := open(t, o)
		func() {
			defer func() { _ = recover() }()
			_, _ = s.Update(context.Background(), alice, func(Record) (Record, error) { panic("f") })
		}()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if _, err := s.Update(ctx, alice, func(old Record) (Record, error) { return old, nil }); err != nil {
			t.Error(err)
		}
	})
}

func TestUpdate_lockIsNotGotInTime(t *testing.T) {
	eachBackend(t, func(t *testing.T, o Options) {
		s := open(t, o)
		drop(t, s, alice)
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_, err := s.Update(context.Background(), alice, func(old Record) (Record, error) {
			_, err := s.Update(ctx, alice, func(old Record) (Record, error) {
				t.Error("two at once")
				return old, nil
			})
			if !errors.Is(err, ErrBusy) {
				t.Errorf("second Update: %v", err)
			} else {
				t.Log(err)
			}
			// Another account is not in the way.
			if _, err := s.Update(context.Background(), Key{"gep", "bob"}, func(old Record) (Record, error) { return old, nil }); err != nil {
				t.Errorf("another account: %v", err)
			}
			return old, nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestUpdate_inOneProcessOneAtATime(t *testing.T) {
	eachBackend(t, func(t *testing.T, o Options) {
		s, ctx := open(t, o), context.Background()
		put(t, s, alice, Record{Grant: "g1", Username: "0"})
		var inside atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				_, err := s.Update(ctx, alice, func(old Record) (Record, error) {
					if inside.Add(1) != 1 {
						t.Error("two at once")
					}
					defer inside.Add(-1)
					old.Username += "1"
					return old, nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if rec, err := s.Load(ctx, alice); err != nil || rec.Username != "011111111" {
			t.Errorf("after 8 updates: %q, %v", rec.Username, err)
		}
	})
}

func TestRefresh_isContentWithAFreshToken(t *testing.T) {
	eachBackend(t, func(t *testing.T, o Options) {
		s, ctx := open(t, o), context.Background()
		put(t, s, alice, sampleRecord("g1"))
		w := watch(s)
		enough := func(t Token) bool { return t.AccessToken == "first" }
		never := func(old Record) (Record, error) { t.Error("f was called"); return old, nil }
		rec, err := s.Refresh(ctx, alice, enough, never)
		if err != nil || rec.Token.AccessToken != "first" || rec.Grant != "" {
			t.Errorf("Refresh = %+v, %v", rec, err)
		}
		if slices.Contains(w.loads, alice.item(kindGrant)) {
			t.Error("the record was loaded")
		}
		// The note is lost, the token is not.
		if err := s.notes.remove(alice); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Token(ctx, alice); !errors.Is(err, ErrNotFound) {
			t.Errorf("Token without a note: %v", err)
		}
		if rec, err := s.Refresh(ctx, alice, enough, never); err != nil || rec.Token.AccessToken != "first" {
			t.Errorf("Refresh without a note = %+v, %v", rec, err)
		}
		if tok, err := s.Token(ctx, alice); err != nil || tok.AccessToken != "first" {
			t.Errorf("Token after that = %+v, %v", tok, err)
		}
		// Not enough: f is called, with the old token in hand.
		rec, err = s.Refresh(ctx, alice, func(Token) bool { return false }, func(old Record) (Record, error) {
			if old.Token.AccessToken != "first" || old.Grant != "g1" {
				t.Errorf("old = %+v", old)
			}
			old.Token = sampleToken("second")
			return old, nil
		})
		if err != nil || rec.Token.AccessToken != "second" {
			t.Errorf("Refresh = %+v, %v", rec, err)
		}
	})
}

func TestToken_isOfTheGrantAndNotExpired(t *testing.T) {
	eachBackend(t, func(t *testing.T, o Options) {
		now := time.Now()
		o.Now = func() time.Time { return now }
		s, ctx := open(t, o), context.Background()
		put(t, s, alice, sampleRecord("g1"))
		n, err := s.notes.get(alice)
		if err != nil {
			t.Fatal(err)
		}
		n.Grant = "g0"
		if err := s.notes.put(n); err != nil {
			t.Fatal(err)
		}
		if tok, err := s.Token(ctx, alice); !errors.Is(err, ErrNotFound) {
			t.Errorf("Token of another grant = %+v, %v", tok, err)
		}
		n.Grant = "g1"
		if err := s.notes.put(n); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Hour)
		if tok, err := s.Token(ctx, alice); !errors.Is(err, ErrNotFound) {
			t.Errorf("expired Token = %+v, %v", tok, err)
		}
	})
}

func TestDelete_worksOnWhatCannotBeRead(t *testing.T) {
	eachBackend(t, func(t *testing.T, o Options) {
		s, ctx := open(t, o), context.Background()
		put(t, s, alice, sampleRecord("g1"))
		if err := s.backend.Save(ctx, alice.item(kindGrant), `{"v":1,"grant":"`); err != nil {
			t.Fatal(err)
		}
		_, err := s.Load(ctx, alice)
		if !errors.Is(err, ErrCorrupt) {
			t.Fatalf("Load: %v", err)
		}
		if _, err := s.Update(ctx, alice, func(old Record) (Record, error) { return sampleRecord("g2"), nil }); !errors.Is(err, ErrCorrupt) {
			t.Errorf("Update: %v", err)
		}
		if err := s.Delete(ctx, alice); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Load(ctx, alice); !errors.Is(err, ErrNotFound) {
			t.Errorf("Load: %v", err)
		}
		if _, err := s.Token(ctx, alice); !errors.Is(err, ErrNotFound) {
			t.Errorf("Token: %v", err)
		}
		if err := s.Delete(ctx, alice); err != nil {
			t.Errorf("second Delete: %v", err)
		}
	})
}

func TestClientSecret(t *testing.T) {
	eachBackend(t, func(t *testing.T, o Options) {
		s, ctx := open(t, o), context.Background()
		if _, err := s.ClientSecret(ctx, "gep"); !errors.Is(err, ErrNotFound) {
			t.Fatalf("none: %v", err)
		}
		for _, want := range []secret.Secret{"s3cret", "ünï\n"} {
			if err := s.SetClientSecret(ctx, "gep", want); err != nil {
				t.Fatal(err)
			}
			if got, err := s.ClientSecret(ctx, "gep"); err != nil || got != want {
				t.Errorf("ClientSecret = %q, %v", got.Reveal(), err)
			}
		}
		w := watch(s)
		if err := s.SetClientSecret(ctx, "gep", "ünï\n"); err != nil || len(w.saves) > 0 {
			t.Errorf("the same secret again: %v, wrote %q", err, w.saves)
		}
		if _, err := s.ClientSecret(ctx, "other"); !errors.Is(err, ErrNotFound) {
			t.Errorf("of another profile: %v", err)
		}
		if err := errors.Join(s.DeleteClientSecret(ctx, "gep"), s.DeleteClientSecret(ctx, "gep")); err != nil {
			t.Error(err)
		}
		if _, err := s.ClientSecret(ctx, "gep"); !errors.Is(err, ErrNotFound) {
			t.Errorf("deleted: %v", err)
		}
	})
}

func TestProve(t *testing.T) {
	eachBackend(t, func(t *testing.T, o Options) {
		s, ctx := open(t, o), context.Background()
		if err := s.Prove(ctx); err != nil {
			t.Fatal(err)
		}
		if names, err := s.backend.List(ctx); err == nil && len(names) > 0 {
			t.Errorf("left behind: %q", names)
		}
		w := watch(s)
		for _, op := range []string{"load", "save", "delete"} {
			w.refuse = func(o, _ string) error {
				if o == op {
					return &Error{Kind: ErrUnavailable}
				}
				return nil
			}
			if err := s.Prove(ctx); !errors.Is(err, ErrUnavailable) {
				t.Errorf("%s refused: %v", op, err)
			}
		}
	})
}

// forgetful takes everything and keeps nothing, as a keyring does whose dialog
// was dismissed.
type forgetful struct{ Backend }

func (forgetful) Save(context.Context, string, secret.Secret) error { return nil }

func TestSave_isNotBelievedUntilReadBack(t *testing.T) {
	s, ctx := open(t, testOptions(t, "memory")), context.Background()
	put(t, s, alice, sampleRecord("g1"))
	s.backend = forgetful{s.backend}
	if err := s.Prove(ctx); err == nil {
		t.Error("Prove believed it")
	}
	if err := s.SetClientSecret(ctx, "gep", "s"); err == nil {
		t.Error("SetClientSecret believed it")
	}
	_, err := s.Update(ctx, alice, func(old Record) (Record, error) { old.Username = "bob"; return old, nil })
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("Update: %v", err)
	}
}

func TestAccounts_areRepaired(t *testing.T) {
	eachBackend(t, func(t *testing.T, o Options) {
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
		if len(w.loads) > 0 {
			t.Errorf("loaded %q though all names agree", w.loads)
		}
		if _, err := w.List(ctx); errors.Is(err, errors.ErrUnsupported) {
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
		// Item deleted by somebody else: so is its note.
		if err := w.Backend.Delete(ctx, keys[1].item(kindGrant)); err != nil {
			t.Fatal(err)
		}
		check(keys[0], keys[2], long)
		if _, err := s.Note(keys[1]); !errors.Is(err, ErrNotFound) {
			t.Errorf("Note without an item: %v", err)
		}
	})
}

func TestLoad_mendsTheNote(t *testing.T) {
	eachBackend(t, func(t *testing.T, o Options) {
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

func TestStore_twoConfigurationsNeverMix(t *testing.T) {
	for _, name := range Backends() {
		if name == "memory" {
			continue // every store has its own
		}
		t.Run(name, func(t *testing.T) {
			o := optionsFor[name](t)
			otherConfig, otherHome := o, o
			otherConfig.Config += "2"
			otherHome.StateDir += "2"
			ctx := context.Background()
			put(t, open(t, o), alice, sampleRecord("g1"))
			if err := open(t, o).SetClientSecret(ctx, "gep", "s"); err != nil {
				t.Fatal(err)
			}
			for _, other := range []Options{otherConfig, otherHome} {
				s := open(t, other)
				if _, err := s.Load(ctx, alice); !errors.Is(err, ErrNotFound) {
					t.Errorf("Load: %v", err)
				}
				if _, err := s.Token(ctx, alice); !errors.Is(err, ErrNotFound) {
					t.Errorf("Token: %v", err)
				}
				if _, err := s.ClientSecret(ctx, "gep"); !errors.Is(err, ErrNotFound) {
					t.Errorf("ClientSecret: %v", err)
				}
				if got, err := s.Accounts(ctx); err != nil || len(got) > 0 {
					t.Errorf("Accounts = %v, %v", got, err)
				}
				if err := s.Delete(ctx, alice); err != nil {
					t.Error(err)
				}
			}
			if rec, err := open(t, o).Load(ctx, alice); err != nil || rec.Grant != "g1" || rec.Token.AccessToken != "first" {
				t.Errorf("Load of the first = %+v, %v", rec, err)
			}
		})
	}
}

func TestOpen_checksAndTouchesNothing(t *testing.T) {
	for _, name := range Backends() {
		o := testOptions(t, name)
		open(t, o)
		if entries, err := os.ReadDir(filepath.Dir(o.StateDir)); err != nil || len(entries) > 0 {
			t.Errorf("%s: made %v, %v", name, entries, err)
		}
	}
	bad := testOptions(t, "file")
	bad.StateDir = "state"
	if _, err := Open(bad); err == nil {
		t.Error("took a relative directory")
	}
	bad = testOptions(t, "nowhere")
	if _, err := Open(bad); err == nil || !strings.Contains(err.Error(), "keyring") {
		t.Errorf("unknown store: %v", err)
	}
	if s := open(t, testOptions(t, "file")); s.Name() != "file" {
		t.Errorf("Name = %q", s.Name())
	}
}

func TestStore_refusesBadNames(t *testing.T) {
	s, ctx := open(t, testOptions(t, "memory")), context.Background()
	bad := Key{"gep", "a b"}
	f := func(old Record) (Record, error) { return old, nil }
	for name, call := range map[string]func() error{
		"Load":         func() error { _, err := s.Load(ctx, bad); return err },
		"Update":       func() error { _, err := s.Update(ctx, bad, f); return err },
		"Token":        func() error { _, err := s.Token(ctx, bad); return err },
		"Note":         func() error { _, err := s.Note(bad); return err },
		"Delete":       func() error { return s.Delete(ctx, bad) },
		"ClientSecret": func() error { _, err := s.ClientSecret(ctx, "a\nb"); return err },
	} {
		if err := call(); !errors.Is(err, ErrName) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStore_filesAreOursAlone(t *testing.T) {
	if os.PathSeparator != '/' {
		t.Skip("modes are Unix'")
	}
	strictUmask(t)
	o := fileOptions(t)
	s := open(t, o)
	put(t, s, alice, sampleRecord("g1"))
	err := filepath.WalkDir(filepath.Dir(o.StateDir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == filepath.Dir(o.StateDir) {
			return err
		}
		info, err := d.Info()
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if err == nil && info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), want)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestRefresh_clientSecretIsAtHand(t *testing.T) {
	eachBackend(t, func(t *testing.T, o Options) {
		s, ctx := open(t, o), context.Background()
		put(t, s, alice, sampleRecord("g1"))
		never := func(Token) bool { return false }
		for _, want := range []secret.Secret{"", "one", "two"} {
			if want != "" {
				if err := s.SetClientSecret(ctx, "gep", want); err != nil {
					t.Fatal(err)
				}
			}
			_, err := s.Refresh(ctx, alice, never, func(old Record) (Record, error) {
				for range 2 {
					got, err := s.ClientSecret(ctx, "gep")
					if want == "" && errors.Is(err, ErrNotFound) {
						continue
					}
					if err != nil || got != want {
						t.Errorf("ClientSecret = %q, %v, want %q", got.Reveal(), err, want)
					}
				}
				return old, nil
			})
			if err != nil {
				t.Error(err)
			}
			// What f did not take is not kept for later.
			if _, err := s.Refresh(ctx, alice, never, func(old Record) (Record, error) { return old, nil }); err != nil {
				t.Error(err)
			}
		}
		if err := s.DeleteClientSecret(ctx, "gep"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ClientSecret(ctx, "gep"); !errors.Is(err, ErrNotFound) {
			t.Errorf("after its deletion: %v", err)
		}
	})
}
