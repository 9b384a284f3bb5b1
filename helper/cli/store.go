package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/store"
)

func (a *app) storeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "store", Short: "Look at the store, make the file store ready, move between stores", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.storeInit(), a.storeStatus(), a.storeMove())
	return cmd
}

func (a *app) storeInit() *cobra.Command {
	var use bool
	cmd := &cobra.Command{
		Use: "init", Short: "Make the identity that the file store encrypts to", Args: noArgs,
		Long: `Make the file store's identity (an age X25519 key), readable by you alone, unless
there is one. What the file store keeps is encrypted to it; whoever has the identity
and the files has the tokens. The store is chosen by name, never by itself:
store = "file" in the configuration, --store file, or T2_CRED_STORE=file. With --use,
the configuration names it from now on.

The identity is looked for in this order: the file t2-cred-identity in
$CREDENTIALS_DIRECTORY (systemd's LoadCredential=), the file that
T2_CRED_IDENTITY_FILE names, what identity_command in the configuration prints (an
absolute path and arguments, without a shell), and the file that this command makes.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.loadConfig()
			if err != nil {
				return err
			}
			if use && c.byHand.Store != "" && c.byHand.Store != "file" {
				return c.useStore("file") // which names the line to change
			}
			if use {
				if err := a.mayLeaveStore(cmd.Context(), c); err != nil {
					return err
				}
			}
			if err := a.makeIdentity(cmd.Context(), c); err != nil {
				return err
			}
			if !use {
				if or(a.flags.store, c.Store) != "file" {
					next := hint.Do(hint.Run("store", "move", "--to", "file"), hint.Words(" takes along what is kept, and makes it the store"))
					fmt.Fprintf(a.Stderr, "hint: %s\n", next.Text(a.given))
				}
				return nil
			}
			if err := a.changeConfig(cmd.Context(), func(c *config) error { return c.useStore("file") }); err != nil {
				return err
			}
			fmt.Fprintln(a.Stderr, "the file store is used from now on")
			return nil
		},
	}
	cmd.Flags().BoolVar(&use, "use", false, "use the file store from now on")
	return cmd
}

// mayLeaveStore refuses to use the file store when the one in use keeps accounts: they
// would seem to be gone. Where the other store does not work, they cannot be looked at,
// and go on waiting there.
func (a *app) mayLeaveStore(ctx context.Context, c *config) error {
	if or(c.Store, "keyring") == "file" {
		return nil
	}
	from, err := a.openStoreNamed(c, or(c.Store, "keyring"))
	if err != nil {
		return err
	}
	if from.Check(ctx) != nil {
		return nil //nolint:nilerr // that it does not work is why another is wanted
	}
	accounts, err := from.Accounts(ctx)
	if err != nil || len(accounts) == 0 {
		return err
	}
	return configErrorf(hint.Do(hint.Run("store", "init"), hint.Words(", and then: "), hint.Run("store", "move", "--to", "file")),
		"the %s store keeps %d accounts, which the file store would not have", from.Name(), len(accounts))
}

func (a *app) storeStatus() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show which store is used, where it is, and whether it answers", Args: noArgs,
		Long: `Show which store is used and by whose word, where it keeps things, how many accounts
are in it, and whether it can be read now. No dialog is shown and nothing is written.
The exit code is 5 when the store cannot be read.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, s, err := a.openConfig()
			if err != nil {
				return err
			}
			notes, err := s.Accounts(cmd.Context())
			if err != nil {
				return err
			}
			if err := s.Check(cmd.Context()); err != nil {
				return fmt.Errorf("%s store (%s), %s: %w", s.Name(), a.storeChosenBy(c), s.Where(), err)
			}
			if a.flags.json {
				return a.printJSON(map[string]any{"store": s.Name(), "chosen_by": a.storeChosenBy(c), "where": s.Where(), "accounts": len(notes)})
			}
			_, err = fmt.Fprintf(a.people(), "store     %s (%s)\nwhere     %s\naccounts  %d\nstate     ready\n", s.Name(), a.storeChosenBy(c), s.Where(), len(notes))
			return err
		},
	}
}

// storeChosenBy says whose word it is that the store is this one.
func (a *app) storeChosenBy(c *config) string {
	switch {
	case a.flags.store != "" && a.flags.store == a.Getenv("T2_CRED_STORE"):
		return "T2_CRED_STORE"
	case a.flags.store != "":
		return "--store"
	case c.Store != "":
		return c.sourceOf("store")
	}
	return "the default"
}

func (a *app) storeMove() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use: "move", Short: "Move everything to another store, and use that from then on", Args: noArgs,
		Annotations: map[string]string{ownTimeout: "15m"},
		Long: `Move all client secrets and accounts of this configuration from the store in use to
another, and name that one in the configuration. Each is read back from the new store
before it is deleted in the old one, under the lock that a refresh takes too; so a move
that is interrupted loses nothing, and is finished by running it again.`,
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
	cmd.Flags().StringVar(&to, "to", "", "the store to move to: keyring or file")
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

// moveAccounts goes on past one that cannot be moved.
func (a *app) moveAccounts(ctx context.Context, from, to *store.Store, notes []store.Account) error {
	var failed error
	moved := 0
	for _, n := range notes {
		if err := store.Move(ctx, from, to, n.Key); err != nil {
			failed = errors.Join(failed, fmt.Errorf("move account %s: %w", named(n.Note), err))
			continue
		}
		moved++
	}
	if len(notes) > 0 {
		fmt.Fprintf(a.Stderr, "moved %d of %d accounts from the %s store to the %s store\n", moved, len(notes), from.Name(), to.Name())
	}
	return failed
}
