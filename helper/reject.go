package helper

import (
	"context"

	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store"
)

// Reject forgets the cached access token, if it is this one: a tool has said
// that a server refused it. The grant is not touched; the next Get refreshes.
func (h *Helper) Reject(ctx context.Context, r Request, token secret.Secret) error {
	if r = r.narrowed(); !r.Narrow.IsZero() {
		name := r.Narrow.name(r.Profile)
		note, err := h.Store.Note(r.key())
		if err != nil {
			return nil //nolint:nilerr // nothing is served any more
		}
		kept, err := h.cachedNarrow(ctx, r, note.Grant, name)
		if err != nil || kept.AccessToken != token {
			return nil //nolint:nilerr // as above
		}
		return h.Store.ForgetSecondary(ctx, r.key(), note.Grant, name)
	}
	cached, err := h.Store.Token(ctx, r.key())
	if err != nil || cached.AccessToken != token {
		return nil // it is not served any more, whatever it is
	}
	_, err = h.Store.Update(ctx, r.key(), func(old store.Record) (store.Record, error) {
		if old.Token.AccessToken == token {
			old.Token = store.Token{}
		}
		return old, nil
	})
	return err
}
