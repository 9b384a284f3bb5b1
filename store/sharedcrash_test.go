package store

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/store/openbao/baotest"
)

// TestShared_crashAtEachStep: what a process leaves is settled by the next one, on its
// machine at once, and on another one when the claim has run out.
func TestShared_crashAtEachStep(t *testing.T) {
	mark := func(r *spending) error {
		return errors.Join(r.makeRoom(context.Background(), r.st.rec), r.mark())
	}
	answer := func(f *fleet, r *spending) (Record, error) {
		next, err := f.spend(r.st.rec.RefreshToken)
		rec := r.st.rec
		rec.RefreshToken = next
		return rec, err
	}
	for step, tt := range map[string]struct {
		do    func(f *fleet, r *spending) error
		sends int // in all, once everything has been settled
		here  error
		there error
	}{
		"claimed":   {func(*fleet, *spending) error { return nil }, 1, nil, nil},
		"room made": {func(_ *fleet, r *spending) error { return r.makeRoom(context.Background(), r.st.rec) }, 1, nil, nil},
		"marked":    {func(_ *fleet, r *spending) error { return mark(r) }, 1, nil, nil},
		"sent": {func(f *fleet, r *spending) error {
			err := mark(r)
			_, sendErr := answer(f, r)
			return errors.Join(err, sendErr)
		}, 1, errDoubtful, errDoubtful},
		"answered": {func(f *fleet, r *spending) error {
			err := mark(r)
			rec, sendErr := answer(f, r)
			return errors.Join(err, sendErr, r.room.fill(encodeRecord(alice, rec)))
		}, 2, nil, errDoubtful},
		"saved": {func(f *fleet, r *spending) error {
			err := mark(r)
			rec, sendErr := answer(f, r)
			return errors.Join(err, sendErr, r.room.fill(encodeRecord(alice, rec)), r.saveItem(context.Background(), rec))
		}, 2, nil, nil},
	} {
		t.Run(step, func(t *testing.T) {
			crash := func(f *fleet) (dead Options) {
				s := f.machine()
				r := &spending{s: s, k: alice, name: alice.item(kindGrant)}
				lock, err := s.lock(context.Background(), r.name)
				if err != nil {
					t.Fatal(err)
				}
				defer lock.release()
				if _, err = r.takeClaim(context.Background(), true, nil); err == nil {
					err = tt.do(f, r)
				}
				if err != nil {
					t.Fatal(err)
				}
				return s.opt
			}
			f := newFleet(t, 3)
			again := f.reopen(crash(f))
			m := &member{}
			rec, err := f.get(again, m)
			if tt.here == nil {
				f.must(rec, err)
				f.settled()
				gone(t, again)
			} else if !errors.Is(err, tt.here) || !m.lost || f.item().Doubt == nil {
				t.Errorf("on its machine: %v, lost %v", err, m.lost)
			}
			f.once(tt.sends)

			f = newFleet(t, 3)
			dead := crash(f)
			other := f.machine()
			f.pass(10 * time.Second) // nobody has seen the claim yet, so it counts
			ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
			defer cancel()
			if f.item().Claim != nil {
				if _, err := other.Refresh(ctx, alice, Want{Enough: notExpired}, &member{f: f}); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), f.item().Claim.Node) {
					t.Fatalf("a claim that was not watched: %v", err)
				}
			}
			f.pass(6 * time.Second)
			m = &member{}
			rec, err = f.get(other, m)
			if tt.there == nil {
				f.must(rec, err)
				f.settled()
				f.once(tt.sends)
				return
			}
			if !errors.Is(err, tt.there) || m.lost || f.item().Doubt == nil || f.item().Claim != nil {
				t.Errorf("on another machine: %v, lost %v, doubt %v", err, m.lost, f.item().Doubt)
			}
			if _, err := f.get(other, nil); !errors.Is(err, tt.there) {
				t.Errorf("the doubt is forgotten: %v", err)
			}
			f.once(1)
			// The machine comes back.
			m = &member{}
			rec, err = f.get(f.reopen(dead), m)
			if tt.here == nil {
				f.must(rec, err)
				f.settled()
			} else if !errors.Is(err, tt.here) || !m.lost {
				t.Errorf("when it comes back: %v, lost %v", err, m.lost)
			}
			f.once(tt.sends)
		})
	}
}

