package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
)

// profileFlags are the flags that say what a profile holds.
func profileFlags(cmd *cobra.Command, p *profileConfig, scope *[]string, scopes []string) {
	f := cmd.Flags()
	f.StringVar(&p.Issuer, "issuer", "", "the issuer's URL, as its users know it")
	f.StringVar(&p.DiscoveryURL, "discovery-url", "", "where the discovery document lies, if not at the issuer's own address")
	f.StringVar(&p.ClientID, "client-id", "", "the client's id at the issuer")
	f.StringArrayVar(scope, "scope", scopes, "scopes to ask for, separated by spaces; may be repeated")
	f.StringArrayVar(&p.Audience, "audience", nil, "audience to ask tokens for (RFC 8693); may be repeated")
	f.StringArrayVar(&p.Hosts, "host", nil, "host (or *.domain, host:port) where tool hooks may send this profile's tokens; may be repeated")
	f.StringVar(&p.ClientAuth, "client-auth", "", "how the client proves itself: basic, post, none, private_key_jwt, client_secret_jwt, tls or jwt_file (default: by the files given, else basic or post as the issuer takes)")
	f.StringVar(&p.KeyFile, "client-key-file", "", "file with the client's private key (PEM or JWK), for private_key_jwt and tls")
	f.StringVar(&p.CertFile, "client-cert-file", "", "PEM file with the client's certificate, for tls")
	f.StringVar(&p.AssertionFile, "client-assertion-file", "", "file with a JWT that somebody else signs for the client and renews, for jwt_file")
	f.StringVar(&p.CAFile, "ca-file", "", "PEM file with certificates to trust beside the system's")
}

// takeLists takes scopes as they were typed, and each word of a list once.
func (p *profileConfig) takeLists(scopes []string) {
	for _, s := range scopes {
		p.Scopes = append(p.Scopes, strings.Fields(s)...)
	}
	for _, list := range []*[]string{&p.Scopes, &p.Audience, &p.Hosts} {
		var once []string
		for _, word := range *list {
			if !slices.Contains(once, word) {
				once = append(once, word)
			}
		}
		*list = once
	}
}

