package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
	"github.com/terradue/t2-cred/store/openbao/baotest"
)

// A fleet is machines that share an engine, and an issuer where a refresh token serves
// once.
type fleet struct {
	t      *testing.T
	engine *baotest.Engine

	mu      sync.Mutex
	current secret.Secret // the refresh token that is not spent
	sent    map[secret.Secret]int
	ahead   time.Duration // of the machines' boot-time clocks
}

const aliceItem = "t2-cred/test/grant,gep,alice"

func newFleet(t *testing.T, nodes int) *fleet {
	f := &fleet{t: t, engine: baotest.New(t, nodes), sent: map[secret.Secret]int{}}
	s := f.machine()
	rec := sampleRecord("g1")
	rec.Token.Expiry = time.Now().Add(-time.Minute)
	f.current = rec.RefreshToken
	put(t, s, alice, rec)
	return f
}

// machine is one with its own directories and a short lease.
func (f *fleet) machine() *Store {
	o := engineOptions(f.t, f.engine)
	return f.reopen(o)
}

func (f *fleet) reopen(o Options) *Store {
	if len(o.OpenBao.Address) > 1 { // the standbys come first
		o.OpenBao.Address = append(o.OpenBao.Address[1:len(o.OpenBao.Address):len(o.OpenBao.Address)], o.OpenBao.Address[0])
	}
	s := open(f.t, o)
	drop(f.t, s, alice)
	s.terms.Lease, s.sendTime, s.saveTime = 4*time.Second, time.Second, time.Second
	s.node = func() string { return "node-" + shortHash(o.StateDir)[:4] }
	clock := s.boot
	s.boot = func() time.Duration {
		f.mu.Lock()
		defer f.mu.Unlock()
		return clock() + f.ahead
	}
	return s
}

// pass lets time pass, also for whoever is stopped.
func (f *fleet) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ahead += d
}

func (f *fleet) active(token secret.Secret) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return token == f.current
}

// spend is the issuer's answer to a refresh token.
func (f *fleet) spend(token secret.Secret) (secret.Secret, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent[token]++
	if token != f.current {
		return "", errors.New("invalid_grant")
	}
	f.current = secret.Secret(fmt.Sprintf("rotated-%d-%s", len(f.sent), strings.Repeat("x", 40)))
	return f.current, nil
}

// once fails when a refresh token was sent twice, or not so many were sent.
func (f *fleet) once(want int) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for token, n := range f.sent {
		if n > 1 {
			f.t.Errorf("the token %s was sent %d times", token.Reveal(), n)
		}
	}
	if len(f.sent) != want {
		f.t.Errorf("%d refreshes, not %d", len(f.sent), want)
	}
}

// item is what the engine has.
func (f *fleet) item() item {
	f.t.Helper()
	i, err := decodeItem(secret.Secret(f.engine.Value(aliceItem)))
	if err != nil {
		f.t.Fatal(err)
	}
	return i
}

// settled fails unless the item has the current refresh token, no claim and no doubt.
func (f *fleet) settled() {
	f.t.Helper()
	i := f.item()
	rec, err := decodeFor(alice, secret.Secret(i.Record))
	if err != nil || rec.RefreshToken != f.current || i.Claim != nil || i.Doubt != nil {
		f.t.Errorf("the item is not settled: claim %v, doubt %v, current %v, %v", i.Claim, i.Doubt, rec.RefreshToken == f.current, err)
	}
}

var errDoubtful = errors.New("in doubt")

// A member is the issuer's side of one refresh of the fleet.
type member struct {
	f        *fleet
	found    Found
	prepares func(context.Context) error
	sending  func() // before the last check
	answered func() // before the answer is kept
	slow     time.Duration
	deaf     bool // the answer is lost
	lost     bool // an inactive token means a lost grant
	token    func(*Token)
}

func (m *member) Prepare(ctx context.Context, found Found) (Record, error) {
	m.found = found
	if m.prepares != nil {
		if err := m.prepares(ctx); err != nil {
			return Record{}, err
		}
	}
	if found.Grant == "" {
		return Record{}, backend.NotFound()
	}
	if found.Doubt != nil && !m.f.active(found.RefreshToken) {
		m.lost = found.Doubt.Lost
		return Record{}, fmt.Errorf("%w: %s", errDoubtful, found.Doubt.Node)
	}
	return found.Record, nil
}

func (m *member) Send(_ context.Context, ready func() error) (Record, Verdict, error) {
	if m.sending != nil {
		m.sending()
	}
	if err := ready(); err != nil {
		return Record{}, NotSent, err
	}
	next, err := m.f.spend(m.found.RefreshToken)
	if m.deaf {
		return Record{}, Unanswered, errors.New("no answer")
	}
	if err != nil {
		return Record{}, Refused, err
	}
	if m.answered != nil {
		m.answered()
	}
	rec := m.found.Record
	rec.RefreshToken = next
	return rec, Granted, nil
}

