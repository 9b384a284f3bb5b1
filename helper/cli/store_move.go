package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/store"
)

// moveEach bounds the move of one account, so that one whose lock is held does not stop
// the rest.
const moveEach = 30 * time.Second

func (a *app) storeMove() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use: "move --to STORE", Short: "Move everything to another store, and use that from then on", Args: noArgs,
		Annotations: map[string]string{ownTimeout: "15m"},
		Long: `Move all client secrets and accounts of this configuration from the store in use to
another, and name that one in profiles.d/settings.toml. Each is read back from the new
store before it is deleted in the old one, under the lock that a refresh takes. A move that
was interrupted loses nothing. To finish it, run it again.`,
		Example: "  t2-cred store init && t2-cred store move --to file",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, from, err := a.openConfig()
			if err != nil {
				return err
			}
			target, err := a.openStoreNamed(c, to)
			if err != nil {
				return err
			}
			switch {
			case target.Name() == from.Name():
				return usageError(fmt.Errorf("%s is the store in use already (%s)", to, a.storeChosenBy(c)))
			}
			if a.flags.store == "" && c.byHand.Store != "" && c.byHand.Store != to {
				return c.moveByHand(to, from.Name())
			}
			if err := target.CheckWritable(cmd.Context()); err != nil {
				return err
			}
			return a.moveAll(cmd.Context(), c, from, target)
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the store to move to: keyring, file or openbao")
	_ = cmd.MarkFlagRequired("to")
	return cmd
}

// moveByHand is the error of a move when config.toml names the store.
func (c *config) moveByHand(to, from string) error {
	return byHandFirst(c.writtenByHand("store", fmt.Appendf(nil, "store = %q\n", to), "store"),
		"put the text above in its place, then: ", hint.Run("store", "move", "--to", to, "--store", from))
}

// moveAll copies the client secrets, moves the accounts, and names the new store in
// the configuration; only then are the secrets deleted in the old one. When something
// fails on the way, the old store stays in use, and has all secrets that it had.
func (a *app) moveAll(ctx context.Context, c *config, from, to *store.Store) error {
	notes, err := from.Accounts(ctx)
	if err != nil {
		return err
	}
	profiles := maps.Clone(c.Profiles)
	for _, n := range notes {
		profiles[n.Key.Profile] = profileConfig{} // of a profile that was removed by hand
	}
	names := slices.Sorted(maps.Keys(profiles))
	for _, name := range names {
		if err := store.CopyClientSecret(ctx, from, to, name); err != nil {
			return fmt.Errorf("copy the client secret of profile %s: %w", name, err)
		}
	}
	if err := a.moveAccounts(ctx, from, to, notes); err != nil {
		return err
	}
	switch {
	case a.flags.store != "" && c.Store == to.Name():
	case a.flags.store != "":
		fmt.Fprintf(a.Stderr, "hint: %s chose the store; name %s there from now on\n", a.storeChosenBy(c), to.Name())
	default:
		if err := a.changeConfig(ctx, func(c *config) error { return c.useStore(to.Name()) }); err != nil {
			return err
		}
	}
	// What came into the old one while it was in use.
	if notes, err = from.Accounts(ctx); err == nil {
		err = a.moveAccounts(ctx, from, to, notes)
	}
	for _, name := range names {
		err = errors.Join(err, from.DeleteClientSecret(ctx, name))
	}
	return err
}

// moveAccounts goes on past one that cannot be moved. An interruption ends it between
// two accounts.
func (a *app) moveAccounts(ctx context.Context, from, to *store.Store, accounts []store.Account) error {
	if len(accounts) == 0 {
		return nil
	}
	line := a.progress("store move", len(accounts))
	var first error
	moved, failed := 0, 0
	for _, n := range accounts {
		if ctx.Err() != nil {
			break
		}
		if err := moveOne(ctx, from, to, n.Key); err != nil {
			failed++
			if first == nil {
				first = fmt.Errorf("%s: %w", named(n.Note), err)
			}
		} else {
			moved++
		}
		line.step()
	}
	line.end()
	fmt.Fprintf(a.Stderr, "moved %d of %d accounts from the %s store to the %s store\n", moved, len(accounts), from.Name(), to.Name())
	again := hint.Do(hint.Words("to go on with the others: "), hint.Run("store", "move", "--to", to.Name()))
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return &hint.Error{Kind: errInterrupted, Detail: fmt.Sprintf("store move: interrupted after %d of %d accounts", moved, len(accounts)), Remedy: again}
	case ctx.Err() != nil:
		return &hint.Error{Kind: ctx.Err(), Detail: fmt.Sprintf("store move: the time was up after %d of %d accounts", moved, len(accounts)), Remedy: again}
	case failed > 0:
		return fmt.Errorf("store move: %d of %d accounts not moved, the first %w", failed, len(accounts), first)
	}
	return nil
}

func moveOne(ctx context.Context, from, to *store.Store, k store.Key) error {
	ctx, cancel := context.WithTimeout(ctx, moveEach)
	defer cancel()
	return store.Move(ctx, from, to, k)
}
