package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/hook"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/helper/setup"
)

// hookTimeout is the --timeout of hooks, unless one is given. A tool waits for its helper,
// and so does its user; some tools end it after 10 s themselves.
const hookTimeout = "10s"

// hookCommand is a protocol as a command.
func (a *app) hookCommand(p *hook.Protocol) *cobra.Command {
	cmd := &cobra.Command{
		Annotations: map[string]string{ownTimeout: hookTimeout},
		Use:         strings.TrimSpace(p.Name + " " + p.Args), Short: p.Short, Long: p.Long, DisableFlagParsing: p.RawArgs,
		Args: func(cmd *cobra.Command, args []string) error {
			if !p.RawArgs {
				return nil
			}
			// cobra parses none of their flags, so neither those before the name.
			if err := cmd.Root().PersistentFlags().Parse(args[:a.beforeName(p, args)]); err != nil {
				return usageError(err)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if p.RawArgs {
				args = args[a.beforeName(p, args):]
			}
			if p.RawArgs && len(args) == 1 && (args[0] == "--help" || args[0] == "-h") {
				return cmd.Help() // cobra parses no flags for it
			}
			call := &hook.Call{
				Args: args, Option: map[string]string{}, Stdin: a.hookInput(), Stdout: a.Stdout, Stderr: a.Stderr,
				Getenv: a.Getenv, Now: a.Now, Getter: &getter{app: a}, Deriver: &getter{app: a},
				Hide:    a.hideTyped,
				Explain: func(why string) { a.log.Info("no credential", "why", why) },
				Hosts:   a.exactHosts, Version: version(), Timeout: a.flags.timeout,
				UntilStopped: func(do func(context.Context) error) error { return untilStopped(a.deadline.Context, do) },
			}
			for _, o := range p.Options {
				call.Option[o.Name] = cmd.Flags().Lookup(o.Name).Value.String()
			}
			if p.Quiet {
				defer a.silence()()
				call.Stderr = a.Stderr
			}
			a.logUnread(cmd)
			err := p.Serve(cmd.Context(), call)
			var next *hook.Next
			if errors.As(err, &next) {
				a.deadline.stop()
				return a.become(next.Path, next.Argv, withVariable(os.Environ(), next.Variable, next.Value))
			}
			var exit hook.Exit
			if errors.As(err, &exit) {
				return childExit(exit)
			}
			if errors.Is(err, hook.ErrUsage) {
				return misused{calledByTools(cmd, p, err)}
			}
			return err
		},
	}
	for _, o := range p.Options {
		if o.Switch {
			cmd.Flags().Bool(o.Name, false, o.Usage)
		} else {
			cmd.Flags().String(o.Name, o.Default, o.Usage)
		}
	}
	return cmd
}

// beforeName is how many of the arguments, less the protocol's name, came before it.
func (a *app) beforeName(p *hook.Protocol, args []string) int {
	if len(a.Args) != len(args)+1 {
		return 0
	}
	for n, arg := range a.Args {
		if arg == p.Name && slices.Equal(a.Args[:n], args[:n]) && slices.Equal(a.Args[n+1:], args[n:]) {
			return n
		}
	}
	return 0
}

// silence drops what is written to standard error, until undone.
func (a *app) silence() (undo func()) {
	stderr, log := a.Stderr, a.log
	a.Stderr, a.log = io.Discard, slog.New(slog.DiscardHandler)
	return func() { a.Stderr, a.log = stderr, log }
}

// misused is the error of a hook that was called in a way its protocol does not
// know: of usage, with the hook's own hint where it has one.
type misused struct{ error }

func (m misused) Unwrap() []error { return []error{m.error, usageError(m.error)} }

// calledByTools adds to a hook's error of usage its usage line, and how a tool is told to
// call it, as a person who typed it wants to know.
func calledByTools(cmd *cobra.Command, p *hook.Protocol, err error) error {
	if hint.Of(err) != nil {
		return err
	}
	remedy := hint.Do(hint.Words(usageLine(cmd)+"; tools call this; how: "), hint.Run("help", p.Name))
	for _, tool := range setup.Tools() {
		if tool.Hook == p.Name {
			remedy = hint.Do(hint.Words(usageLine(cmd)+"; tools call this; to tell "+tool.Name+" to: "), hint.Run("setup", tool.Name))
		}
	}
	return &hint.Error{Kind: hook.ErrUsage, Detail: err.Error(), Remedy: remedy}
}

// calledAs puts the name of a hook before the arguments if the program is called by a
// tool: by a name of the tool's (git-credential-t2), which is a link to t2-cred, or with
// the tool's own flag (--cargo-plugin).
func calledAs(argv0 string, args []string) ([]string, error) {
	name, err := hook.Called(argv0)
	if err != nil {
		return nil, misused{err}
	}
	for _, p := range hook.Protocols {
		if p.Flag != "" && len(args) == 1 && args[0] == p.Flag {
			name = p.Name
		}
	}
	if name != "" {
		args = append([]string{name}, args...)
	}
	return args, nil
}

// refuseHookInput is an error if a request of a hook lies on standard input. The tool's
// configuration then lacks the name of the hook: git runs "t2-cred get" for the helper
// "t2-cred", and would take a bare token for its answer. It runs "t2-cred erase" too,
// after a 401, which must not end the grant. Nothing is read and nothing is waited for.
func (a *app) refuseHookInput(command string) error {
	f, ok := a.Stdin.(*os.File)
	if !ok {
		return nil
	}
	name := hook.Recognize(peek(f))
	if name == "" {
		return nil
	}
	return misused{&hint.Error{
		Kind: hook.ErrUsage, Detail: fmt.Sprintf("%s: a request in %s's protocol is on standard input", command, name),
		Remedy: hint.Say(fmt.Sprintf("in the tool's configuration, write t2-cred %s as the command", name)),
	}}
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
		return helper.Credential{}, g.explained(err)
	}
	return h.Get(ctx, r)
}