func (a *app) profileAdd() *cobra.Command {
	var (
		p          profileConfig
		scope      []string
		secretFile string
		unproven   bool
	)
	cmd := &cobra.Command{
		Use: "add NAME --issuer URL --client-id ID", Short: "Discover an issuer, check it, and save a profile", Args: oneArg,
		Long: `Save a client at an issuer under a name. The issuer's discovery document is fetched and
checked first, and the profile gets the issuer's exact name. The client's secret goes to
the store. It comes from --client-secret-file, or from a hidden prompt on a terminal, and
never from a flag.

The client proves itself to the issuer. A client that the issuer refuses is not saved,
unless with --unproven.

A client with a key or a certificate in place of a secret names their files, which are read
each time. With --client-secret-file the key goes to the store instead.

The profile gets a file of its own in profiles.d. A profile that exists is not replaced:
t2-cred profile edit changes it.`,
		Example: `  t2-cred profile add gep --issuer https://iam.terradue.com/auth/realms/master \
      --client-id ellip-test-ades --audience ellip-test-ades \
      --scope "openid email profile offline_access ellip gep"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			p.takeLists(scope)
			return a.addProfile(cmd.Context(), args[0], p, secretFile, unproven)
		},
	}
	profileFlags(cmd, &p, &scope, []string{"openid", "offline_access"})
	cmd.Flags().StringVar(&secretFile, "client-secret-file", "", "file with the client's secret or key, to put into the store; - for standard input")
	cmd.Flags().BoolVar(&unproven, "unproven", false, "save the profile without asking the issuer whether it takes the client")
	_ = cmd.MarkFlagRequired("issuer")
	_ = cmd.MarkFlagRequired("client-id")
	return cmd
}

func (a *app) addProfile(ctx context.Context, name string, p profileConfig, secretFile string, unproven bool) error {
	c, err := a.loadConfig()
	if err != nil {
		return err
	}
	if looksSecret(name) || looksSecret(p.Issuer) {
		return usageError(errors.New("the name or the issuer looks like a secret; a secret is not an argument"))
	}
	if err := errors.Join(p.filledIn(name), p.absolute()); err != nil {
		return usageError(err)
	}
	if err := checkProfile(name, p); err != nil {
		if isProfileName(name) {
			err = fmt.Errorf("profile %s: %w", name, err)
		}
		return usageError(err)
	}
	a.noteCommas(p)
	if old, ok := c.Profiles[name]; ok {
		p.ClientAuth, p.Narrow = p.auth(), old.Narrow // which no flag names
		old.Issuer = p.Issuer                         // as typed; its exact name is not known yet
		if changedLines(old, p) != "" {
			return c.exists(name, p)
		}
	} else if err := c.mayWrite(name, p); err != nil {
		return err
	}
	if p, err = a.discovered(ctx, name, p); err != nil {
		return err
	}
	if _, ok := c.Profiles[name]; ok && changedLines(c.Profiles[name], p) != "" {
		return c.exists(name, p)
	}
	c.Profiles[name] = p // for the label of the secret's item
	s, err := a.openStore(c)
	if err != nil {
		return err
	}
	value, hasSecret, err := a.newSecret(ctx, s, name, p, secretFile)
	// An assertion that the issuer may take once is not used up for a proof.
	if err == nil && hasSecret && !unproven && p.named(name).ClientAuth != oidc.AuthJWTFile {
		err = a.prove(ctx, s, p.named(name), value, hint.Say("nothing was saved; type it again with the right --client-id and secret, or with --unproven"))
	}
	if err != nil {
		return fmt.Errorf("profile %s: %w", name, err)
	}
	err = a.keepProfile(ctx, s, name, value, func(c *config) error {
		if old, ok := c.Profiles[name]; ok {
			if changedLines(old, p) == "" {
				return nil // the same again
			}
			return c.exists(name, p)
		}
		return c.saveProfile(name, p)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(a.Stderr, "saved profile %s: client %s at %s\n", name, clean(p.ClientID), clean(p.Issuer))
	next := hint.Do(hint.Run("exchange").For(name, "").With("--token-file", "FILE"))
	if !hasSecret {
		next = hint.Do(hint.Words("the client's secret is yet to come: "), hint.Run("profile", "set-secret", name))
	}
	fmt.Fprintf(a.Stderr, "hint: %s\n", next.Text(a.given))
	return nil
}

// exists is the error of profile add for a profile that is there and differs.
func (c *config) exists(name string, p profileConfig) error {
	if _, ok := c.byHand.Profiles[name]; ok {
		return c.writtenByHand("profile "+name, profileTable(name, p), "profiles", name)
	}
	return configErrorf(hint.Do(hint.Words("change it with: "), hint.Run("profile", "edit", name)),
		"profile %s exists already, in %s", name, c.from[name])
}

// discovered is the profile with what its issuer says of itself.
func (a *app) discovered(ctx context.Context, name string, p profileConfig) (profileConfig, error) {
	issuer, notes, err := oidc.Find(ctx, p.Issuer, a.issuerOptions(p.named(name)))
	for _, n := range notes {
		fmt.Fprintf(a.Stderr, "note: %s\n", clean(n))
	}
	if err != nil {
		return p, fmt.Errorf("profile %s: %w", name, err)
	}
	meta, err := issuer.Metadata(ctx)
	if err != nil {
		return p, err
	}
	if err := offered(p, meta); err != nil {
		return p, fmt.Errorf("profile %s: %w", name, err)
	}
	p.Issuer, p.ClientAuth = issuer.ID(), p.auth()
	return p, nil
}

func (a *app) profileEdit() *cobra.Command {
	var (
		p        profileConfig
		scope    []string
		unproven bool
	)
	cmd := &cobra.Command{
		Use: "edit NAME [--host H]… [--scope \"a b\"] [--audience A]…", Short: "Change a profile; keep what is not named", Args: oneArg,
		Long: `Change what the flags name, keep the rest of the profile, and show the difference.
A flag that may be repeated replaces the whole list; an empty value empties it. The
accounts of the profile stay. Comments in the profile's file are lost. What no flag names,
such as [[narrow]], required_scopes and authorize_params, is written into that file by hand
and kept: t2-cred config path says where it is.

If the issuer, the client's id or how the client proves itself changes, the client proves
itself first. A change that the issuer refuses is not made, unless with --unproven.`,
		Example: `  t2-cred profile edit gep --host api.example.org --host git.example.org
  t2-cred profile edit gep --scope "openid offline_access"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			p.takeLists(scope)
			return a.editProfile(cmd, args[0], p, unproven)
		},
	}
	profileFlags(cmd, &p, &scope, nil)
	cmd.Flags().BoolVar(&unproven, "unproven", false, "make the change without asking the issuer whether it takes the client")
	return cmd
}

