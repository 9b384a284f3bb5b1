package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store"
)

// newSecret takes the secret of a new profile's client from where it is offered, else
// from the store. It reports whether the client has one, which may be elsewhere.
// Nothing is stored yet.
func (a *app) newSecret(ctx context.Context, s *store.Store, name string, p profileConfig, file string) (value secret.Secret, has bool, err error) {
	if p.ClientAuth == oidc.AuthNone {
		return "", true, nil
	}
	if elsewhere := secretElsewhere(p.named(name)); elsewhere != "" {
		if file != "" {
			return "", false, usageError(fmt.Errorf("%s and --client-secret-file: one of them", elsewhere))
		}
		return "", true, a.newHelper(s).CheckClient(ctx, p.named(name))
	}
	value, err = a.clientSecret(ctx, p.ClientAuth, file)
	if err != nil || value != "" {
		return value, err == nil, err
	}
	value, err = s.ClientSecret(ctx, name) // nobody to ask: one that is there already goes on
	if errors.Is(err, store.ErrNotFound) {
		return "", false, nil
	}
	return value, err == nil, err
}

// prove has a profile's client prove itself to its issuer, with a secret or key that is
// not stored yet. A client that is refused is said, with again as the remedy.
func (a *app) prove(ctx context.Context, s *store.Store, p helper.Profile, value secret.Secret, again hint.Remedy) error {
	method, err := a.newHelper(s).ProveClientWith(ctx, p, value)
	if err == nil {
		return nil
	}
	if code, _ := classify(err); code != exitRefused {
		again = hint.Of(err)
	} else if odd := oddClient(p.ClientID, value); odd != "" {
		again = append(hint.Do(hint.Words(odd+"; ")), again...)
	}
	id := clean(p.ClientID)
	if strings.Contains(id, " ") {
		id = fmt.Sprintf("%q", id)
	}
	return &hint.Error{
		Kind: err, Remedy: again,
		Detail: fmt.Sprintf("client %s, by %s: %v", id, or(method, p.ClientAuth, "auto"), err),
	}
}

// oddClient says what is likely wrong with a client that was refused. All of it may be
// right: an issuer can make any secret.
func oddClient(id string, value secret.Secret) string {
	v := value.Reveal() // looked at, not passed on
	name, _, named := strings.Cut(v, "=")
	switch {
	case strings.Contains(id, " "):
		return "the client's id has a space in it"
	case strings.HasPrefix(v, "\ufeff"):
		return "the secret starts with a byte order mark: save the file without one"
	case strings.HasPrefix(v, "{"):
		return "the secret's file has JSON: take the secret alone out of it"
	case strings.Trim(v, "\"'") != v:
		return "the secret has quotes around it: leave them out"
	case named && (strings.Contains(strings.ToLower(name), "secret") || strings.Contains(strings.ToLower(name), "password")):
		return "the secret's file has a name and =: leave them out"
	case looksJWT(v):
		return "the secret's file has a token, and not the client's secret"
	case v != "" && v == id:
		return "the secret is the client's id"
	case strings.TrimSpace(v) != v:
		return "the secret has a space at its beginning or end"
	}
	return ""
}

// proveEdited has the client of an edited profile prove itself, if the edit changes which
// client it is or how it does so. A client without a secret in the store yet has nothing
// to prove with, and the assertion of jwt_file may be good for one use.
func (a *app) proveEdited(ctx context.Context, c *config, name string, old, p profileConfig) error {
	before, now := old.named(name), p.named(name)
	same := before.Issuer == now.Issuer && before.DiscoveryURL == now.DiscoveryURL && before.ClientID == now.ClientID &&
		before.ClientAuth == now.ClientAuth && before.KeyFile == now.KeyFile && before.CertFile == now.CertFile && before.CAFile == now.CAFile
	if same || now.ClientAuth == oidc.AuthJWTFile {
		return nil
	}
	s, err := a.openStore(c)
	if err != nil {
		return err
	}
	var value secret.Secret
	if now.ClientAuth != oidc.AuthNone && secretElsewhere(now) == "" {
		value, err = s.ClientSecret(ctx, name)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	again := hint.Do(hint.Words("nothing was changed; to change it first and give the client's secret or key then, add --unproven, and: "), hint.Run("profile", "set-secret", name))
	if err := a.prove(ctx, s, now, value, again); err != nil {
		return fmt.Errorf("profile %s: %w", name, err)
	}
	return nil
}

// keepProfile stores the client's secret, if there is one to store, and then lets save
// write the profile. When that fails, a secret that is new is deleted again.
func (a *app) keepProfile(ctx context.Context, s *store.Store, name string, value secret.Secret, save func(*config) error) error {
	if value == "" {
		return a.changeConfig(ctx, save)
	}
	_, before := s.ClientSecret(ctx, name)
	err := s.SetClientSecret(ctx, name, value)
	if err == nil {
		err = a.changeConfig(ctx, save)
	}
	if err == nil || !errors.Is(before, store.ErrNotFound) {
		return err
	}
	if c, readErr := a.readConfig(); readErr == nil {
		if _, ok := c.Profiles[name]; ok {
			return err // another command has saved it
		}
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(err, s.DeleteClientSecret(late, name))
}

func (a *app) profileSetSecret() *cobra.Command {
	var (
		file     string
		unproven bool
	)
	cmd := &cobra.Command{
		Use: "set-secret NAME [--client-secret-file FILE]", Short: "Set or replace a client's secret or key; the grants stay", Args: oneArg,
		Long: `Put the client's secret into the store: from --client-secret-file, or a hidden prompt
on a terminal. For client_auth private_key_jwt and tls it is the client's private key.
The client proves itself to its issuer with the new secret first. A secret that the issuer
refuses is not kept, unless with --unproven. The grants stay.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, s, err := a.openConfig()
			if err != nil {
				return err
			}
			p, err := c.profileArgument(args[0])
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
			if !unproven {
				again := hint.Do(hint.Words("nothing was changed; give the right one: "), hint.Run("profile", "set-secret", p.Name))
				if err := a.prove(cmd.Context(), s, p, value, again); err != nil {
					return fmt.Errorf("profile %s: %w", p.Name, err)
				}
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
	cmd.Flags().BoolVar(&unproven, "unproven", false, "keep the secret without asking the issuer")
	return cmd
}
