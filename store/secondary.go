package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

// kindSecondary is the item of a credential that was got for an account's access tokens.
const kindSecondary = "keys"

// maxSecondary bounds what is kept for one account: the kernel gives a user 20,000
// bytes for everything. The oldest goes first, and the newest is always kept.
const maxSecondary = 8 << 10

// secondaryWait is how long keeping may wait for the account's lock, and last.
const secondaryWait = 5 * time.Second

// A Secondary is a secret that another server gave for an account's access token,
// such as the keys of an STS. It is cached as the access token is, and is as
// good without it.
type Secondary struct {
	Value            secret.Secret
	Obtained, Expiry time.Time
}

// secondaryJSON is all of an account's at rest: one item, so that erasing an
// account leaves none behind.
type secondaryJSON struct {
	V     int         `json:"v"`
	Grant string      `json:"grant"`
	Kept  []*keptJSON `json:"kept"` // newest first
}

type keptJSON struct {
	Name     string    `json:"name"`
	Value    string    `json:"value"`
	Obtained time.Time `json:"obtained,omitzero"`
	Expiry   time.Time `json:"expiry"`
}

// Secondary returns what was kept under that name for that grant of an account,
// without a lock. The error wraps ErrNotFound when there is none or it has
// expired; what stands in the way of looking is not told apart, since a new one
// is got then.
func (s *Store) Secondary(ctx context.Context, k Key, grant, name string) (Secondary, error) {
	if err := k.Validate(); err != nil {
		return Secondary{}, err
	}
	for _, j := range s.secondary(ctx, k, grant).Kept {
		if j.Name == name {
			return Secondary{Value: secret.Secret(j.Value), Obtained: j.Obtained, Expiry: j.Expiry}, nil
		}
	}
	return Secondary{}, backend.Errorf(ErrNotFound, nil, nil, "nothing of that name is kept for account %v", k)
}

// Alone runs f while no other process runs one for the same account and name: many that
// ask at once are to cause one request. When the lock is not got, f runs all the same,
// unless patience bounds the wait: then the error wraps ErrBusy.
func (s *Store) Alone(ctx context.Context, k Key, name string, patience time.Duration, f func() error) error {
	patient, cancel := Want{Patience: patience}.patient(ctx)
	defer cancel()
	lock, err := s.lock(patient, itemName(kindSecondary, k.Profile, k.Account, name))
	switch {
	case err == nil:
		defer lock.release()
	case patience > 0 && errors.Is(err, ErrBusy):
		return err
	}
	return f()
}

// ForgetSecondary drops what is kept under that name for that grant. Errors are those of
// KeepSecondary.
func (s *Store) ForgetSecondary(ctx context.Context, k Key, grant, name string) error {
	return s.changeSecondary(ctx, k, grant, func(all []*keptJSON) []*keptJSON {
		return slices.DeleteFunc(all, func(j *keptJSON) bool { return j.Name == name })
	})
}

// KeepSecondary keeps d under that name, in the kernel's keyring or in an item of
// the backend, wherever the access token would go. It does so only while the
// account's grant is the one that d was got with. The error wraps ErrNotFound
// (the grant is another), ErrBusy, or what the backend says.
func (s *Store) KeepSecondary(ctx context.Context, k Key, grant, name string, d Secondary) error {
	if !s.opt.Now().Before(d.Expiry) {
		return k.Validate()
	}
	return s.changeSecondary(ctx, k, grant, func(all []*keptJSON) []*keptJSON {
		all = slices.DeleteFunc(all, func(j *keptJSON) bool { return j.Name == name })
		return slices.Insert(all, 0, &keptJSON{name, d.Value.Reveal(), atRest(d.Obtained), atRest(d.Expiry)})
	})
}

func (s *Store) changeSecondary(ctx context.Context, k Key, grant string, change func([]*keptJSON) []*keptJSON) error {
	if err := k.Validate(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, secondaryWait)
	defer cancel()
	// The account's own lock, so that an erasure comes before or after.
	lock, err := s.lock(ctx, k.item(kindGrant))
	if err != nil {
		return err
	}
	defer lock.release()
	if n, err := s.notes.get(k); err != nil || n.Grant != grant || grant == "" {
		return backend.Errorf(ErrNotFound, nil, nil, "account %v has another grant by now", k)
	}
	all := s.secondary(ctx, k, grant)
	if all.Kept = change(all.Kept); len(all.Kept) == 0 {
		if err := s.dropSecondary(ctx, k); !errors.Is(err, ErrNotFound) {
			return err
		}
		return nil
	}
	return s.putSecondary(ctx, k, all)
}

// secondary reads all that is kept for the grant and has not expired: from the
// kernel, or else from the backend. An entry is as good in either place, so it
// does not matter that one may be out of date.
func (s *Store) secondary(ctx context.Context, k Key, grant string) secondaryJSON {
	none := secondaryJSON{V: valueVersion, Grant: grant}
	raw, err := s.kernel.get(s.secondaryName(k))
	value := secret.Secret(raw)
	if err != nil {
		if value, _, err = s.quiet.Load(ctx, k.item(kindSecondary)); err != nil {
			return none
		}
	}
	var all secondaryJSON
	if decodeJSON("what was got with a token", value, &all, &all.V, valueVersion) != nil || all.Grant != grant {
		return none
	}
	now := s.opt.Now()
	all.Kept = slices.DeleteFunc(all.Kept, func(j *keptJSON) bool { return j == nil || !now.Before(j.Expiry) })
	return all
}

func (s *Store) putSecondary(ctx context.Context, k Key, all secondaryJSON) error {
	size, last := 0, time.Time{}
	for n, j := range all.Kept {
		if size += len(j.Value); size > maxSecondary && n > 0 {
			all.Kept = all.Kept[:n]
			break
		}
		if j.Expiry.After(last) {
			last = j.Expiry
		}
	}
	value := asciiJSON(all)
	if s.kernel.put(s.secondaryName(k), value.Reveal(), last.Sub(s.opt.Now())) == nil {
		return nil
	}
	return s.saveAny(ctx, s.quiet, k.item(kindSecondary), value)
}

// dropSecondary forgets all of an account's.
func (s *Store) dropSecondary(ctx context.Context, k Key) error {
	s.kernel.remove(s.secondaryName(k))
	return s.backend.Delete(ctx, k.item(kindSecondary))
}

func (s *Store) secondaryName(k Key) string { return "t2-cred:" + s.ns + ":" + k.item(kindSecondary) }