func (m *member) Verify(_ context.Context, stored Record) (Record, error) {
	time.Sleep(m.slow)
	stored.Token = sampleToken("token-of-" + stored.RefreshToken.Reveal())
	if m.token != nil {
		m.token(&stored.Token)
	}
	return stored, nil
}

func notExpired(t Token) bool { return t.Expiry.After(time.Now()) }

func (f *fleet) get(s *Store, m *member) (Record, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if t, err := s.Token(ctx, alice); err == nil && notExpired(t) {
		return Record{Token: t}, nil
	}
	if m == nil {
		m = &member{}
	}
	m.f = f
	return s.Refresh(ctx, alice, Want{Enough: notExpired}, m)
}

func (f *fleet) must(rec Record, err error) Record {
	f.t.Helper()
	if err != nil || !notExpired(rec.Token) {
		f.t.Fatalf("no token: %v", err)
	}
	return rec
}

// TestShared_manyGetsOneRefresh: also while reads are old and check-and-sets are refused.
func TestShared_manyGetsOneRefresh(t *testing.T) {
	for name, faults := range map[string]func(*baotest.Faults){
		"quiet": func(*baotest.Faults) {},
		"stale": func(f *baotest.Faults) { f.Stale = true },
		"lossy": func(f *baotest.Faults) { f.Stale, f.Lose = true, 3 },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, 3)
			f.engine.Set(faults)
			var wg sync.WaitGroup
			tokens := make(chan secret.Secret, 60)
			for n := range 3 {
				s := f.machine()
				if n == 2 { // as in a container
					s.kernel.off = true
				}
				for range 20 {
					wg.Go(func() {
						rec, err := f.get(s, &member{slow: 20 * time.Millisecond})
						if err != nil {
							t.Error(err)
						}
						tokens <- rec.Token.AccessToken
					})
				}
			}
			wg.Wait()
			close(tokens)
			first := <-tokens
			for token := range tokens {
				if token != first || token == "" {
					t.Errorf("two tokens: %s and %s", first.Reveal(), token.Reveal())
				}
			}
			f.once(1)
			f.settled()
		})
	}
}

// TestShared_cachedGet: a machine that has the token asks nobody, and one without a cache
// of its own reads the item once.
func TestShared_cachedGet(t *testing.T) {
	f := newFleet(t, 1)
	a, b := f.machine(), f.machine()
	b.kernel.off = true
	f.must(f.get(a, nil))
	f.engine.ResetCalls()
	f.must(f.get(a, nil))
	if n := f.engine.Total(); !a.kernel.off && n != 0 {
		if _, err := a.kernel.get(a.kernelName(alice)); err == nil {
			t.Errorf("a cached get made %d requests", n)
		}
	}
	f.must(f.get(b, nil)) // it makes the note
	f.engine.ResetCalls()
	f.must(f.get(b, nil))
	if n := f.engine.Total(); n != 1 || f.engine.Calls("GET data") != 1 {
		t.Errorf("a get without a cache made %d requests, %d of items, %d writes", n, f.engine.Calls("GET data"), f.engine.Calls("POST data"))
	}
	f.once(1)
}

// TestShared_writes: a refresh claims and saves, and makes no other write.
func TestShared_writes(t *testing.T) {
	f := newFleet(t, 1)
	s := f.machine()
	if _, err := s.recipient(context.Background()); err != nil { // made once for all
		t.Fatal(err)
	}
	f.engine.ResetCalls()
	f.must(f.get(s, nil))
	if n := f.engine.Calls("POST data"); n != 2 || f.engine.Calls("POST metadata") != 0 {
		t.Errorf("%d writes, %d of metadata", n, f.engine.Calls("POST metadata"))
	}
	// A slow verification does not hold up the refresh token.
	f.engine.ResetCalls()
	s2 := f.machine()
	before := f.current
	_, err := s2.Refresh(context.Background(), alice, Want{}, &member{f: f, slow: 2 * verifyTime})
	if err != nil || f.engine.Calls("POST data") != 3 || before == f.current {
		t.Errorf("a slow verification: %d writes, %v", f.engine.Calls("POST data"), err)
	}
	f.settled()
	if i := f.item(); i.token("g1", time.Now()).AccessToken != sampleToken("token-of-"+f.current.Reveal()).AccessToken {
		t.Error("the item has another token")
	}
	f.once(2)
}

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

