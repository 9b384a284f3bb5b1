package helper

import (
	"context"
	"errors"
	"fmt"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/store"
)

// An Erasure says what became of an erased account's grant.
type Erasure struct {
	Revoked bool   // the issuer has ended the grant
	Why     string // why it has not, in words
}

// Erase revokes the account's grant at the issuer (RFC 7009), then forgets it. A grant
// that the issuer has refused before is revoked all the same: the refusal may have been
// for a while only. When the revocation fails, the record is kept: it is the only handle
// on a grant that may live. With localOnly the issuer is not asked, and a record that
// cannot be read any more goes too. Errors: ErrLoginRequired when nothing is stored, and
// those of store and oidc.
func (h *Helper) Erase(ctx context.Context, r Request, localOnly bool) (Erasure, error) {
	wait, cancel := lockTime(ctx, 0)
	defer cancel()
	if localOnly {
		if _, err := h.Store.Load(wait, r.key()); errors.Is(err, store.ErrNotFound) {
			return Erasure{}, h.nothingStored(wait, r, hint.Do(hint.Run("list")))
		}
		return Erasure{Why: "the issuer was not asked, and the grant lives on there until it ends"}, h.Store.Delete(wait, r.key())
	}
	var done Erasure
	_, err := h.Store.Update(wait, r.key(), func(old store.Record) (store.Record, error) {
		if old.Grant == "" {
			return store.Record{}, h.nothingStored(wait, r, hint.Do(hint.Run("list")))
		}
		if old.RefreshToken == "" {
			done.Why = "the record has no refresh token"
			return store.Record{}, nil
		}
		var err error
		done, err = h.revoke(ctx, r, old)
		return store.Record{}, err
	})
	if err != nil && done.Revoked {
		err = fmt.Errorf("revoked at the issuer, but not deleted here: %w", err)
	}
	return done, err
}

func (h *Helper) revoke(ctx context.Context, r Request, old store.Record) (Erasure, error) {
	if old.Issuer != r.Profile.Issuer || old.ClientID != r.Profile.ClientID {
		return Erasure{}, &hint.Error{
			Kind:   ErrProfile,
			Detail: fmt.Sprintf("revoke: what is stored is for client %s at %s; the profile now uses another", oidc.Clean(old.ClientID), oidc.Clean(old.Issuer)),
			Remedy: r.localOnly(),
		}
	}
	client, err := h.client(ctx, r)
	if err != nil {
		return Erasure{}, err
	}
	known, err := h.Issuer(r.Profile).Revoke(ctx, client, old.RefreshToken)
	switch {
	case errors.Is(err, oidc.ErrNoRevocation):
		return Erasure{}, &hint.Error{Kind: ErrNotGranted, Detail: "revoke", Err: err, Remedy: r.localOnly()}
	case err != nil:
		var refused *oidc.Error
		if errors.As(err, &refused) && (refused.NotThere() || refused.Code == "unsupported_token_type") { // RFC 7009 §2.2.1
			refused.Remedy = append(hint.Say("the issuer does not revoke this token; "), r.localOnly()...)
		}
		return Erasure{}, err
	case !known:
		return Erasure{Why: "the issuer does not know its refresh token any more"}, nil
	}
	return Erasure{Revoked: true}, nil
}

func (r Request) localOnly() hint.Remedy {
	return hint.Do(r.command("erase", "--local-only"), hint.Words(" forgets it here; it lives on at the issuer until it expires"))
}

// nothingStored is the error of an account without a record. A move between two stores
// that was interrupted has left it in the other one.
func (h *Helper) nothingStored(ctx context.Context, r Request, remedy hint.Remedy) error {
	if h.Elsewhere != nil {
		if err := h.Elsewhere(ctx, r.key()); err != nil {
			return err
		}
	}
	near := ""
	if h.Near != nil {
		near = h.Near(r.key())
	}
	return &hint.Error{Kind: ErrLoginRequired, Detail: fmt.Sprintf("nothing is stored for %s/%s%s", r.Profile.Name, r.Account, near), Remedy: remedy}
}
