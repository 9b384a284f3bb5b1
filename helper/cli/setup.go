package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/hook"
	"github.com/terradue/t2-cred/helper/setup"
)

func (a *app) setupCommand() *cobra.Command {
	var (
		o           setup.Options
		binDir      string
		write, undo bool
	)
	names := setup.Names()
	cmd := &cobra.Command{
		Use: "setup HOOK", Short: "Tell a tool to ask t2-cred: show the change, make it, take it back",
		Args: oneArg, ValidArgs: names,
		Long: `Show what to change in a tool's configuration so that it asks t2-cred for the hosts of
a profile, and why. HOOK is one of ` + strings.Join(names, ", ") + `.

Nothing is changed without --write. It adds lines between two comments, or lines that
name t2-cred where a tool would drop comments. All else in the file stays as it was.
--undo takes out exactly those lines. These files are left unchanged: a file that the
tool itself cannot read, a file with conflicting settings, a file of another user, and a
file whose t2-cred lines somebody edited.`,
		Example: "  t2-cred setup git\n  t2-cred setup git --write\n  t2-cred setup git --undo",
		RunE: func(cmd *cobra.Command, args []string) error {
			tool, ok := setup.Find(args[0])
			switch {
			case !ok && slices.ContainsFunc(hook.Protocols, func(p *hook.Protocol) bool { return p.Name == args[0] }):
				return &hint.Error{Kind: errUsage, Detail: "setup changes no file for " + args[0] + ": its lines are written by hand", Remedy: hint.Do(hint.Run("help", args[0]))}
			case !ok:
				return usageError(fmt.Errorf("setup does not know %q%s; it knows %s", shownWord(args[0]), didYouMean(args[0], setup.Known()), strings.Join(names, ", ")))
			case write && undo:
				return usageError(errors.New("--write and --undo exclude each other"))
			}
			o.Undo = undo
			if o.HeaderFile != "" {
				full, err := filepath.Abs(o.HeaderFile)
				if err != nil {
					return err
				}
				o.HeaderFile = full
			}
			return a.runSetup(tool, binDir, o, write, typedFlags(cmd))
		},
	}
	f := cmd.Flags()
	f.BoolVar(&write, "write", false, "make the change")
	f.BoolVar(&undo, "undo", false, "take the change back")
	f.StringVar(&binDir, "bin-dir", "", "directory on PATH for the names by which tools call t2-cred (default: where it is itself)")
	f.StringVar(&o.Endpoint, "endpoint", "", "aws: address of the STS (default: the profile's host, if it is one)")
	f.StringVar(&o.RoleARN, "role-arn", "", "aws: the role, where the STS wants one")
	f.StringVar(&o.Server, "url", "", "kubernetes: address of the cluster (default: that of the contexts that use the user)")
	f.StringArrayVar(&o.Registries, "registry", nil, "cargo: a registry that a project's own file describes")
	f.BoolVar(&o.NPMRC, "npmrc", false, "pnpm: write into ~/.npmrc, as pnpm 11.0 to 11.12 want it")
	f.StringVar(&o.HeaderFile, "header-file", "", "gdal: the file that t2-cred write keeps fresh (default: below $XDG_RUNTIME_DIR)")
	return cmd
}

// typedFlags are the flags that were typed, less those of the next step and those that say
// how it is reported.
func typedFlags(cmd *cobra.Command) (words []string) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		switch f.Name {
		case "write", "undo", "json", "verbose", "timeout", "no-color":
			return
		}
		switch v := f.Value.(type) {
		case pflag.SliceValue:
			for _, one := range v.GetSlice() {
				words = append(words, "--"+f.Name, one)
			}
		default:
			words = append(words, "--"+f.Name)
			if f.Value.Type() != "bool" {
				words = append(words, v.String())
			}
		}
	})
	return words
}

func (a *app) runSetup(tool setup.Tool, binDir string, o setup.Options, write bool, typed []string) error {
	p, err := a.setupProfile(o.Undo)
	if err != nil {
		return err
	}
	env, err := a.setupEnv(binDir)
	if err != nil {
		return err
	}
	env.Typed = typed
	plan, err := tool.Plan(env, p, o)
	if err != nil {
		return err
	}
	var r setup.Report
	switch {
	case !plan.Changes() && (write || o.Undo):
		return usageError(fmt.Errorf("setup %s only shows what to do: t2-cred cannot safely change that by itself", tool.Name))
	case write:
		r, err = tool.Write(env, plan)
	case o.Undo:
		r, err = tool.Undo(env, plan)
	default:
		_, err := a.Stdout.Write([]byte(tool.Show(env, plan)))
		return err
	}
	for _, line := range r.Done {
		fmt.Fprintln(a.Stderr, line)
	}
	for _, warning := range r.Warnings {
		a.warn(warning)
	}
	fmt.Fprint(a.Stderr, r.Next)
	return err
}

// setupEnv settles what goes into the files of tools.
func (a *app) setupEnv(binDir string) (setup.Env, error) {
	program, err := os.Executable()
	if err == nil {
		program, err = filepath.Abs(program)
	}
	if err != nil {
		return setup.Env{}, err
	}
	if binDir == "" {
		binDir = filepath.Dir(program)
	}
	if binDir, err = filepath.Abs(binDir); err != nil {
		return setup.Env{}, err
	}
	program = filepath.ToSlash(program)
	if !setup.Plain(program, "/._-+:~@") {
		// Each tool splits and unquotes this in a way of its own.
		return setup.Env{}, configErrorf(
			hint.Say("put it where the path is of letters, digits and /._-+ alone, and run it from there"),
			"t2-cred is at %q, and not every tool could be told a path with such characters", program)
	}
	return setup.Env{Getenv: a.Getenv, GOOS: runtime.GOOS, Program: program, BinDir: binDir}, nil
}

// setupProfile is what tools are told of the profile.
func (a *app) setupProfile(undo bool) (setup.Profile, error) {
	c, err := a.loadConfig()
	if err != nil {
		return setup.Profile{}, err
	}
	p, err := c.profile(a.flags.profile)
	if err != nil && undo && a.flags.profile != "" {
		p, err = helper.Profile{Name: a.flags.profile}, nil // what a deleted profile left goes by its name
	}
	if err != nil {
		return setup.Profile{}, err
	}
	s := setup.Profile{Name: p.Name, Flags: []string{"--profile", p.Name}, Serves: p.Serves}
	if account := a.flags.account; account != "default" {
		if !setup.Plain(account, "._-+@") {
			return s, usageError(fmt.Errorf("not every tool could be told an account named %q", clean(account)))
		}
		s.Flags = append(s.Flags, "--account", account)
	}
	for _, host := range p.Hosts {
		switch host = strings.ToLower(host); {
		case strings.HasPrefix(host, "*."):
			s.Others = append(s.Others, host)
		case !setup.Plain(host, ".-:[]"):
			return s, configErrorf(hint.Do(hint.Run("profile", "show", p.Name)), "profile %s: %q is not a host", p.Name, clean(host))
		case !slices.Contains(s.Hosts, host):
			s.Hosts = append(s.Hosts, host)
		}
	}
	return s, nil
}
