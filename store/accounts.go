package store

import (
	"cmp"
	"context"
	"errors"
	"sort"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/store/backend"
)

// An Account is what is known of one account, without any secret.
type Account struct {
	Note
	// Doubt is an earlier refresh that got no answer, or nil.
	Doubt *Doubt
	// Claim says which machine has claimed the account of a shared store, or is nil.
	Claim *Holder
	// Err says why the record cannot be read; the note is then all that is known.
	Err error
}

// Accounts lists all accounts, sorted. Every record is read, so the time is linear in
// their number: a note is not the truth. An account whose record cannot be read comes
// with the reason. The error is of a store that cannot be read at all and of which no
// note tells; a keyring that is locked or away leaves the notes, each with the reason.
func (s *Store) Accounts(ctx context.Context) ([]Account, error) {
	if s.shared() {
		return s.sharedAccounts(ctx)
	}
	notes, err := s.notes.all()
	if err != nil {
		return nil, backend.Errorf(ErrUnavailable, err, nil, "cannot read the notes")
	}
	names, listErr := s.listAll(ctx)
	if listErr != nil && !errors.Is(listErr, errors.ErrUnsupported) {
		if len(notes) == 0 {
			return nil, listErr
		}
		return inOrder(notes, listErr), nil
	}
	byItem := make(map[string]Key, len(notes))
	for _, n := range notes {
		byItem[n.Key.item(kindGrant)] = n.Key
	}
	var accounts []Account
	for _, name := range names {
		if !isGrant(name) {
			continue
		}
		k, noted := byItem[name]
		delete(byItem, name)
		if a, ok := s.account(ctx, name, k, noted); ok {
			accounts = append(accounts, a)
		}
		if ctx.Err() != nil {
			return nil, hint.TimeUp(ctx.Err(), "while the accounts were read")
		}
	}
	// A note without an item: deleted elsewhere, waiting as a copy, or not listed.
	for name, k := range byItem {
		if a, ok := s.account(ctx, name, k, true); ok {
			accounts = append(accounts, a)
		}
	}
	sortAccounts(accounts)
	return accounts, nil
}

// Account reads one account as Accounts does. The error wraps ErrNotFound or ErrName;
// why a record cannot be read is in the Account.
func (s *Store) Account(ctx context.Context, k Key) (Account, error) {
	if err := k.Validate(); err != nil {
		return Account{}, err
	}
	if s.shared() {
		return s.sharedAccount(ctx, k.item(kindGrant), k)
	}
	if a, ok := s.account(ctx, k.item(kindGrant), k, true); ok {
		return a, nil
	}
	return Account{}, backend.Errorf(ErrNotFound, nil, nil, "account %v", k)
}

// account reads one record. ok is false when there is none, or when it is not known
// whose it is.
func (s *Store) account(ctx context.Context, name string, k Key, noted bool) (a Account, ok bool) {
	if !noted { // an escaped name need not be reversible; the record tells whose it is
		value, _, err := s.backend.Load(ctx, name)
		if errors.Is(err, ErrNotFound) {
			return a, false // deleted since
		}
		if err != nil { // what cannot be read is an error, never nothing
			return Account{Note: Note{Key: Key{Profile: "?", Account: name}, Backend: s.Name()}, Err: err}, true
		}
		if k, _, err = decodeRecord(value); err != nil || k.Validate() != nil || k.item(kindGrant) != name {
			return Account{Note: Note{Key: Key{Profile: "?", Account: name}, Backend: s.Name()}, Err: cmp.Or(err, corrupt("the record is that of another account"))}, true
		}
	}
	rec, err := s.Load(ctx, k)
	if errors.Is(err, ErrNotFound) {
		return a, false
	}
	n, noteErr := s.notes.get(k)
	a.Note, a.Err = n.Note, err
	if err == nil {
		a.Note = Note{Key: k, Backend: s.Name(), GrantInfo: rec.GrantInfo, Refreshed: n.Refreshed, TokenExpiry: rec.Token.Expiry}
		a.Doubt = s.Pending(k, rec.Grant)
	} else if noteErr != nil {
		a.Note = Note{Key: k, Backend: s.Name()}
	}
	return a, true
}

// listAll lists all names of the backend, page by page.
func (s *Store) listAll(ctx context.Context) (names []string, err error) {
	for after := ""; ; {
		page, err := s.quiet.List(ctx, after)
		if err != nil || len(page) == 0 {
			return names, err
		}
		names, after = append(names, page...), page[len(page)-1]
	}
}

// Notes lists all accounts, sorted, as their notes have them: no record is read, and
// nothing repaired. A shared store is asked for the notes, since each machine knows only
// what it has used. The error wraps [ErrUnavailable].
func (s *Store) Notes(ctx context.Context) ([]Note, error) {
	if !s.shared() {
		return s.LocalNotes()
	}
	accounts, err := s.sharedAccounts(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]Note, len(accounts))
	for i, a := range accounts {
		all[i] = a.Note
	}
	return all, nil
}

// LocalNotes lists the accounts that this machine has a note of. Nobody is asked.
func (s *Store) LocalNotes() ([]Note, error) {
	notes, err := s.notes.all()
	if err != nil {
		return nil, backend.Errorf(ErrUnavailable, err, nil, "cannot read the notes")
	}
	accounts := inOrder(notes, nil)
	all := make([]Note, len(accounts))
	for i, a := range accounts {
		all[i] = a.Note
	}
	return all, nil
}

func inOrder(notes []note, why error) []Account {
	accounts := make([]Account, len(notes))
	for i, n := range notes {
		accounts[i] = Account{Note: n.Note, Err: why}
	}
	sortAccounts(accounts)
	return accounts
}

func sortAccounts(accounts []Account) {
	sort.Slice(accounts, func(i, j int) bool { // slices.SortFunc is 20 kB more in the program
		a, b := accounts[i].Key, accounts[j].Key
		return cmp.Or(cmp.Compare(a.Profile, b.Profile), cmp.Compare(a.Account, b.Account)) < 0
	})
}
