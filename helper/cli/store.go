package cli

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/store"
)

func (a *app) storeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "store", Short: "Make ready the file store, for machines without a keyring", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.storeInit())
	return cmd
}

func (a *app) storeInit() *cobra.Command {
	return &cobra.Command{
		Use: "init", Short: "Make the identity that the file store encrypts to", Args: cobra.NoArgs,
		Long: `Make the file store's identity (an age X25519 key), readable by you alone, unless
there is one. What the file store keeps is encrypted to it; whoever has the identity
and the files has the tokens. The store is chosen by name, never by itself:
store = "file" in the configuration, --store file, or T2_CRED_STORE=file.`,
		RunE: func(*cobra.Command, []string) error {
			c, err := a.loadConfig()
			if err != nil {
				return err
			}
			s, err := a.storeOptions(c)
			if err != nil {
				return err
			}
			path, err := store.InitFile(s)
			if errors.Is(err, fs.ErrExist) {
				fmt.Fprintf(a.Stderr, "the identity %s is there already\n", path)
				return nil
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(a.Stderr, "made the identity %s\n", path)
			if or(a.flags.store, c.Store) != "file" {
				fmt.Fprintln(a.Stderr, `hint: put store = "file" at the top of the configuration, or set T2_CRED_STORE=file`)
			}
			return nil
		},
	}
}
