package store

import (
	"context"
	"errors"
	"testing"

	"github.com/terradue/t2-cred/store/backend"
)

// TestShared_erasedSinceTheRead: an item that was erased and made again has the same
// revision as the one that was read. A claim does not bring the erased grant back.
func TestShared_erasedSinceTheRead(t *testing.T) {
	f := newFleet(t, 1)
	ctx := context.Background()
	a, b := f.machine(), f.machine()
	read, rev, err := a.loadItem(ctx, alice)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(ctx, alice); err != nil {
		t.Fatal(err)
	}
	again := sampleRecord("g2")
	again.RefreshToken = second
	put(t, b, alice, again)
	if _, now, err := b.loadItem(ctx, alice); err != nil || now != rev {
		t.Fatalf("the revisions differ, so this shows nothing: %s, %s, %v", now, rev, err)
	}
	r := &spending{s: a, k: alice, name: alice.item(kindGrant)}
	if err := r.claimItem(ctx, read, rev, true); !errors.Is(err, backend.ErrConflict) || r.claim != nil {
		t.Errorf("the claim: %v", err)
	}
	if rec, err := a.Load(ctx, alice); err != nil || rec.Grant != "g2" || rec.RefreshToken != second {
		t.Errorf("the new grant was written over: %s, %v", rec.Grant, err)
	}
	if i := f.item(); i.Claim != nil {
		t.Errorf("a claim is left: %+v", i.Claim)
	}
}
