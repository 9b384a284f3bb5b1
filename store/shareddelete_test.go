package store

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradue/t2-cred/store/openbao/baotest"
)

// hold has a machine claim the account, and keep the claim.
func (f *fleet) hold(s *Store) {
	f.t.Helper()
	r := &spending{s: s, k: alice, name: alice.item(kindGrant)}
	if _, err := r.takeClaim(context.Background(), true, nil); err != nil {
		f.t.Fatal(err)
	}
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// TestShared_deleteWaitsForAClaim: also where the record cannot be read.
func TestShared_deleteWaitsForAClaim(t *testing.T) {
	for what, damage := range map[string]func(*item){
		"a good record":    func(*item) {},
		"a damaged record": func(i *item) { i.Record = "damaged" },
	} {
		t.Run(what, func(t *testing.T) {
			f := newFleet(t, 1)
			a, b := f.machine(), f.machine()
			f.hold(b)
			i := f.item()
			damage(&i)
			f.engine.Put(aliceItem, i.encode().Reveal())
			if err := a.Delete(soon(t), alice); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), b.node()) {
				t.Errorf("Delete: %v", err)
			}
			if f.item().Claim == nil || f.item().Record == "" {
				t.Error("the delete has passed over the claim")
			}
			f.pass(6 * time.Second)
			if err := a.Delete(context.Background(), alice); err != nil || f.engine.Value(aliceItem) != "" {
				t.Errorf("when the claim has run out: %v", err)
			}
		})
	}
}

// TestShared_deleteAfterItsClaim: a machine that is stopped before its delete leaves, for
// longer than its claim lasts, deletes nothing of what came since.
func TestShared_deleteAfterItsClaim(t *testing.T) {
	for what, remove := range map[string]func(*Store) error{
		"Delete": func(s *Store) error { return s.Delete(context.Background(), alice) },
		"Update": func(s *Store) error {
			_, err := s.Update(context.Background(), alice, func(Record) (Record, error) { return Record{}, nil })
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			f := newFleet(t, 1)
			a, b := f.machine(), f.machine()
			var once sync.Once
			f.engine.Set(func(faults *baotest.Faults) {
				faults.Before = func(method, _ string) {
					if method != "DELETE" {
						return
					}
					once.Do(func() { // the first one is of what hangs on the account
						again := func(Record) (Record, error) { return sampleRecord("g2"), nil }
						if _, err := b.Obtain(soon(t), alice, again); !errors.Is(err, ErrBusy) {
							t.Errorf("while the claim counts: %v", err)
						}
						f.pass(6 * time.Second)
						if _, err := b.Obtain(context.Background(), alice, again); err != nil {
							t.Error(err)
						}
					})
				}
			})
			if err := remove(a); !errors.Is(err, ErrBusy) || !errors.Is(err, errClaimOver) {
				t.Errorf("it deletes without a claim: %v", err)
			}
			if rec, err := b.Load(context.Background(), alice); err != nil || rec.Grant != "g2" {
				t.Errorf("the other machine's grant: %q, %v", rec.Grant, err)
			}
		})
	}
}

// TestShared_deleteUnreadable: what cannot be read is removed, unless a newer program wrote
// it, whose claim cannot be read either.
func TestShared_deleteUnreadable(t *testing.T) {
	f := newFleet(t, 2)
	a := f.machine()
	f.engine.Put(aliceItem, "damaged")
	if err := a.Delete(context.Background(), alice); err != nil || f.engine.Value(aliceItem) != "" {
		t.Errorf("a damaged item: %v", err)
	}
	const newer = `{"v":99,"lock":"w9Xq2LrT"}`
	f.engine.Put(aliceItem, newer)
	if err := a.Delete(context.Background(), alice); !errors.Is(err, ErrNewer) || f.engine.Value(aliceItem) != newer {
		t.Errorf("an item of a newer program: %v", err)
	}
}

// TestShared_deleteCrashes: after the empty item nothing is stored for anybody, and the next
// one who looks removes what is left.
func TestShared_deleteCrashes(t *testing.T) {
	f := newFleet(t, 1)
	a, b := f.machine(), f.machine()
	r := &spending{s: a, k: alice, name: alice.item(kindGrant)}
	if err := r.empty(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Load(context.Background(), alice); !errors.Is(err, ErrNotFound) {
		t.Errorf("Load: %v", err)
	}
	if _, err := f.get(b, nil); !errors.Is(err, ErrBusy) && !errors.Is(err, ErrNotFound) {
		t.Errorf("while the claim counts: %v", err)
	}
	f.pass(6 * time.Second)
	if _, err := f.get(b, nil); !errors.Is(err, ErrNotFound) || f.engine.Value(aliceItem) != "" {
		t.Errorf("afterwards: %v, left %v", err, f.engine.Value(aliceItem) != "")
	}
}

// TestShared_waitHasAnEnd also for a caller without a deadline.
func TestShared_waitHasAnEnd(t *testing.T) {
	f := newFleet(t, 1)
	a, b := f.machine(), f.machine()
	if limit := 60*time.Second*5/4 + leaderTime; b.leaderTime != leaderTime || limit != 105*time.Second {
		t.Errorf("docs/fleet.md says 105 s, not %s", limit)
	}
	f.hold(b)
	i := f.item()
	i.Claim.Seconds = 3600
	f.engine.Put(aliceItem, i.encode().Reveal())
	a.terms.Lease, a.leaderTime = 400*time.Millisecond, 100*time.Millisecond
	began := time.Now()
	if _, err := a.Refresh(context.Background(), alice, Want{}, &member{f: f}); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), b.node()) {
		t.Errorf("Refresh: %v", err)
	}
	if took := time.Since(began); took < a.claimWait() || took > 10*time.Second {
		t.Errorf("it took %s, the limit is %s", took, a.claimWait())
	}
}