// TestShared_stoppedBeforeTheLastCheck: nothing is sent, and the next one goes on.
func TestShared_stoppedBeforeTheLastCheck(t *testing.T) {
	f := newFleet(t, 1)
	a, b := f.machine(), f.machine()
	_, err := f.get(a, &member{sending: func() { f.pass(3 * time.Second) }})
	if !errors.Is(err, ErrBusy) || !errors.Is(err, errClaimOver) {
		t.Fatalf("with a claim that ends: %v", err)
	}
	f.once(0)
	f.must(f.get(b, nil))
	f.once(1)
	f.settled()
}

// TestShared_theLeaseEndsWhileItPrepares: the engine had no leader for as long. The same
// process claims again.
func TestShared_theLeaseEndsWhileItPrepares(t *testing.T) {
	f := newFleet(t, 1)
	times := 0
	f.must(f.get(f.machine(), &member{prepares: func(ctx context.Context) error {
		if times++; times > 1 {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}}))
	f.once(1)
	f.settled()
	if times != 2 {
		t.Errorf("it prepared %d times", times)
	}
}

// TestShared_stoppedAfterTheAnswer: the successor asks the issuer and waits, and the
// holder's save goes over the doubt.
func TestShared_stoppedAfterTheAnswer(t *testing.T) {
	f := newFleet(t, 2)
	a, b := f.machine(), f.machine()
	f.must(f.get(a, &member{answered: func() {
		if err := f.takeOver(b); !errors.Is(err, errDoubtful) {
			t.Errorf("the successor: %v", err)
		}
	}}))
	f.once(1)
	f.settled()
	f.must(f.get(b, nil))
}

// TestShared_anotherGrantMeanwhile: what the holder got is kept as a copy and replaces
// nothing.
func TestShared_anotherGrantMeanwhile(t *testing.T) {
	f := newFleet(t, 1)
	a, b := f.machine(), f.machine()
	var said []string
	a.opt.Warn = func(msg string) { said = append(said, msg) }
	_, err := f.get(a, &member{answered: func() {
		_ = f.takeOver(b)
		rec := sampleRecord("g2")
		if _, err := b.Obtain(context.Background(), alice, func(Record) (Record, error) { return rec, nil }); err != nil {
			t.Error(err)
		}
	}})
	if err != nil || len(said) != 1 || !strings.Contains(said[0], "another credential") {
		t.Errorf("%v, said %q", err, said)
	}
	if rec, err := b.Load(context.Background(), alice); err != nil || rec.Grant != "g2" {
		t.Errorf("stored: %s, %v", rec.Grant, err)
	}
	// The copy is of a grant that is no longer there.
	if rec, err := f.reopen(a.opt).Load(context.Background(), alice); err != nil || rec.Grant != "g2" {
		t.Errorf("after the copy was looked at: %s, %v", rec.Grant, err)
	}
	f.once(1)
}

// TestShared_slowExchange: another machine has refreshed the old grant meanwhile. The new
// grant replaces it.
func TestShared_slowExchange(t *testing.T) {
	f := newFleet(t, 1)
	a, b := f.machine(), f.machine()
	if _, err := a.Obtain(context.Background(), alice, func(Record) (Record, error) {
		if err := f.takeOver(b); err != nil {
			t.Errorf("the other machine: %v", err)
		}
		return sampleRecord("g2"), nil
	}); err != nil {
		t.Fatal(err)
	}
	if rec, err := b.Load(context.Background(), alice); err != nil || rec.Grant != "g2" {
		t.Errorf("stored: %s, %v", rec.Grant, err)
	}
	f.once(1)
	gone(t, a)
}

// TestShared_noAnswer: the doubt is in the item, and says that nobody has the answer.
func TestShared_noAnswer(t *testing.T) {
	f := newFleet(t, 1)
	a, b := f.machine(), f.machine()
	if _, err := f.get(a, &member{deaf: true}); err == nil {
		t.Fatal("no error")
	}
	if i := f.item(); i.Claim != nil || i.Doubt == nil || !i.Doubt.Lost || i.Doubt.Node != a.node() {
		t.Errorf("claim %v, doubt %+v", i.Claim, i.Doubt)
	}
	m := &member{}
	if _, err := f.get(b, m); !errors.Is(err, errDoubtful) || !m.lost {
		t.Errorf("on another machine: %v, lost %v", err, m.lost)
	}
	// A change that sends nothing says nothing about it. A new grant does.
	if _, err := b.Update(context.Background(), alice, func(old Record) (Record, error) {
		old.Introspects = true
		return old, nil
	}); err != nil || f.item().Doubt == nil {
		t.Errorf("after a change: doubt %v, %v", f.item().Doubt, err)
	}
	f.once(1)
	if _, err := b.Obtain(context.Background(), alice, func(Record) (Record, error) { return sampleRecord("g2"), nil }); err != nil || f.item().Doubt != nil {
		t.Errorf("after a new grant: doubt %v, %v", f.item().Doubt, err)
	}
}

// TestShared_engineGoesAway after the answer: the sealed copy is kept, and brings the
// token later. Nobody else spends the old one.
func TestShared_engineGoesAway(t *testing.T) {
	f := newFleet(t, 2)
	a, b := f.machine(), f.machine()
	var said []string
	a.opt.Warn = func(msg string) { said = append(said, msg) }
	rec, err := f.get(a, &member{answered: func() { f.engine.Set(func(f *baotest.Faults) { f.Away = true }) }})
	f.must(rec, err)
	if len(said) != 1 || !strings.Contains(said[0], "could not be stored") {
		t.Errorf("said %q", said)
	}
	a.opt.Warn = func(string) {}
	if t2, err := a.Token(context.Background(), alice); !a.kernel.off && err == nil && t2.AccessToken != rec.Token.AccessToken {
		t.Error("another token is cached")
	}
	f.engine.Set(func(f *baotest.Faults) { f.Away = false })
	if err := f.takeOver(b); !errors.Is(err, errDoubtful) {
		t.Errorf("on another machine: %v", err)
	}
	f.once(1)
	again := f.reopen(a.opt)
	if loaded, err := again.Load(context.Background(), alice); err != nil || loaded.RefreshToken != f.current {
		t.Errorf("Load: %v", err)
	}
	f.settled()
	f.must(f.get(b, nil))
	f.once(2) // the copy has no access token
}

// TestRelease: a person clears what a machine left that is gone.
func TestRelease(t *testing.T) {
	f := newFleet(t, 1)
	a, b := f.machine(), f.machine()
	r := &spending{s: a, k: alice, name: alice.item(kindGrant)}
	if _, err := r.takeClaim(context.Background(), true, nil); err != nil {
		t.Fatal(err)
	}
	account, err := b.Account(context.Background(), alice)
	if err != nil || account.Claim == nil || account.Claim.Node != a.node() || account.Claim.Here {
		t.Errorf("Account: %+v, %v", account.Claim, err)
	}
	was, err := b.Release(context.Background(), alice)
	if err != nil || was.Claim == nil || was.Claim.Node != a.node() {
		t.Fatalf("Release: %+v, %v", was.Claim, err)
	}
	f.settled()
	f.must(f.get(b, nil))
	f.once(1)
	if _, err := b.Release(context.Background(), Key{"gep", "bob"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("of nothing: %v", err)
	}
	if _, err := open(t, fileOptions(t)).Release(context.Background(), alice); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("of a store of one machine: %v", err)
	}
	// A doubt is cleared, and this machine's mark with it.
	if _, err := a.Update(context.Background(), alice, func(old Record) (Record, error) {
		old.Token = Token{}
		return old, nil
	}); err != nil {
		t.Fatal(err)
	}
	b.kernel.remove(b.kernelName(alice))
	if _, err := f.get(b, &member{deaf: true}); err == nil || f.item().Doubt == nil {
		t.Fatalf("no doubt: %v", err)
	}
	if was, err = b.Release(context.Background(), alice); err != nil || was.Doubt == nil || !was.Doubt.Lost {
		t.Errorf("Release of a doubt: %+v, %v", was.Doubt, err)
	}
	if f.item().Doubt != nil {
		t.Error("the doubt is still there")
	}
	gone(t, b)
}
