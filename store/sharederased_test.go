package store

import (
	"context"
	"errors"
	"testing"

	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

// TestShared_erasedSinceTheRead: an item that was erased and made again has the same
// revision as the one that was read. A claim does not bring the erased grant back.
func TestShared_erasedSinceTheRead(t *testing.T) {
	for spends, want := range map[bool]error{false: backend.ErrConflict, true: errAgain} {
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
		err = r.claimItem(ctx, read, rev, spends)
		if spends && err == nil {
			err = r.checked(ctx)
		}
		if !errors.Is(err, want) || r.claim != nil {
			t.Errorf("the claim, spends %v: %v", spends, err)
		}
		if rec, err := a.Load(ctx, alice); err != nil || rec.Grant != "g2" || rec.RefreshToken != second {
			t.Errorf("the new grant was written over: %s, %v", rec.Grant, err)
		}
		if i := f.item(); i.Claim != nil {
			t.Errorf("a claim is left: %+v", i.Claim)
		}
	}
}

// TestRefresh_erasedSinceTheRead: a refresh whose claim was on an item that had been erased
// and made again sends the new item's refresh token, and not the one that it had read.
func TestRefresh_erasedSinceTheRead(t *testing.T) {
	for name, copied := range map[string]bool{"no copy": false, "a copy lies here": true} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, 1)
			ctx := context.Background()
			a, b := f.machine(), f.machine()
			_, rev, err := a.loadItem(ctx, alice)
			if err != nil {
				t.Fatal(err)
			}
			if copied {
				room, err := a.makeRoom(ctx, alice, copyHead{grant: "g1", base: "of-an-earlier-item", state: stateSent}, 100, &supplies{})
				if err != nil {
					t.Fatal(err)
				}
				room.close()
			}
			erased := false
			w := watch(a)
			w.refuse = func(op, name string) error {
				if op != "save" || !isGrant(name) || erased {
					return nil
				}
				erased = true
				again := sampleRecord("g2")
				again.RefreshToken = second
				err := b.Delete(ctx, alice)
				put(t, b, alice, again)
				if _, now, loadErr := b.loadItem(ctx, alice); loadErr != nil || now != rev {
					t.Errorf("the revisions differ, so this shows nothing: %s, %s, %v", now, rev, loadErr)
				}
				return err
			}
			var sent []secret.Secret
			rec, err := refresh(ctx, a, alice, nil, func(old Record) (Record, error) {
				sent = append(sent, old.RefreshToken)
				old.RefreshToken = third
				return old, nil
			})
			if err != nil || !erased || len(sent) != 1 || sent[0] != second || rec.Grant != "g2" {
				t.Errorf("sent %d tokens, grant %s, %v", len(sent), rec.Grant, err)
			}
			if i := f.item(); i.Claim != nil {
				t.Errorf("a claim is left: %+v", i.Claim)
			}
		})
	}
}
