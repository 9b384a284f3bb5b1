package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

// watched is a backend that counts, and refuses what a test wants refused.
type watched struct {
	backend.Backend
	mu                   sync.Mutex
	loads, saves, delete []string
	refuse               func(op, name string) error
}

func watch(s *Store) *watched {
	w := &watched{Backend: s.backend}
	s.backend, s.quiet = w, w
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

func (w *watched) Load(ctx context.Context, name string) (secret.Secret, backend.Revision, error) {
	if err := w.note(&w.loads, "load", name); err != nil {
		return "", "", err
	}
	return w.Backend.Load(ctx, name)
}

func (w *watched) Save(ctx context.Context, name string, value secret.Secret, replaces backend.Revision) (backend.Revision, error) {
	if err := w.note(&w.saves, "save", name); err != nil {
		return "", err
	}
	return w.Backend.Save(ctx, name, value, replaces)
}

// spender is the issuer's side of a refresh by a function of the old record.
type spender struct {
	f    func(Record) (Record, error)
	next Record
	old  Record
	err  error
}

func (sp *spender) Prepare(_ context.Context, found Found) (Record, error) {
	sp.old = found.Record
	if found.Grant == "" {
		return Record{}, backend.NotFound()
	}
	return found.Record, nil
}

func (sp *spender) Send(_ context.Context, ready func() error) (Record, Verdict, error) {
	if err := ready(); err != nil {
		return Record{}, NotSent, err
	}
	sp.next, sp.err = sp.f(sp.old)
	stored := sp.next
	stored.Token = sp.old.Token
	switch {
	case isZero(sp.next):
		return Record{}, Unanswered, sp.err
	case sp.err != nil:
		return stored, Refused, sp.err
	}
	return stored, Granted, nil
}

func (sp *spender) Verify(_ context.Context, stored Record) (Record, error) {
	stored.Token = sp.next.Token
	return stored, nil
}

// refresh is Refresh with an issuer that is a function.
func refresh(ctx context.Context, s *Store, k Key, enough func(Token) bool, f func(Record) (Record, error)) (Record, error) {
	return s.Refresh(ctx, k, Want{Enough: enough}, &spender{f: f})
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
	eachLocal(t, func(t *testing.T, o Options) {
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
	dead.RevokedBy = "invalid_grant: session not active"
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
					if names, err := s.listAll(ctx); err == nil && len(names) > 0 && !slices.Equal(names, []string{kindSeal}) {
						t.Errorf("left behind: %q", names)
					}
					if v, err := s.kernel.get(s.kernelName(alice)); err == nil {
						t.Errorf("left in the kernel: %q", v)
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
		o.Warn = func(msg string) { t.Errorf("warned: %s", msg) }
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
		put(t, s, alice, Record{GrantInfo: GrantInfo{Grant: "g1", Username: "0"}})
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
		rec, err := refresh(ctx, s, alice, enough, never)
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
		if rec, err := refresh(ctx, s, alice, enough, never); err != nil || rec.Token.AccessToken != "first" {
			t.Errorf("Refresh without a note = %+v, %v", rec, err)
		}
		if tok, err := s.Token(ctx, alice); err != nil || tok.AccessToken != "first" {
			t.Errorf("Token after that = %+v, %v", tok, err)
		}
		// Not enough: f is called, with the old token in hand.
		rec, err = refresh(ctx, s, alice, func(Token) bool { return false }, func(old Record) (Record, error) {
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
