package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/store"
)

// askStore finds a store that works. Only where none was chosen, and nothing can be in
// the usual one, is the person asked for one.
func (g *guide) askStore(ctx context.Context) error {
	chosen := or(g.flags.store, g.config.Store)
	if chosen == "" && len(g.config.Profiles) > 0 {
		chosen = "keyring"
	}
	name, err := chosen, error(nil)
	switch {
	case chosen != "" && g.tried != "":
		_, err = g.askLine("Mend the "+chosen+" store, then press Enter to try it again", "")
	case chosen == "" && g.tried == "keyring":
		name, err = g.askLine("Where to keep secrets: "+strings.Join(store.Backends(), ", "), "file")
	case chosen == "":
		name, err = g.askLine("Where to keep secrets: "+strings.Join(store.Backends(), ", "), "keyring")
	}
	if err != nil {
		return err
	}
	if !slices.Contains(store.Backends(), name) {
		return usageError(fmt.Errorf("%s is not one of these%s", shownWord(name), didYouMean(name, store.Backends())))
	}
	g.tried = name
	return proven(ctx, func(ctx context.Context) error { return g.tryStore(ctx, name) })
}

// tryStore shows that a store can keep what is got next. The file store gets its
// identity.
func (g *guide) tryStore(ctx context.Context, name string) error {
	if name == "file" {
		if err := g.makeIdentity(ctx, g.config); err != nil {
			return err
		}
	}
	s, err := g.openStoreNamed(g.config, name)
	if err != nil {
		return err
	}
	if err := s.CheckWritable(ctx); err != nil {
		if name == "keyring" && or(g.flags.store, g.config.Store) == "" && len(g.config.Profiles) == 0 { // what is asked next
			return &hint.Error{Kind: err, Remedy: hint.Say("press Enter for the file store, which needs no keyring")}
		}
		return err
	}
	g.store = s
	fmt.Fprintf(g.Stderr, "ok: the %s store keeps secrets in %s\n\n", s.Name(), s.Where())
	return nil
}

// save keeps all answers at once.
func (g *guide) save(ctx context.Context) error {
	g.config.Profiles[g.name] = g.profile // for the label of the secret's item
	err := g.keepProfile(ctx, g.store, g.name, g.secret, func(c *config) error {
		before := c.set.Store
		if g.flags.store == "" && or(c.Store, "keyring") != g.store.Name() {
			if err := c.useStore(g.store.Name()); err != nil {
				return err
			}
		}
		if _, ok := c.Profiles[g.name]; ok {
			return c.exists(g.name, g.profile)
		}
		err := c.saveProfile(g.name, g.profile)
		if err != nil && c.set.Store != before {
			c.set.Store = before
			err = errors.Join(err, c.saveSettings())
		}
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(g.Stderr, "saved profile %s: client %s at %s\nCtrl-C from here on keeps it.\n\n", g.name, clean(g.profile.ClientID), clean(g.profile.Issuer))
	return nil
}
