package cli

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hook"
	"github.com/terradue/t2-cred/helper/secret"
)

// hookCommand is a protocol as a command.
func (a *app) hookCommand(p hook.Protocol) *cobra.Command {
	options := map[string]*string{}
	cmd := &cobra.Command{
		Use: p.Name, Short: p.Short, Long: p.Long, DisableFlagParsing: p.RawArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			call := &hook.Call{
				Args: args, Option: map[string]string{}, Stdin: a.Stdin, Stdout: a.Stdout, Stderr: a.Stderr,
				Getenv: a.Getenv, Now: a.Now, Getter: &getter{app: a},
			}
			for name, value := range options {
				call.Option[name] = *value
			}
			return p.Serve(cmd.Context(), call)
		},
	}
	for _, o := range p.Options {
		options[o.Name] = cmd.Flags().String(o.Name, o.Default, o.Usage)
	}
	return cmd
}

// calledAs turns the name of the program into a command: tools call some helpers
// by a name of their own (git-credential-t2), which is then a link to us.
func calledAs(argv0 string, args []string) []string {
	name := strings.TrimSuffix(filepath.Base(argv0), ".exe")
	for _, p := range hook.Protocols {
		if p.Alias != "" && p.Alias == name {
			return append([]string{p.Name}, args...)
		}
	}
	return args
}

// getter finds the profile that a hook's request is for. It is all that a hook
// can reach.
type getter struct {
	app *app
}

// Get implements hook.Getter.
func (g *getter) Get(ctx context.Context, r helper.Request) (helper.Credential, error) {
	h, r, err := g.resolve(r)
	if err != nil {
		return helper.Credential{}, err
	}
	return h.Get(ctx, r)
}

// Reject implements hook.Getter.
func (g *getter) Reject(ctx context.Context, r helper.Request, token string) error {
	h, r, err := g.resolve(r)
	if err != nil {
		return err
	}
	return h.Reject(ctx, r, secret.Secret(token))
}

// resolve chooses the profile: the one that was named, if it serves the
// request's URL; else the first, by name, that does.
func (g *getter) resolve(r helper.Request) (*helper.Helper, helper.Request, error) {
	c, err := g.app.loadConfig()
	if err != nil {
		return nil, r, err
	}
	if r.Profile, err = g.choose(c, r); err != nil {
		return nil, r, err
	}
	r.Account = g.app.flags.account
	s, err := g.app.openStore(c)
	if err != nil {
		return nil, r, err
	}
	return g.app.newHelper(s), r, nil
}

func (g *getter) choose(c *config, r helper.Request) (helper.Profile, error) {
	if r.URL == nil {
		return c.profile(g.app.flags.profile)
	}
	names := slices.Sorted(maps.Keys(c.Profiles))
	if named := g.app.flags.profile; named != "" {
		if _, err := c.profile(named); err != nil {
			return helper.Profile{}, err
		}
		names = []string{named}
	}
	for _, name := range names {
		if p := c.Profiles[name].named(name); p.Serves(r.URL) {
			return p, nil
		}
	}
	return helper.Profile{}, fmt.Errorf("%w: %s", helper.ErrNotMine, clean(r.URL.Host))
}
