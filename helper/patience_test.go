package helper

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
	"github.com/terradue/t2-cred/store"
)

// heldLock holds the account's lock, as a refresh of another process does that waits for
// a silent issuer, until the test ends.
func (b *bench) heldLock() {
	b.t.Helper()
	held, release, released := make(chan bool), make(chan bool), make(chan bool)
	go func() {
		defer close(released)
		_, _ = b.Store.Update(context.Background(), b.req.key(), func(old store.Record) (store.Record, error) {
			close(held)
			<-release
			return old, nil
		})
	}()
	<-held
	b.t.Cleanup(func() { close(release); <-released })
}

// TestGet_aValidTokenWaitsForNobody: a token that is valid, though not for as long as was
// asked, is served while another process holds the lock.
func TestGet_aValidTokenWaitsForNobody(t *testing.T) {
	b := newBench(t, oidctest.Lifespan(5*time.Minute))
	rec, err := b.exchange("alice")
	b.must(err)
	b.advance(4 * time.Minute)
	b.heldLock()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	long := b.req
	long.MinValid = new(2 * time.Minute)
	began := time.Now()
	got, err := b.Get(ctx, long)
	b.must(err)
	if took := time.Since(began); took > 5*time.Second || got.Token != rec.Token.AccessToken || len(b.warned) != 1 || !strings.Contains(b.warned[0], "this one is valid for") {
		t.Errorf("after %s, the kept one %t: %q", took, got.Token == rec.Token.AccessToken, b.warned)
	}
	// One that was asked to be new waits.
	ctx, cancel = context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	long.Fresh = true
	began = time.Now()
	if _, err := b.Get(ctx, long); err == nil || time.Since(began) < 1200*time.Millisecond {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
}

// TestGet_aValidTokenWaitsForNoIssuer: an issuer that is silent is waited for only while
// the token stays good for something.
func TestGet_aValidTokenWaitsForNoIssuer(t *testing.T) {
	b := newBench(t, oidctest.Lifespan(5*time.Minute))
	rec, err := b.exchange("alice")
	b.must(err)
	b.advance(5*time.Minute - 6*time.Second)
	b.issuer.Inject(oidctest.Fault{
		Name: "silent", Endpoint: oidctest.Discovery,
		Before: func(c *oidctest.Call) *oidctest.Answer { <-c.Request.Context().Done(); return nil },
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	began := time.Now()
	got, err := b.Get(ctx, b.req)
	b.must(err)
	if took := time.Since(began); took > 5*time.Second || got.Token != rec.Token.AccessToken || len(b.warned) != 1 {
		t.Errorf("after %s, the kept one %t: %q", took, got.Token == rec.Token.AccessToken, b.warned)
	}
}

// TestDerive_aValidOneWaitsForNobody: so it is with what another server gave.
func TestDerive_aValidOneWaitsForNobody(t *testing.T) {
	b := newBench(t)
	_, err := b.exchange("alice")
	b.must(err)
	made, waits := 0, make(chan bool)
	d := Derivation{Name: "keys", MinValid: time.Minute, Make: func(context.Context, Credential) (Derived, error) {
		if made++; made > 1 {
			close(waits)
			<-t.Context().Done()
		}
		return Derived{Value: "kEpTkEyS9xQ4mL2vB7nK5jH8gF1d", Obtained: b.Now(), Expiry: b.Now().Add(5 * time.Minute)}, nil
	}}
	_, err = b.Derive(t.Context(), b.req, d)
	b.must(err)
	b.advance(4*time.Minute + 30*time.Second)
	go func() { _, _ = b.Derive(t.Context(), b.req, d) }() // which waits for the other server
	<-waits
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	began := time.Now()
	got, err := b.Derive(ctx, b.req, d)
	b.must(err)
	if took := time.Since(began); took > 5*time.Second || got.Value == "" || made != 2 {
		t.Errorf("after %s, made %d times", took, made)
	}
}
