package helper

import (
	"context"
	"errors"
	"fmt"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/store"
)

// Erase revokes the account's grant at the issuer (RFC 7009), then forgets it.
// When the revocation fails, the record is kept: it is the only handle on a
// grant that lives. With localOnly the issuer is not asked, and a record that
// cannot be read any more goes too. Errors: ErrLoginRequired when nothing is
// stored, and those of store and oidc.
func (h *Helper) Erase(ctx context.Context, r Request, localOnly bool) error {
	wait, cancel := lockTime(ctx)
	defer cancel()
	nothing := loginRequired(r, fmt.Sprintf("nothing is stored for %s/%s", r.Profile.Name, r.Account), nil)
	if localOnly {
		if _, err := h.Store.Load(wait, r.key()); errors.Is(err, store.ErrNotFound) {
			return nothing
		}
		return h.Store.Delete(wait, r.key())
	}
	_, err := h.Store.Update(wait, r.key(), func(old store.Record) (store.Record, error) {
		if old.Grant == "" {
			return store.Record{}, nothing
		}
		if old.RefreshToken == "" {
			return store.Record{}, nil
		}
		return store.Record{}, h.revoke(ctx, r, old)
	})
	return err
}

func (h *Helper) revoke(ctx context.Context, r Request, old store.Record) error {
	if old.Issuer != r.Profile.Issuer || old.ClientID != r.Profile.ClientID {
		return &hint.Error{
			Kind:   ErrProfile,
			Detail: fmt.Sprintf("revoke: what is stored is for client %s at %s; the profile now uses another", oidc.Clean(old.ClientID), oidc.Clean(old.Issuer)),
			Remedy: r.localOnly(),
		}
	}
	client, err := h.client(ctx, r)
	if err != nil {
		return err
	}
	err = h.Issuer(r.Profile).Revoke(ctx, client, old.RefreshToken)
	if errors.Is(err, oidc.ErrNoRevocation) {
		return &hint.Error{Kind: ErrNotGranted, Detail: "revoke", Err: err, Remedy: r.localOnly()}
	}
	return err
}

func (r Request) localOnly() hint.Remedy {
	return hint.Do(r.command("erase", "--local-only"), hint.Words(" forgets it here; it lives on at the issuer until it expires"))
}
