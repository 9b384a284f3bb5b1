package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"
)

// repairWait is how long Accounts waits for the lock of a record whose note and
// item disagree. Who holds it is writing them.
const repairWait = time.Second

// Accounts lists all accounts, sorted, from their notes. Where the backend can
// list its items and can do so now, the notes are repaired first: a missing one
// is made anew from its record and one without its item is removed. As long as
// all names agree no record is loaded. A locked or missing keyring is no error
// here: the notes are then all that is known.
func (s *Store) Accounts(ctx context.Context) ([]Note, error) {
	notes, err := s.notes.all()
	if err != nil {
		return nil, &Error{Kind: ErrUnavailable, Detail: "cannot read the notes", Err: err}
	}
	if names, err := s.backend.List(ctx); err == nil {
		if s.repair(ctx, notes, names) {
			if notes, err = s.notes.all(); err != nil {
				return nil, &Error{Kind: ErrUnavailable, Detail: "cannot read the notes", Err: err}
			}
		}
	}
	return inOrder(notes), nil
}

// Notes lists all accounts, sorted, as their notes have them: the backend is not
// asked, and nothing repaired. The error wraps [ErrUnavailable].
func (s *Store) Notes() ([]Note, error) {
	notes, err := s.notes.all()
	if err != nil {
		return nil, &Error{Kind: ErrUnavailable, Detail: "cannot read the notes", Err: err}
	}
	return inOrder(notes), nil
}

func inOrder(notes []note) []Note {
	accounts := make([]Note, len(notes))
	for i, n := range notes {
		accounts[i] = n.Note
	}
	slices.SortFunc(accounts, func(a, b Note) int {
		return cmp.Or(cmp.Compare(a.Key.Profile, b.Key.Profile), cmp.Compare(a.Key.Account, b.Key.Account))
	})
	return accounts
}

// repair makes notes and items agree and reports whether it changed a note.
func (s *Store) repair(ctx context.Context, notes []note, names []string) (changed bool) {
	items := make(map[string]bool, len(names))
	for _, name := range names {
		if isGrant(name) {
			items[name] = true
		}
	}
	for _, n := range notes {
		name := n.Key.item(kindGrant)
		if !items[name] {
			changed = s.renote(ctx, n.Key) || changed
		}
		delete(items, name)
	}
	for name := range items {
		value, err := s.backend.Load(ctx, name)
		if err != nil {
			continue
		}
		// An escaped name need not be reversible; the record tells whose it is.
		k, _, err := decodeRecord(value)
		if err == nil && k.Validate() == nil && k.item(kindGrant) == name {
			changed = s.renote(ctx, k) || changed
		}
	}
	return changed
}

// renote makes one note agree with its record, under the lock: what looked like
// a disagreement may have been a write halfway done.
func (s *Store) renote(ctx context.Context, k Key) bool {
	ctx, cancel := context.WithTimeout(ctx, repairWait)
	defer cancel()
	release, err := s.lock(ctx, k.item(kindGrant))
	if err != nil {
		return false
	}
	defer release()
	st, err := s.reload(ctx, k)
	switch {
	case errors.Is(err, ErrNotFound): // and reload has forgotten it
		return true
	case err != nil || st.noted && st.note.tells(st.rec):
		return false
	}
	s.takeNote(k, st, st.rec, st.place)
	return true
}