// takeOver has another machine see a claim, and come back when it has run out.
func (f *fleet) takeOver(s *Store) error {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if _, err := s.Refresh(ctx, alice, Want{Enough: notExpired}, &member{f: f}); !errors.Is(err, ErrBusy) {
		f.t.Errorf("while the claim counts: %v", err)
	}
	f.pass(6 * time.Second)
	_, err := f.get(s, nil)
	return err
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

// TestShared_waiterLeaves as soon as the item has a token, and claims nothing.
func TestShared_waiterLeaves(t *testing.T) {
	f := newFleet(t, 1)
	a, b := f.machine(), f.machine()
	claimed, done := make(chan struct{}), make(chan error, 1)
	go func() {
		<-claimed
		_, err := f.get(b, nil)
		done <- err
	}()
	f.must(f.get(a, &member{sending: func() {
		close(claimed)
		time.Sleep(300 * time.Millisecond)
	}}))
	if err := <-done; err != nil {
		t.Error(err)
	}
	f.once(1)
	if n := f.engine.Calls("POST data"); n != 5 { // put: claim and save; seal; claim; save
		t.Errorf("%d writes", n)
	}
}

// TestShared_nothingStored is proven by a create, of which nothing is left.
func TestShared_nothingStored(t *testing.T) {
	f := newFleet(t, 2)
	f.engine.Set(func(f *baotest.Faults) { f.Stale = true })
	s, other := f.machine(), Key{"gep", "bob"}
	for range 2 {
		if _, err := s.Refresh(context.Background(), other, Want{}, &member{f: f}); !errors.Is(err, ErrNotFound) {
			t.Errorf("nothing is stored: %v", err)
		}
	}
	if names := strings.Join(f.engine.Names(), " "); strings.Contains(names, "bob") {
		t.Errorf("left: %s", names)
	}
	if _, err := s.Load(context.Background(), alice); err != nil {
		t.Errorf("what a standby does not know yet: %v", err)
	}
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

// TestShared_rejectedToken: a token that a server refused is served on no machine.
func TestShared_rejectedToken(t *testing.T) {
	f := newFleet(t, 1)
	a, b := f.machine(), f.machine()
	a.kernel.off, b.kernel.off = true, true
	first := f.must(f.get(a, nil)).Token.AccessToken
	if _, err := b.Update(context.Background(), alice, func(old Record) (Record, error) {
		if old.Token.AccessToken != first {
			t.Error("another token")
		}
		old.Token = Token{}
		return old, nil
	}); err != nil {
		t.Fatal(err)
	}
	if next := f.must(f.get(a, nil)).Token.AccessToken; next == first {
		t.Error("the token is served again")
	}
	f.once(2)
}

// TestShared_erase removes the item whole.
func TestShared_erase(t *testing.T) {
	f := newFleet(t, 1)
	a, b := f.machine(), f.machine()
	f.must(f.get(a, nil))
	if _, err := b.Update(context.Background(), alice, func(Record) (Record, error) { return Record{}, nil }); err != nil {
		t.Fatal(err)
	}
	if v := f.engine.Value(aliceItem); v != "" {
		t.Error("the item is still there")
	}
	if _, err := b.Load(context.Background(), alice); !errors.Is(err, ErrNotFound) {
		t.Errorf("Load: %v", err)
	}
}

// TestShared_sealIdentity: two machines that need it first get the same one.
func TestShared_sealIdentity(t *testing.T) {
	f := newFleet(t, 3)
	f.engine.Set(func(f *baotest.Faults) { f.Stale = true })
	a, b := f.machine(), f.machine()
	var wg sync.WaitGroup
	var keys [2]string
	for i, s := range []*Store{a, b} {
		wg.Go(func() {
			to, err := s.recipient(context.Background())
			if err != nil {
				t.Error(err)
				return
			}
			keys[i] = to.String()
		})
	}
	wg.Wait()
	if keys[0] != keys[1] || keys[0] == "" {
		t.Errorf("%q and %q", keys[0], keys[1])
	}
}

// TestShared_list reads no item where the engine shows what was noted of them.
func TestShared_list(t *testing.T) {
	f := newFleet(t, 1)
	a, b := f.machine(), f.machine()
	ctx := context.Background()
	const many = 1100
	for n := range many {
		k := Key{"gep", fmt.Sprintf("job-%d", n)}
		rec := sampleRecord(fmt.Sprintf("grant-%d", n))
		if err := b.sharer.Annotate(ctx, k.item(kindGrant), nil); err != nil {
			t.Fatal(err)
		}
		f.engine.Put("t2-cred/test/"+k.item(kindGrant), item{Record: encodeRecord(k, rec).Reveal()}.encode().Reveal())
		a.annotate(ctx, k, rec, nil)
	}
	f.engine.ResetCalls()
	accounts, err := b.Accounts(ctx)
	if err != nil || len(accounts) != many+1 || f.engine.Calls("GET data") != 0 {
		t.Fatalf("%d accounts, %d items read, %v", len(accounts), f.engine.Calls("GET data"), err)
	}
	if got := accounts[0]; got.Key != alice || got.Username != "Álice 🐙" || !got.Offline || got.Err != nil {
		t.Errorf("the first: %+v", got)
	}
	if notes, err := b.Notes(ctx); err != nil || len(notes) != many+1 {
		t.Errorf("%d notes, %v", len(notes), err)
	}
	f.engine.Set(func(f *baotest.Faults) { f.NoPages = true })
	read, err := b.Accounts(ctx)
	if err != nil || len(read) != many+1 || read[0].Username != "Álice 🐙" || f.engine.Calls("GET data") < many {
		t.Errorf("where the engine has no such list: %d accounts, %v", len(read), err)
	}
}