func (a *app) editProfile(cmd *cobra.Command, name string, typed profileConfig, unproven bool) error {
	c, err := a.loadConfig()
	if err != nil {
		return err
	}
	if _, err := c.profileArgument(name); err != nil {
		return err
	}
	if err := errors.Join(typed.filledIn(name), typed.absolute()); err != nil {
		return usageError(err)
	}
	old := c.Profiles[name]
	p, named := old.with(typed, cmd.Flags().Changed)
	if !named {
		return usageError(errors.New("nothing to change: name at least one flag, such as --host"))
	}
	if err := checkProfile(name, p); err != nil {
		return usageError(fmt.Errorf("profile %s: %w", name, err))
	}
	a.noteCommas(typed)
	if cmd.Flags().Changed("issuer") || cmd.Flags().Changed("discovery-url") {
		if p, err = a.discovered(cmd.Context(), name, p); err != nil {
			return err
		}
	}
	changes := changedLines(old, p)
	if changes == "" {
		fmt.Fprintf(a.Stderr, "profile %s is unchanged\n", name)
		return nil
	}
	if !unproven {
		if err := a.proveEdited(cmd.Context(), c, name, old, p); err != nil {
			return err
		}
	}
	err = a.changeConfig(cmd.Context(), func(c *config) error {
		if changedLines(c.Profiles[name], old) != "" {
			return configErrorf(hint.Do(hint.Words("look at it, and type the change again: "), hint.Run("profile", "show", name)), "profile %s was changed by another command meanwhile", name)
		}
		return c.saveProfile(name, p)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(a.Stderr, "changed profile %s:\n%s", name, changes)
	return nil
}

// noteCommas says that a comma is a part of a scope (RFC 6749 §3.3) or an audience, as other
// tools take it for the end of one.
func (a *app) noteCommas(p profileConfig) {
	for _, s := range p.Scopes {
		if strings.Contains(s, ",") {
			fmt.Fprintf(a.Stderr, "note: %s is one scope; spaces separate scopes, and commas do not\n", shownWord(s))
		}
	}
	for _, s := range p.Audience {
		if strings.Contains(s, ",") {
			fmt.Fprintf(a.Stderr, "note: %s is one audience; each audience has its own --audience\n", shownWord(s))
		}
	}
}

// with is the profile with what flags name in the place of what it had.
func (p profileConfig) with(typed profileConfig, changed func(flag string) bool) (out profileConfig, named bool) {
	take := func(flag string, to *string, value string) {
		if changed(flag) {
			*to, named = value, true
		}
	}
	takeList := func(flag string, to *[]string, value []string) {
		if changed(flag) {
			*to, named = nil, true
			for _, v := range value {
				if v != "" {
					*to = append(*to, v)
				}
			}
		}
	}
	take("issuer", &p.Issuer, typed.Issuer)
	take("discovery-url", &p.DiscoveryURL, typed.DiscoveryURL)
	take("client-id", &p.ClientID, typed.ClientID)
	take("client-auth", &p.ClientAuth, typed.ClientAuth)
	take("client-key-file", &p.KeyFile, typed.KeyFile)
	take("client-cert-file", &p.CertFile, typed.CertFile)
	take("client-assertion-file", &p.AssertionFile, typed.AssertionFile)
	take("ca-file", &p.CAFile, typed.CAFile)
	takeList("scope", &p.Scopes, typed.Scopes)
	takeList("audience", &p.Audience, typed.Audience)
	takeList("host", &p.Hosts, typed.Hosts)
	return p, named
}

func (a *app) profileUse() *cobra.Command {
	return &cobra.Command{
		Use: "use NAME", Short: "Make a profile the default one", Args: oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			err := a.changeConfig(cmd.Context(), func(c *config) error {
				if _, err := c.profileArgument(args[0]); err != nil {
					return err
				}
				return c.useProfile(args[0])
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(a.Stderr, "the default profile is %s\n", args[0])
			return nil
		},
	}
}