// Serves implements hook.Getter.
func (g *getter) Serves(_ context.Context, r helper.Request) error {
	c, err := g.app.loadConfig()
	if err == nil {
		_, err = g.choose(c, r)
	}
	return g.explained(err)
}

// explained logs why a hook has nothing for a request: most protocols have no words for it.
func (g *getter) explained(err error) error {
	if errors.Is(err, helper.ErrNotMine) {
		g.app.log.Info("no credential", "why", err.Error(), "hint", g.app.hintFor(err))
	}
	return err
}

// Reject implements hook.Getter.
func (g *getter) Reject(ctx context.Context, r helper.Request, token string) error {
	h, r, err := g.resolve(r)
	if err != nil {
		return g.explained(err)
	}
	return h.Reject(ctx, r, secret.Secret(token))
}

// Derive implements hook.Deriver.
func (g *getter) Derive(ctx context.Context, r helper.Request, d helper.Derivation) (helper.Derived, error) {
	h, r, err := g.resolve(r)
	if err != nil {
		return helper.Derived{}, g.explained(err)
	}
	return h.Derive(ctx, r, d)
}

// resolve chooses the profile: the one that was named, if it serves the
// request's URL; else the first, by name, that does. What the tool's own
// configuration names, in the request, comes before flags and environment.
func (g *getter) resolve(r helper.Request) (*helper.Helper, helper.Request, error) {
	c, err := g.app.loadConfig()
	if err != nil {
		return nil, r, err
	}
	if r.Profile, err = g.choose(c, r); err != nil {
		return nil, r, err
	}
	r.Account = or(r.Account, g.app.flags.account)
	s, err := g.app.openStore(c)
	if err != nil {
		return nil, r, err
	}
	return g.app.newHelper(s), r, nil
}

func (g *getter) choose(c *config, r helper.Request) (helper.Profile, error) {
	named := or(r.Profile.Name, g.app.flags.profile)
	if r.URL == nil {
		return wholeFor(c.profile(named))
	}
	names := slices.Sorted(maps.Keys(c.Profiles))
	if named != "" {
		if _, err := c.profile(named); err != nil {
			return helper.Profile{}, err
		}
		names = []string{named}
	}
	for _, name := range names {
		if p := c.Profiles[name].named(name); p.Serves(r.URL) && (r.Beside == nil || p.SameToken(r.URL, r.Beside)) {
			return p, nil
		}
	}
	return helper.Profile{}, notMine(r.URL)
}

// wholeFor refuses a tool that does not say where the token goes, if that decides which
// token it gets.
func wholeFor(p helper.Profile, err error) (helper.Profile, error) {
	if err != nil || len(p.Narrow) == 0 {
		return p, err
	}
	return p, &hint.Error{
		Kind: helper.ErrNotMine, Detail: fmt.Sprintf("profile %s has narrower tokens for some hosts, and nothing says where this one goes", p.Name),
		Remedy: hint.Say("name the place in the tool's configuration: --url URL"),
	}
}

// exactHosts are the hosts that the profile that was named serves, or all do,
// less the wildcards.
func (a *app) exactHosts() (hosts []string, err error) {
	c, err := a.loadConfig()
	if err != nil {
		return nil, err
	}
	for _, p := range c.Profiles {
		hosts = append(hosts, p.Hosts...)
	}
	if a.flags.profile != "" {
		p, err := c.profile(a.flags.profile)
		if err != nil {
			return nil, err
		}
		hosts = slices.Clone(p.Hosts)
	}
	hosts = slices.DeleteFunc(hosts, func(host string) bool { return strings.HasPrefix(host, "*.") })
	slices.Sort(hosts)
	return slices.Compact(hosts), nil
}

func notMine(u *url.URL) error {
	p := &hint.Error{
		Kind: helper.ErrNotMine, Detail: fmt.Sprintf("%v: %s", helper.ErrNotMine, clean(u.Host)),
		Remedy: hint.Do(hint.Words("if it may have the token, add it to the hosts of a profile: "), hint.Run("profile", "list")),
	}
	if u.Scheme != "https" && !oidc.Loopback(u.Hostname()) {
		p.Detail = fmt.Sprintf("no profile is for plain http: %s", clean(u.Scheme+"://"+u.Host))
		p.Remedy = hint.Say("a token goes to https alone, and to http on loopback")
	}
	return p
}
