package cli

import (
	"maps"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/terradue/t2-cred/store"
)

// complete tells the shells what to offer at a command's flags and arguments:
// words out of the configuration and the notes. No store is opened for it and no
// issuer asked, so that a Tab never brings up a dialog. Only a command line that a
// shell asks about gets it.
func (a *app) complete(root *cobra.Command) {
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	a.completeFlags(root, root.PersistentFlags())
	a.completeBelow(root)
}

func (a *app) completeBelow(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		a.completeFlags(sub, sub.LocalNonPersistentFlags())
		switch sub.CommandPath() {
		case "t2-cred profile show", "t2-cred profile remove", "t2-cred profile set-secret", "t2-cred profile add", "t2-cred profile edit", "t2-cred profile use":
			sub.ValidArgsFunction = onlyFirst(a.profileNames)
		case "t2-cred exec":
			sub.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveDefault)
		}
		a.completeBelow(sub)
	}
}

// completeFlags gives each flag its completion, by the flag's name. A value that
// nobody can know is not taken for a file's name.
func (a *app) completeFlags(cmd *cobra.Command, flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		var offer cobra.CompletionFunc
		switch f.Name {
		case "profile":
			offer = a.profileNames
		case "account":
			offer = a.accountNames
		case "store":
			offer = cobra.FixedCompletions(store.Backends(), cobra.ShellCompDirectiveNoFileComp)
		case "client-auth":
			offer = cobra.FixedCompletions(clientAuths(), cobra.ShellCompDirectiveNoFileComp)
		case "format":
			shapes := slices.Sorted(maps.Keys(formats))
			if cmd.Name() == "aws" {
				shapes = []string{"process", "container"}
			}
			offer = cobra.FixedCompletions(shapes, cobra.ShellCompDirectiveNoFileComp)
		case "config", "token-file", "authorization-file", "client-secret-file", "client-key-file", "client-cert-file", "client-assertion-file", "ca-file", "header-file", "output":
			offer = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
		case "bin-dir":
			offer = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
		default:
			return
		}
		_ = cmd.RegisterFlagCompletionFunc(f.Name, offer) // fails only for a flag that is not there
	})
}

// profileNames are those of the configuration, each with its client and issuer.
func (a *app) profileNames(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	c, err := a.loadConfig()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []cobra.Completion
	for _, name := range slices.Sorted(maps.Keys(c.Profiles)) {
		p := c.Profiles[name]
		names = append(names, cobra.CompletionWithDesc(name, clean(p.ClientID)+" at "+clean(p.Issuer)))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// accountNames are those of the profile that is meant, as the notes know them.
func (a *app) accountNames(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	c, p, err := a.loadProfile()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	s, err := a.openStore(c)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	notes, err := s.LocalNotes()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []cobra.Completion
	for _, n := range notes {
		if n.Key.Profile == p.Name {
			names = append(names, cobra.CompletionWithDesc(n.Key.Account, clean(or(n.Username, n.Subject, "-"))))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// onlyFirst completes a command's first argument, which is its only one.
func onlyFirst(offer cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, start string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return offer(cmd, args, start)
	}
}
