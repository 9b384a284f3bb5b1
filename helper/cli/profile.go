package cli

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/store"
)

func (a *app) profileCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "profile", Short: "Add, list, show and remove profiles; set a client's secret", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.profileAdd(), a.profileList(), a.profileShow(), a.profileRemove(), a.profileSetSecret())
	return cmd
}

func (a *app) profileAdd() *cobra.Command {
	var (
		p          profileConfig
		scope      []string
		secretFile string
	)
	cmd := &cobra.Command{
		Use: "add NAME --issuer URL --client-id ID", Short: "Discover an issuer, check it, and save a profile", Args: cobra.ExactArgs(1),
		Long: `Save a client at an issuer under a name. The issuer's discovery document is fetched
and checked first; its exact name is what is saved. The client's secret goes to the
store: from --client-secret-file, or a hidden prompt on a terminal; never a flag.
A client with a key or a certificate in place of a secret names their files, which
are read each time; --client-secret-file puts a key into the store instead.
A profile of that name is replaced; what is stored for its accounts stays.`,
		Example: `  t2-cred profile add gep --issuer https://iam.terradue.com/auth/realms/master \
      --client-id ellip-test-ades --audience ellip-test-ades \
      --scope "openid email profile offline_access ellip gep"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, s := range scope {
				p.Scopes = append(p.Scopes, strings.Fields(s)...)
			}
			return a.addProfile(cmd, args[0], p, secretFile)
		},
	}
	f := cmd.Flags()
	f.StringVar(&p.Issuer, "issuer", "", "the issuer's URL, as its users know it")
	f.StringVar(&p.ClientID, "client-id", "", "the client's id at the issuer")
	f.StringArrayVar(&scope, "scope", []string{"openid", "offline_access"}, "scopes to ask for, separated by spaces; may be repeated")
	f.StringArrayVar(&p.Audience, "audience", nil, "audience to ask tokens for (RFC 8693); may be repeated")
	f.StringArrayVar(&p.Hosts, "host", nil, "host (or *.domain, host:port) where tool hooks may send this profile's tokens; may be repeated")
	f.StringVar(&p.ClientAuth, "client-auth", "", "how the client proves itself: basic, post, none, private_key_jwt, client_secret_jwt or tls (default: by the files given, else basic or post as the issuer takes)")
	f.StringVar(&secretFile, "client-secret-file", "", "file with the client's secret or key, to put into the store; - for standard input")
	f.StringVar(&p.KeyFile, "client-key-file", "", "file with the client's private key (PEM or JWK), for private_key_jwt and tls")
	f.StringVar(&p.CertFile, "client-cert-file", "", "PEM file with the client's certificate, for tls")
	f.StringVar(&p.CAFile, "ca-file", "", "PEM file with certificates to trust beside the system's")
	_ = cmd.MarkFlagRequired("issuer")
	_ = cmd.MarkFlagRequired("client-id")
	return cmd
}

func (a *app) addProfile(cmd *cobra.Command, name string, p profileConfig, secretFile string) error {
	ctx := cmd.Context()
	c, err := a.loadConfig()
	if err != nil {
		return err
	}
	if err := p.absolute(); err != nil {
		return usageError(err)
	}
	if err := checkProfile(name, p); err != nil {
		return usageError(fmt.Errorf("profile %s: %w", name, err))
	}
	issuer, notes, err := oidc.Find(ctx, p.Issuer, a.issuerOptions(p.CAFile))
	for _, n := range notes {
		fmt.Fprintf(a.Stderr, "note: %s\n", clean(n))
	}
	if err != nil {
		return fmt.Errorf("profile %s: %w", name, err)
	}
	meta, err := issuer.Metadata(ctx)
	if err != nil {
		return err
	}
	if err := offered(p, meta); err != nil {
		return fmt.Errorf("profile %s: %w", name, err)
	}
	p.Issuer, p.ClientAuth = issuer.ID(), p.auth()
	hasSecret, err := a.storeSecret(cmd, c, name, p, secretFile)
	if err != nil {
		return fmt.Errorf("profile %s: %w", name, err)
	}
	err = a.changeConfig(ctx, func(c *config) ([]byte, error) { return c.withProfile(name, p), nil })
	if err != nil {
		return err
	}
	fmt.Fprintf(a.Stderr, "saved profile %s: client %s at %s\n", name, clean(p.ClientID), clean(p.Issuer))
	switch {
	case !hasSecret:
		fmt.Fprintf(a.Stderr, "hint: the client's secret is yet to come: t2-cred profile set-secret %s\n", name)
	default:
		fmt.Fprintf(a.Stderr, "hint: t2-cred exchange --profile %s --token-file FILE\n", name)
	}
	return nil
}

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
		Use: "set-secret NAME", Short: "Set or replace a client's secret or key; the grants stay", Args: cobra.ExactArgs(1),
		Long: `Put the client's secret into the store: from --client-secret-file, or a hidden prompt
on a terminal. For client_auth private_key_jwt and tls it is the client's private key.
Grants that are kept are not touched.`,
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
				return &configError{
					detail: fmt.Sprintf("profile %s does not look for a client's secret in the store: it has %s", p.Name, elsewhere),
					remedy: "change the secret there, or take " + elsewhere + " out of " + c.path,
				}
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

func (a *app) profileList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the profiles", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := a.loadConfig()
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
			w := tabwriter.NewWriter(a.Stdout, 0, 8, 2, ' ', 0)
			fmt.Fprintln(w, "PROFILE\tCLIENT\tISSUER\tDEFAULT")
			for _, n := range names {
				mark := ""
				if n == c.DefaultProfile {
					mark = "*"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", n, clean(c.Profiles[n].ClientID), clean(c.Profiles[n].Issuer), mark)
			}
			return w.Flush()
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
	}
}

func (a *app) profileShow() *cobra.Command {
	return &cobra.Command{
		Use: "show [NAME]", Short: "Show a profile", Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := a.loadConfig()
			if err != nil {
				return err
			}
			p, err := c.profile(or(append(args, a.flags.profile)...))
			if err != nil {
				return err
			}
			if a.flags.json {
				return a.printJSON(profileJSON(c, p.Name))
			}
			for _, line := range [][2]string{
				{"profile", p.Name}, {"issuer", p.Issuer}, {"client_id", p.ClientID}, {"client_auth", or(p.ClientAuth, "auto (basic or post)")},
				{"client_secret_file", p.SecretFile}, {"client_secret_command", strings.Join(p.SecretCommand, " ")},
				{"client_key_file", p.KeyFile}, {"client_key_id", p.KeyID}, {"client_cert_file", p.CertFile},
				{"scopes", strings.Join(p.Scopes, " ")}, {"audience", strings.Join(p.Audience, " ")},
				{"hosts", strings.Join(p.Hosts, " ")}, {"ca_file", p.CAFile}, {"file", c.path},
			} {
				if line[1] == "" {
					continue
				}
				if _, err := fmt.Fprintf(a.Stdout, "%-12s %s\n", line[0]+":", clean(line[1])); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func (a *app) profileRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "Remove a profile that keeps no accounts, and its client's secret", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, s, err := a.openConfig()
			if err != nil {
				return err
			}
			p, err := c.profile(args[0])
			if err != nil {
				return err
			}
			notes, err := s.Accounts(cmd.Context())
			if err != nil {
				return err
			}
			if slices.ContainsFunc(notes, func(n store.Account) bool { return n.Key.Profile == p.Name }) {
				return &configError{
					detail: fmt.Sprintf("profile %s keeps accounts; without it they could no longer be revoked", p.Name),
					remedy: "t2-cred erase --all --profile " + p.Name,
				}
			}
			err = a.changeConfig(cmd.Context(), func(c *config) ([]byte, error) {
				text, ok := c.withoutProfile(p.Name)
				if !ok {
					return nil, &configError{detail: fmt.Sprintf("profile %s is not written as a table [profiles.%s]", p.Name, p.Name), remedy: "take it out of " + c.path + " by hand"}
				}
				return text, s.DeleteClientSecret(cmd.Context(), p.Name)
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(a.Stderr, "removed profile %s\n", p.Name)
			return nil
		},
	}
}
