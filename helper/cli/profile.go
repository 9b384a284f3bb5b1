package cli

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/store"
)

func (a *app) profileCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "profile", Short: "Add, change, list, show and remove profiles; set a client's secret", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.profileAdd(), a.profileEdit(), a.profileUse(), a.profileList(), a.profileShow(), a.profileRemove(), a.profileSetSecret())
	return cmd
}

func (a *app) profileList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the profiles", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := a.readConfig()
			if err != nil {
				return err
			}
			names := slices.Sorted(maps.Keys(c.Profiles))
			if a.flags.json {
				all := make([]map[string]any, len(names))
				for i, n := range names {
					all[i] = profileJSON(c, n)
				}
				return a.printJSON(all)
			}
			if len(names) == 0 {
				fmt.Fprintln(a.Stderr, "no profiles yet; t2-cred profile add NAME --issuer URL --client-id ID")
				return nil
			}
			var t table
			t.row("PROFILE", "CLIENT", "ISSUER", "DEFAULT")
			for _, n := range names {
				mark := ""
				if n == c.DefaultProfile {
					mark = "*"
				}
				t.row(n, clean(c.Profiles[n].ClientID), clean(c.Profiles[n].Issuer), mark)
			}
			return a.printTable(t)
		},
	}
}

func profileJSON(c *config, name string) map[string]any {
	p := c.Profiles[name].named(name)
	list := func(l []string) []string { return append([]string{}, l...) } // [] rather than null
	return map[string]any{
		"name": name, "issuer": p.Issuer, "client_id": p.ClientID, "audience": list(p.Audience), "scopes": list(p.Scopes),
		"hosts": list(p.Hosts), "client_auth": or(p.ClientAuth, "auto"), "ca_file": p.CAFile, "default": name == c.DefaultProfile,
		"client_secret_file": p.SecretFile, "client_secret_command": list(p.SecretCommand),
		"client_key_file": p.KeyFile, "client_key_id": p.KeyID, "client_cert_file": p.CertFile,
		"client_assertion_file": p.AssertionFile, "client_assertion_audience": p.AssertionAudience, "client_assertion_type": p.AssertionType,
		"discovery_url": p.DiscoveryURL, "access_token": p.AccessToken, "required_scopes": list(p.RequiredScopes),
		"narrow": narrowJSON(p.Narrow), "authorize_params": p.AuthorizeParams,
	}
}

func (a *app) profileShow() *cobra.Command {
	return &cobra.Command{
		Use: "show [NAME]", Short: "Show a profile", Args: oneArgAtMost,
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := a.readConfig()
			if err == nil && len(args) == 0 {
				c, err = a.loadConfig() // the default one must be there
			}
			if err != nil {
				return err
			}
			find := c.profile
			if len(args) > 0 {
				find = c.profileArgument
			}
			p, err := find(or(append(args, a.flags.profile)...))
			if err != nil {
				return err
			}
			if a.flags.json {
				return a.printJSON(profileJSON(c, p.Name))
			}
			lines := [][2]string{
				{"profile", p.Name}, {"issuer", p.Issuer}, {"discovery_url", p.DiscoveryURL}, {"client_id", p.ClientID}, {"client_auth", or(p.ClientAuth, "auto (basic or post)")},
				{"client_secret_file", p.SecretFile}, {"client_secret_command", strings.Join(p.SecretCommand, " ")},
				{"client_key_file", p.KeyFile}, {"client_key_id", p.KeyID}, {"client_cert_file", p.CertFile},
				{"client_assertion_file", p.AssertionFile}, {"client_assertion_audience", p.AssertionAudience}, {"client_assertion_type", p.AssertionType},
				{"access_token", p.AccessToken}, {"required_scopes", strings.Join(p.RequiredScopes, " ")},
				{"scopes", strings.Join(p.Scopes, " ")}, {"audience", strings.Join(p.Audience, " ")},
				{"hosts", strings.Join(p.Hosts, " ")}, {"ca_file", p.CAFile}, {"authorize_params", paramsText(p.AuthorizeParams)},
			}
			for _, rule := range p.Narrow {
				lines = append(lines, [2]string{"narrow", narrowLine(rule)})
			}
			for _, line := range append(lines, [2]string{"file", c.from[p.Name]}) {
				if line[1] == "" {
					continue
				}
				if _, err := fmt.Fprintf(a.people(), "%-12s %s\n", line[0]+":", clean(line[1])); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func (a *app) profileRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "Remove a profile that keeps no accounts, and its client's secret", Args: oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.readConfig()
			if err != nil {
				return err
			}
			s, err := a.openStore(c)
			if err != nil {
				return err
			}
			name := args[0]
			if _, ok := c.Profiles[name]; !ok {
				return a.forgetSecret(cmd, c, s, name)
			}
			notes, err := s.Accounts(cmd.Context())
			if err != nil {
				return err
			}
			if slices.ContainsFunc(notes, func(n store.Account) bool { return n.Key.Profile == name }) {
				return configErrorf(hint.Do(hint.Run("erase", "--all").For(name, "")),
					"profile %s keeps accounts; without it they could no longer be revoked", name)
			}
			err = a.changeConfig(cmd.Context(), func(c *config) error {
				if err := c.mayRemove(name); err != nil {
					return err
				}
				if err := s.DeleteClientSecret(cmd.Context(), name); err != nil {
					return err
				}
				return c.removeProfile(name)
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(a.Stderr, "removed profile %s\n", name)
			return nil
		},
	}
}

// forgetSecret deletes the client's secret of a profile that was taken out of
// config.toml by hand.
func (a *app) forgetSecret(cmd *cobra.Command, c *config, s *store.Store, name string) error {
	_, unknown := c.profileArgument(name)
	if !isProfileName(name) || name == settingsName {
		return unknown
	}
	switch _, err := s.ClientSecret(cmd.Context(), name); {
	case errors.Is(err, store.ErrNotFound):
		return unknown
	case err != nil:
		return err
	}
	err := a.changeConfig(cmd.Context(), func(c *config) error {
		return errors.Join(s.DeleteClientSecret(cmd.Context(), name), c.removeProfile(name))
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(a.Stderr, "removed the client's secret of profile %s\n", name)
	return nil
}
