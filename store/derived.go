package store

import (
	"context"
	"slices"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
)

// kindDerived is the item of what was got for an account's access tokens.
const kindDerived = "keys"

// maxDerived bounds what is kept for one account: the kernel gives a user 20,000
// bytes for everything. The oldest goes first, and the newest is always kept.
const maxDerived = 8 << 10

// derivedWait is how long keeping may wait for the account's lock, and last.
const derivedWait = 5 * time.Second

// A Derived is a secret that another server gave for an account's access token,
// such as the keys of an STS. It is cached as the access token is, and is as
// good without it.
type Derived struct {
	Value            secret.Secret
	Obtained, Expiry time.Time
}

// derivedJSON is all of an account's at rest: one item, so that erasing an
// account leaves none behind.
type derivedJSON struct {
	V     int        `json:"v"`
	Grant string     `json:"grant"`
	Kept  []keptJSON `json:"kept"` // newest first
}

type keptJSON struct {
	Name     string `json:"name"`
	Value    string `json:"value"`
	Obtained stamp  `json:"obtained,omitzero"`
	Expiry   stamp  `json:"expiry"`
}

// Derived returns what was kept under that name for that grant of an account,
// without a lock. The error wraps ErrNotFound when there is none or it has
// expired; what stands in the way of looking is not told apart, since a new one
// is got then.
func (s *Store) Derived(ctx context.Context, k Key, grant, name string) (Derived, error) {
	if err := k.Validate(); err != nil {
		return Derived{}, err
	}
	for _, j := range s.derived(askingNobody(ctx), k, grant).Kept {
		if j.Name == name {
			return Derived{Value: secret.Secret(j.Value), Obtained: j.Obtained.Time, Expiry: j.Expiry.Time}, nil
		}
	}
	return Derived{}, &Error{Kind: ErrNotFound, Detail: "nothing of that name is kept for account " + k.String()}
}

// KeepDerived keeps d under that name, in the kernel's keyring or in an item of
// the backend, wherever the access token would go. It does so only while the
// account's grant is the one that d was got with. The error wraps ErrNotFound
// (the grant is another), ErrBusy, or what the backend says.
func (s *Store) KeepDerived(ctx context.Context, k Key, grant, name string, d Derived) error {
	if err := k.Validate(); err != nil || !s.opt.Now().Before(d.Expiry) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, derivedWait)
	defer cancel()
	// The account's own lock, so that an erasure comes before or after.
	release, err := s.lock(ctx, k.item(kindGrant))
	if err != nil {
		return err
	}
	defer release()
	ctx = holdingLock(askingNobody(ctx))
	if n, err := s.notes.get(k); err != nil || n.Grant != grant || grant == "" {
		return &Error{Kind: ErrNotFound, Detail: "account " + k.String() + " has another grant by now"}
	}
	all := s.derived(ctx, k, grant)
	all.Kept = slices.DeleteFunc(all.Kept, func(j keptJSON) bool { return j.Name == name })
	all.Kept = slices.Insert(all.Kept, 0, keptJSON{name, d.Value.Reveal(), at(d.Obtained), at(d.Expiry)})
	return s.putDerived(ctx, k, all)
}

// derived reads all that is kept for the grant and has not expired: from the
// kernel, or else from the backend. An entry is as good in either place, so it
// does not matter that one may be out of date.
func (s *Store) derived(ctx context.Context, k Key, grant string) derivedJSON {
	none := derivedJSON{V: codecVersion, Grant: grant}
	raw, err := s.kernel.get(s.derivedName(k))
	value := secret.Secret(raw)
	if err != nil {
		if value, err = s.backend.Load(ctx, k.item(kindDerived)); err != nil {
			return none
		}
	}
	var all derivedJSON
	if decodeJSON("what was got with a token", value, &all, &all.V) != nil || all.Grant != grant {
		return none
	}
	now := s.opt.Now()
	all.Kept = slices.DeleteFunc(all.Kept, func(j keptJSON) bool { return !now.Before(j.Expiry.Time) })
	return all
}

func (s *Store) putDerived(ctx context.Context, k Key, all derivedJSON) error {
	size, last := 0, time.Time{}
	for n, j := range all.Kept {
		if size += len(j.Value); size > maxDerived && n > 0 {
			all.Kept = all.Kept[:n]
			break
		}
		if j.Expiry.After(last) {
			last = j.Expiry.Time
		}
	}
	value := asciiJSON(all)
	if s.kernel.put(s.derivedName(k), value.Reveal(), last.Sub(s.opt.Now())) == nil {
		return nil
	}
	return s.backend.Save(ctx, k.item(kindDerived), value)
}

// dropDerived forgets all of an account's.
func (s *Store) dropDerived(ctx context.Context, k Key) error {
	s.kernel.remove(s.derivedName(k))
	return s.backend.Delete(ctx, k.item(kindDerived))
}

func (s *Store) derivedName(k Key) string { return "t2-cred:" + s.ns + ":" + k.item(kindDerived) }
