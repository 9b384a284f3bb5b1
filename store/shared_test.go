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
	"github.com/terradue/t2-cred/store/openbao/baotest"
)

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

// TestShared_unsealedIsSavedFirst: a new refresh token that no sealed copy holds is saved
// before anything is verified.
func TestShared_unsealedIsSavedFirst(t *testing.T) {
	for _, sealed := range []bool{true, false} {
		f := newFleet(t, 1)
		ctx := context.Background()
		s := f.machine()
		s.copyKernel.off = true
		r := &spending{s: s, k: alice, name: alice.item(kindGrant)}
		if _, err := r.takeClaim(ctx, true, nil); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(r.makeRoom(ctx, r.st.rec), r.checked(ctx)); err != nil {
			t.Fatal(err)
		}
		if !sealed {
			r.room.close()
		}
		next := r.st.rec
		next.RefreshToken = second
		sp := &verifier{member: &member{f: f}, verify: func() bool {
			return strings.Contains(f.item().Record, second.Reveal())
		}}
		rec, err := r.granted(ctx, sp, next, nil)
		if err != nil || rec.Token.AccessToken == "" || !strings.Contains(f.item().Record, second.Reveal()) {
			t.Errorf("sealed %v: %v", sealed, err)
		}
		if sp.saved == sealed {
			t.Errorf("sealed %v: saved before it was verified: %v", sealed, sp.saved)
		}
		if i := f.item(); i.Claim != nil || i.Doubt != nil {
			t.Errorf("sealed %v: left: %+v, %+v", sealed, i.Claim, i.Doubt)
		}
	}
}

// A verifier is a member that looks at something while it verifies.
type verifier struct {
	*member
	verify func() bool
	saved  bool
}

func (v *verifier) Verify(ctx context.Context, stored Record) (Record, error) {
	v.saved = v.verify()
	return v.member.Verify(ctx, stored)
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
