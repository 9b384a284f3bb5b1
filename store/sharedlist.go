package store

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

// A Holder is the machine that has claimed an account.
type Holder struct {
	Node  string
	Since time.Time // by that machine's clock
	Lease time.Duration
	Here  bool // it is this machine
}

// listWidth is how many items are read at once where the engine gives no notes.
const listWidth = 16

// sharedAccounts lists the accounts of a shared store by what the engine shows of many
// items at once. The time of the last refresh is exact to an hour there. An account whose
// note is missing there, or all where the engine has no such list, are read.
func (s *Store) sharedAccounts(ctx context.Context) ([]Account, error) {
	var accounts []Account
	var unknown []string
	for after := ""; ; {
		page, err := s.sharer.Annotations(ctx, after)
		if errors.Is(err, errors.ErrUnsupported) {
			if unknown, err = s.listAll(ctx); err == nil {
				break
			}
		}
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			break
		}
		for _, one := range page {
			n, d, ok := fromAbout(one.About)
			switch {
			case !isGrant(one.Name):
			case ok && n.Key.item(kindGrant) == one.Name:
				accounts = append(accounts, Account{Note: n, Doubt: s.doubtOf(d)})
			default:
				unknown = append(unknown, one.Name)
			}
		}
		after = page[len(page)-1].Name
	}
	accounts = append(accounts, s.readAccounts(ctx, unknown)...)
	if ctx.Err() != nil {
		return nil, hint.TimeUp(ctx.Err(), "while the accounts were read")
	}
	for i := range accounts { // this machine may know a later refresh
		a := &accounts[i]
		if n, err := s.notes.get(a.Key); err == nil && n.Grant == a.Grant && n.Refreshed.After(a.Refreshed) {
			a.Refreshed, a.TokenExpiry = n.Refreshed, n.TokenExpiry
		}
	}
	sortAccounts(accounts)
	return accounts, nil
}

// readAccounts reads items by their names, several at once.
func (s *Store) readAccounts(ctx context.Context, names []string) (accounts []Account) {
	var mu sync.Mutex
	var running sync.WaitGroup
	next := make(chan string)
	for range min(listWidth, len(names)) {
		running.Go(func() {
			for name := range next {
				a, err := s.caughtAccount(ctx, name)
				mu.Lock()
				if err == nil {
					accounts = append(accounts, a)
				}
				mu.Unlock()
			}
		})
	}
	for _, name := range names {
		if isGrant(name) {
			next <- name
		}
	}
	close(next)
	running.Wait()
	return accounts
}

// caughtAccount is sharedAccount in a goroutine of its own.
func (s *Store) caughtAccount(ctx context.Context, name string) (a Account, err error) {
	a.Note = Note{Key: Key{Profile: "?", Account: name}, Backend: s.Name()}
	defer caught(&a.Err)
	return s.sharedAccount(ctx, name, Key{})
}

// sharedAccount reads one account: with its claim and its doubt, as the item has them. The
// error is ErrNotFound; why a record cannot be read is in the Account.
func (s *Store) sharedAccount(ctx context.Context, name string, k Key) (a Account, err error) {
	a.Key = Key{Profile: "?", Account: name}
	if k != (Key{}) {
		n, _ := s.notes.get(k) // what is known if the item cannot be read
		a.Note, a.Key = n.Note, k
	}
	a.Backend = s.Name()
	if a.Err = s.readShared(ctx, name, &a); errors.Is(a.Err, ErrNotFound) {
		return a, backend.Errorf(ErrNotFound, nil, nil, "account %v", a.Key)
	}
	return a, nil
}

// readShared reads an item into an Account.
func (s *Store) readShared(ctx context.Context, name string, a *Account) error {
	i, _, err := itemOf(s.quiet.Load(ctx, name))
	if err != nil {
		return err
	}
	at, rec, err := decodeRecord(secret.Secret(i.Record))
	if err == nil && (at.Validate() != nil || at.item(kindGrant) != name) {
		err = corrupt("the record is that of another account")
	}
	if err != nil {
		return err
	}
	a.Key, a.GrantInfo, a.Doubt = at, rec.GrantInfo, s.doubtOf(i.Doubt)
	a.TokenExpiry = i.token(rec.Grant, s.opt.Now()).Expiry
	if _, last, err := decodeToken(secret.Secret(i.Token)); err == nil {
		a.Refreshed = last.Obtained // also of a token that has expired
	}
	if c := i.Claim; c != nil {
		a.Claim = &Holder{Node: c.Node, Since: c.Since, Lease: c.life(), Here: c.Owner != "" && c.Owner == s.owner()}
	}
	return nil
}

// A Finding is what Probe saw of one thing.
type Finding = backend.Finding

// Probe tries a shared store through each of its addresses, and writes items of its own
// for that. It finds nothing on a store of one machine.
func (s *Store) Probe(ctx context.Context) []Finding {
	if !s.shared() {
		return nil
	}
	return s.sharer.Probe(ctx)
}

// Release clears the claim and the doubt of an account of a shared store: a person knows
// that the machine which claimed it is gone, and that the refresh token was not sent. It
// returns what was cleared. The copies and marks of this machine are settled first.
func (s *Store) Release(ctx context.Context, k Key) (was Account, err error) {
	if err := k.Validate(); err != nil {
		return was, err
	}
	if !s.shared() {
		return was, backend.Errorf(errors.ErrUnsupported, nil, hint.Do(hint.Run("store", "status")), "the %s store is of one machine and has no claims", s.Name())
	}
	lock, err := s.lock(ctx, k.item(kindGrant))
	if err != nil {
		return was, err
	}
	defer lock.release()
	if was, err = s.sharedAccount(ctx, k.item(kindGrant), k); err != nil || was.Err != nil {
		return was, errors.Join(err, was.Err)
	}
	r := &spending{s: s, k: k, name: k.item(kindGrant)}
	if err = r.seize(ctx); err != nil {
		return was, err
	}
	if r.st.waiting != nil {
		r.giveUp(ctx)
		return was, stillWaits(k, r.st.waiting)
	}
	r.dropDoubt()
	r.claim.doubt = nil
	return was, r.release(ctx)
}

// seize takes over the claim that is there without a wait: a person has decided.
func (r *spending) seize(ctx context.Context) error {
	for {
		now, rev, err := r.s.loadItem(ctx, r.k)
		if err != nil {
			return err
		}
		if err = r.claimItem(ctx, now, rev, false); errors.Is(err, backend.ErrConflict) && sleep(ctx, maxPoll/5) {
			continue
		}
		if err != nil {
			return err
		}
		if err = r.settleClaimed(ctx, now.Claim); err != nil {
			r.giveUp(ctx)
		}
		return err
	}
}

// release gives the claim up and says whether that took place.
func (r *spending) release(ctx context.Context) error {
	left := r.claim.item
	left.Claim, left.Doubt, left.Listed = nil, r.claim.doubt, time.Time{}
	r.claim = nil
	_, err := r.s.backend.Save(ctx, r.name, left.encode(), r.st.rev)
	return err
}
