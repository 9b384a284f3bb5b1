package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/store"
)

// elsewhere looks for an account that the store in use does not have in the other
// stores of this configuration: a move that was interrupted leaves it there. A store
// without a note of the account is not asked, so that nobody else's keyring is opened. Last,
// it looks for a note of another configuration: a home that was moved is another one.
func (a *app) elsewhere(c *config, s *store.Store) func(context.Context, store.Key) error {
	return func(ctx context.Context, k store.Key) error {
		for _, other := range a.otherStores(c, s) {
			if _, err := other.Note(k); err != nil {
				continue
			}
			if _, err := other.Load(ctx, k); errors.Is(err, store.ErrNotFound) {
				continue
			}
			return &hint.Error{
				Kind:   store.ErrUnavailable,
				Detail: fmt.Sprintf("account %s/%s is in the %s store, and the %s store is in use (%s); a move between them may have been interrupted", k.Profile, clean(k.Account), other.Name(), s.Name(), a.storeChosenBy(c)),
				Remedy: hint.Do(hint.Run("store", "move", "--to", other.Name())),
			}
		}
		return a.otherConfiguration(c, s, k)
	}
}

// otherConfiguration is an error if another configuration has a note of the account. The
// usual configuration is known by its path, where --config names another.
func (a *app) otherConfiguration(c *config, s *store.Store, k store.Key) error {
	usual := *a
	usual.flags.config = ""
	var configs []string
	if files, err := usual.configFiles(); err == nil {
		configs = append(configs, files.hand)
	}
	if named := a.Getenv("T2_CRED_CONFIG"); filepath.IsAbs(named) {
		configs = append(configs, named)
	}
	path, found := s.HasOther(k, configs...)
	if !found {
		return nil
	}
	nothing := fmt.Sprintf("nothing is stored for %s/%s", k.Profile, clean(k.Account))
	if path != "" {
		return &hint.Error{
			Kind: helper.ErrLoginRequired, Detail: fmt.Sprintf("%s of the configuration %s; the configuration %s has a note of it", nothing, c.path, path),
			Remedy: hint.Do(hint.Run("status", "--config", path).For(k.Profile, k.Account)),
		}
	}
	state, err := a.stateDir()
	if err != nil {
		return err
	}
	return &hint.Error{
		Kind: helper.ErrLoginRequired, Detail: fmt.Sprintf("%s; %s has a note of it for a configuration at another path", nothing, state),
		Remedy: append(hint.Do(hint.Words("if the home or the configuration was moved, move it back; else: ")), a.comeBack(c.Profiles[k.Profile].Issuer, k.Profile, k.Account)...),
	}
}

// otherStores are the stores of this configuration that are not in use. They show no
// dialog.
func (a *app) otherStores(c *config, s *store.Store) (others []*store.Store) {
	unattended := *a
	unattended.Attended = false
	for _, name := range store.Backends() {
		if name == s.Name() {
			continue
		}
		if other, err := unattended.openStoreNamed(c, name); err == nil {
			others = append(others, other)
		}
	}
	return others
}

// warnOfMoved says how many accounts another store has that the one in use lacks, as
// far as notes tell. A list does not show them, and keepalive does not refresh them.
func (a *app) warnOfMoved(c *config, s *store.Store, accounts []store.Account) {
	here := make(map[store.Key]bool, len(accounts))
	for _, n := range accounts {
		here[n.Key] = true
	}
	for _, other := range a.otherStores(c, s) {
		notes, err := other.LocalNotes()
		if err != nil {
			continue
		}
		first, missing := "", 0
		for _, n := range notes {
			if here[n.Key] {
				continue
			}
			if missing++; missing == 1 {
				first = named(n)
			}
		}
		if missing > 0 {
			a.warn(fmt.Sprintf("%d accounts are in the %s store, which is not in use, the first %s; to bring all together: t2-cred store move --to %s",
				missing, other.Name(), first, other.Name()))
		}
	}
}
