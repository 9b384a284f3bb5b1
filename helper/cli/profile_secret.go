package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/store"
)

// storeSecret puts the client's secret into the store before the profile is
// saved, so that a store that does not work leaves no half of a profile. It
// reports whether a secret is there now.
func (a *app) storeSecret(cmd *cobra.Command, c *config, name string, p profileConfig, file string) (bool, error) {
	if p.ClientAuth == "none" {
		return true, nil
	}
	s, err := a.openStore(c)
	if err != nil {
		return false, err
	}
	if elsewhere := secretElsewhere(p.named(name)); elsewhere != "" {
		if file != "" {
			return false, usageError(fmt.Errorf("%s and --client-secret-file: one of them", elsewhere))
		}
		return true, a.newHelper(s).CheckClient(cmd.Context(), p.named(name))
	}
	value, err := a.clientSecret(cmd.Context(), p.ClientAuth, file)
	if err != nil {
		return false, err
	}
	if value == "" { // nobody to ask: one that is there already goes on
		_, err := s.ClientSecret(cmd.Context(), name)
		if errors.Is(err, store.ErrNotFound) {
			return false, nil
		}
		return err == nil, err
	}
	return true, s.SetClientSecret(cmd.Context(), name, value)
}

func (a *app) profileSetSecret() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "set-secret NAME", Short: "Set or replace a client's secret or key; the grants stay", Args: oneArg,
		Long: `Put the client's secret into the store: from --client-secret-file, or a hidden prompt
on a terminal. For client_auth private_key_jwt and tls it is the client's private key.
The grants stay.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, s, err := a.openConfig()
			if err != nil {
				return err
			}
			p, err := c.profile(args[0])
			if err != nil {
				return err
			}
			if elsewhere := secretElsewhere(p); elsewhere != "" {
				return configErrorf(hint.Say("change the secret there, or take "+elsewhere+" out of "+c.from[p.Name]),
					"profile %s does not look for a client's secret in the store: it has %s", p.Name, elsewhere)
			}
			value, err := a.clientSecret(cmd.Context(), p.ClientAuth, file)
			if err != nil {
				return err
			}
			if value == "" {
				return usageError(errors.New("no secret given, and no terminal to ask on; --client-secret-file FILE, or - for standard input"))
			}
			if err := s.SetClientSecret(cmd.Context(), p.Name, value); err != nil {
				return err
			}
			what := "secret"
			if usesKey(p.ClientAuth) {
				what = "key"
			}
			fmt.Fprintf(a.Stderr, "kept the %s of client %s in the %s store\n", what, clean(p.ClientID), s.Name())
			return nil
		},
	}
	cmd.Flags().StringVar(&file, "client-secret-file", "", "file with the client's secret or key; - for standard input")
	return cmd
}
