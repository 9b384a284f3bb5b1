package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/store"
)

func (a *app) storeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "store", Short: "Look at the store, make one ready, move between stores, release an account", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.storeInit(), a.storeStatus(), a.storeMove(), a.storeRelease())
	return cmd
}

func (a *app) storeInit() *cobra.Command {
	var use, check bool
	cmd := &cobra.Command{
		Use: "init", Short: "Make the file store ready, or show how the shared store is made ready", Args: noArgs,
		Long: `Make the file store's identity (an age X25519 key), readable by you alone. The file store
encrypts to it, and the identity and the files together give the tokens. An identity that
exists is kept, and none is made where records exist. If you have put a new line before the
old one, run this again: it encrypts the key of the sealed copies to the new line.

The store is chosen by name, never by itself: store = "file" in the configuration,
--store file, or T2_CRED_STORE=file. With --use, the configuration names it from now on.

The identity is looked for in this order:

  1. the file t2-cred-identity in $CREDENTIALS_DIRECTORY (systemd's LoadCredential=)
  2. the file that T2_CRED_IDENTITY_FILE names
  3. the output of identity_command in the configuration (an absolute path and arguments,
     without a shell)
  4. the file that this command makes

With --store openbao nothing is made. The command prints the policy, the role and the
commands for the engine's administrator, and --check tries them from this machine: it logs
in, and writes, reads and deletes items of its own through each address.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.loadConfig()
			if err != nil {
				return err
			}
			if or(a.flags.store, c.Store) == "openbao" {
				if use {
					return usageError(errors.New("--use is for the file store; t2-cred store move --to openbao uses the shared one"))
				}
				return a.initOpenBao(cmd.Context(), c, check)
			}
			if check {
				return usageError(errors.New("--check is for --store openbao"))
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
					if len(c.Profiles) == 0 {
						next = hint.Do(hint.Run("store", "init", "--use"), hint.Words(" makes it the store"))
					}
					fmt.Fprintf(a.Stderr, "hint: %s\n", next.Text(a.given))
				}
				return nil
			}
			if err := a.changeConfig(cmd.Context(), func(c *config) error { return c.useStore("file") }); err != nil {
				return err
			}
			fmt.Fprintln(a.Stderr, "the file store is used from now on")
			a.warnOfOverride(c)
			return nil
		},
	}
	cmd.Flags().BoolVar(&use, "use", false, "use the file store from now on")
	cmd.Flags().BoolVar(&check, "check", false, "with --store openbao: try the engine from this machine")
	return cmd
}

// warnOfOverride says what still names another store than the one that was just chosen.
func (a *app) warnOfOverride(c *config) {
	switch a.storeChosenBy(c) {
	case "T2_CRED_STORE":
		if a.flags.store != "file" {
			a.warn(fmt.Sprintf("T2_CRED_STORE is %s, and comes before the configuration: unset T2_CRED_STORE", a.flags.store))
		}
	case "--store":
		if a.flags.store != "file" {
			a.warn(fmt.Sprintf("--store %s comes before the configuration: leave it out from now on", a.flags.store))
		}
	}
}

// makeIdentity makes the identity of the file store, unless there is one.
func (a *app) makeIdentity(ctx context.Context, c *config) error {
	o, err := a.storeOptions(c)
	if err != nil {
		return err
	}
	path, err := store.InitFile(ctx, o)
	switch {
	case errors.Is(err, fs.ErrExist):
		fmt.Fprintf(a.Stderr, "an identity is there already: %s\n", path)
		return nil
	case err != nil:
		return err
	}
	fmt.Fprintf(a.Stderr, "made the identity %s\n", path)
	return nil
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
	if err != nil {
		return err
	}
	secrets := 0
	for name := range c.Profiles {
		if _, err := from.ClientSecret(ctx, name); err == nil {
			secrets++
		}
	}
	if len(accounts)+secrets == 0 {
		return nil
	}
	return configErrorf(hint.Do(hint.Run("store", "init"), hint.Words(", and then: "), hint.Run("store", "move", "--to", "file")),
		"the %s store keeps %d accounts and %d client secrets, which the file store would not have", from.Name(), len(accounts), secrets)
}

func (a *app) storeStatus() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show which store is used, where it is, and whether it answers", Args: noArgs,
		Long: `Show which store is used and what chose it, where it keeps things, how many accounts
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
			text := fmt.Sprintf("store     %s (%s)\nwhere     %s\naccounts  %d\nstate     ready\n", s.Name(), a.storeChosenBy(c), s.Where(), len(notes))
			if n, where := a.othersAlone(s); n > 0 && len(notes) == 0 {
				text += fmt.Sprintf("others    %d, of configurations at other paths, have notes in %s\n", n, where)
			}
			_, err = a.people().Write([]byte(text))
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