// TestShared_alwaysTooLate: others write the item all the time.
func TestShared_alwaysTooLate(t *testing.T) {
	f := newFleet(t, 1)
	a := f.machine()
	value := f.item().encode()
	f.engine.Set(func(faults *baotest.Faults) {
		faults.Before = func(method, path string) {
			if method == "POST" && strings.HasSuffix(path, "data/"+aliceItem) {
				f.engine.Put(aliceItem, value.Reveal())
			}
		}
	})
	if _, err := a.Refresh(soon(t), alice, Want{}, &member{f: f}); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "other machines write it") {
		t.Errorf("Refresh: %v", err)
	}
	f.once(0)
}

// TestShared_otherAddresses: what a machine knows of its accounts does not hang on the
// addresses of the engine. Another prefix has other accounts.
func TestShared_otherAddresses(t *testing.T) {
	f := newFleet(t, 3)
	a := f.machine()
	f.must(f.get(a, nil))
	o := a.opt
	o.OpenBao.Address = o.OpenBao.Address[1:2]
	if n, err := open(t, o).Note(alice); err != nil || n.Grant != "g1" {
		t.Errorf("with another address: %q, %v", n.Grant, err)
	}
	for what, change := range map[string]func(*OpenBao){
		"prefix":    func(c *OpenBao) { c.Prefix = "t2-cred/other" },
		"mount":     func(c *OpenBao) { c.Mount = "other" },
		"namespace": func(c *OpenBao) { c.Namespace = "other" },
	} {
		o := a.opt
		change(&o.OpenBao)
		if _, err := open(t, o).Note(alice); !errors.Is(err, ErrNotFound) {
			t.Errorf("with another %s: %v", what, err)
		}
	}
}

// TestShared_ageOfADoubt is told by the engine's clock, whatever the clocks of the machines
// are; and by this machine's own wait, if the engine's clock was set.
func TestShared_ageOfADoubt(t *testing.T) {
	const day = 24 * time.Hour
	for what, tt := range map[string]struct{ finder, looker, engine time.Duration }{
		"right clocks":              {},
		"the finder's is ahead":     {finder: 400 * day},
		"the finder's is behind":    {finder: -400 * day},
		"the looker's is ahead":     {looker: 400 * day},
		"the looker's is behind":    {looker: -400 * day},
		"the engine's is ahead":     {engine: 30 * day},
		"the engine's was set back": {engine: -30 * day},
	} {
		t.Run(what, func(t *testing.T) {
			f := newFleet(t, 1)
			at := func(s *Store, ahead time.Duration) *Store {
				s.opt.Now = func() time.Time { return time.Now().Add(ahead) }
				return s
			}
			finder, looker := at(f.machine(), tt.finder), at(f.machine(), tt.looker)
			if _, err := f.get(finder, &member{deaf: true}); err == nil || f.item().Doubt == nil {
				t.Fatalf("no doubt: %v", err)
			}
			age := func() time.Duration {
				t.Helper()
				m := &member{f: f}
				if _, err := looker.Refresh(context.Background(), alice, Want{}, m); !errors.Is(err, errDoubtful) {
					t.Fatalf("Refresh: %v", err)
				}
				return m.found.Doubt.Age
			}
			if tt.engine == 0 {
				if young := age(); young.Abs() > 5*time.Second {
					t.Errorf("a new doubt is %s old", young)
				}
				f.engine.Set(func(faults *baotest.Faults) { faults.Clock = 11 * time.Minute })
				if old := age(); (old - 11*time.Minute).Abs() > 5*time.Second {
					t.Errorf("after 11 minutes it is %s old", old)
				}
				return
			}
			f.engine.Set(func(faults *baotest.Faults) { faults.Clock = tt.engine })
			_ = age()
			f.pass(11 * time.Minute)
			if old := age(); old < 11*time.Minute {
				t.Errorf("after 11 minutes it is %s old", old)
			}
		})
	}
}

// TestSeenFor: a run of the machine whose name is not known, and whose clock is behind, is
// another one.
func TestSeenFor(t *testing.T) {
	f := newFleet(t, 1)
	s := f.machine()
	s.bootID = func() string { return "" }
	if err := os.MkdirAll(s.locks.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	now := time.Hour
	s.boot = func() time.Duration { return now }
	want := func(id string, want time.Duration) {
		t.Helper()
		if got := s.seenFor("x.seen", id, "1"); got != want {
			t.Errorf("seen for %s, want %s", got, want)
		}
	}
	want("a", 0)
	now += time.Minute
	want("a", time.Minute)
	now = time.Second // it has started again
	want("a", 0)
	now += time.Minute
	want("a", time.Minute)
	want("b", 0)
}
