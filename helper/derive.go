package helper

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store"
)

// ErrUnreachable is of a server that gave no answer that can be understood, the
// issuer or another one: nothing was decided, try later.
var ErrUnreachable = oidc.ErrUnreachable

// A Secret is the type of what must not be shown.
type Secret = secret.Secret

// A Derived is a secret that another server gave for an access token, such as the
// keys of an STS.
type Derived struct {
	Value            Secret
	Obtained, Expiry time.Time
}

// A Derivation says how a Derived is got, and until when one that is kept will do.
type Derivation struct {
	// Name tells it from others of the account: the server, and all that was asked.
	Name string
	// MinValid is how long a kept one must still be valid, or half of its life where
	// that is less.
	MinValid time.Duration
	// Make gets a new one for a credential. An error that wraps ErrUnreachable lets
	// a kept one serve that is still valid at all.
	Make func(context.Context, Credential) (Derived, error)
}

// serves reports whether a kept one will do at that time.
func (d Derivation) serves(kept Derived, now time.Time) bool {
	return kept.Expiry.Sub(now) > min(d.MinValid, kept.Expiry.Sub(kept.Obtained)/2)
}

// Derive returns what d.Make once got for the account's access token, from where
// access tokens are cached, or gets a new one. What is kept is bound to the grant
// and to the configuration, as an access token is, and is erased with them.
// Failing to keep is no error: it costs the next caller a request. Errors are
// those of Get and of d.Make.
func (h *Helper) Derive(ctx context.Context, r Request, d Derivation) (Derived, error) {
	text := r.Profile.binding() + " " + d.Name
	if r = r.narrowed(); !r.Narrow.IsZero() {
		text += " " + r.Narrow.name(r.Profile) // what another token got is another's
	}
	sum := sha256.Sum256([]byte(text))
	name := hex.EncodeToString(sum[:16])
	var kept Derived
	// The grant is noted before the credential is got: if the account went to another user in between, the new keys are kept under neither.
	note, missed := h.Store.Note(r.key())
	if missed == nil {
		var found store.Secondary
		if found, missed = h.Store.Secondary(ctx, r.key(), note.Grant, name); missed == nil {
			kept = Derived(found)
		}
	}
	if missed == nil && !r.Fresh && d.serves(kept, h.Now()) {
		return kept, nil
	}
	valid := time.Duration(0) // for how long what is kept is
	if missed == nil && !r.Fresh {
		valid = kept.Expiry.Sub(h.Now())
	}
	var made Derived
	err := h.Store.Alone(ctx, r.key(), name, patience(valid), func() (err error) {
		// Another process may have got one while this one waited.
		if found, err := h.Store.Secondary(ctx, r.key(), note.Grant, name); err == nil && !r.Fresh && d.serves(Derived(found), h.Now()) {
			made = Derived(found)
			return nil
		}
		if made, err = h.derive(ctx, r, d); err == nil && note.Grant != "" {
			if err := h.Store.KeepSecondary(ctx, r.key(), note.Grant, name, store.Secondary(made)); err != nil {
				h.Log.Debug("not kept", "error", err)
			}
		}
		return err
	})
	if err != nil && missed == nil && !r.Fresh && kept.Expiry.After(h.Now()) && isTrouble(err) {
		h.Warn(fmt.Sprintf("nothing new (%v); what is kept is valid for %s more", err, kept.Expiry.Sub(h.Now()).Round(time.Second)))
		return kept, nil
	}
	return made, err
}

func (h *Helper) derive(ctx context.Context, r Request, d Derivation) (Derived, error) {
	c, err := h.Get(ctx, r)
	if err != nil {
		return Derived{}, err
	}
	made, err := d.Make(ctx, c)
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return Derived{}, ctx.Err()
	}
	return made, err
}
