package cli

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper"
)

// A setup is the change to a tool's configuration for one profile.
type setup struct {
	why   string
	edits []*edit  // none where we only show
	links []string // by these names the tool calls us; paths of symlinks to t2-cred
	// used is whether a file, when the change was taken back, still wants the
	// links: of docker's names another profile may have some.
	used func(text string) bool
	show string // what is left for a person to do
}

// An edit is a change of one file that it can also take back, to the byte.
type edit struct {
	file  string
	lines []string // what is added, for people
	// whole is that the lines of the file are not told apart: others of them than
	// ours, which may hold secrets, would change too.
	whole bool
	put   func(text string, exists bool) (string, error)
	cut   func(text string) (rest string, keep bool, err error)
}

func (a *app) setupCommand() *cobra.Command {
	var (
		o           setupOptions
		write, undo bool
	)
	names := slices.Sorted(maps.Keys(setups()))
	cmd := &cobra.Command{
		Use: "setup HOOK", Short: "Tell a tool to ask t2-cred: show the change, make it, take it back",
		Args: cobra.ExactArgs(1), ValidArgs: names,
		Long: `Show what to change in a tool's configuration so that it asks t2-cred for the hosts of
a profile, and why. HOOK is one of ` + strings.Join(names, ", ") + `.

Nothing is changed without --write. That keeps all else in the file as it was; what is
added is between two comments, or the tool's own words for t2-cred where comments would
not last. --undo takes exactly that back. A file that cannot be read as what it should
be, that says otherwise about the same thing, or whose lines of ours somebody has
changed since, is left alone.`,
		Example: "  t2-cred setup git\n  t2-cred setup git --write\n  t2-cred setup git --undo",
		RunE: func(_ *cobra.Command, args []string) error {
			plan, ok := setups()[args[0]]
			switch {
			case !ok:
				return usageError(fmt.Errorf("setup does not know %q; it knows %s", clean(args[0]), strings.Join(names, ", ")))
			case write && undo:
				return usageError(errors.New("--write and --undo exclude each other"))
			}
			o.undo = undo
			p, err := a.setupProfile(&o)
			if err != nil {
				return err
			}
			s, err := plan(a, p, o)
			if err != nil {
				return err
			}
			if len(s.edits) == 0 && (write || undo) {
				return usageError(fmt.Errorf("setup %s only shows what to do: t2-cred cannot safely change that by itself", args[0]))
			}
			if !write && !undo {
				return a.showSetup(args[0], s, o)
			}
			return a.makeSetup(args[0], s, o)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&write, "write", false, "make the change")
	f.BoolVar(&undo, "undo", false, "take the change back")
	f.StringVar(&o.binDir, "bin-dir", "", "directory on PATH for the names by which tools call t2-cred (default: where it is itself)")
	f.StringVar(&o.endpoint, "endpoint", "", "aws: address of the STS (default: the profile's host, if it is one)")
	f.StringVar(&o.roleARN, "role-arn", "", "aws: the role, where the STS wants one")
	f.StringVar(&o.headerFile, "header-file", "", "gdal: the file that t2-cred write keeps fresh (default: below $XDG_RUNTIME_DIR)")
	return cmd
}

// setupOptions are what a plan depends on beside the profile.
type setupOptions struct {
	program, binDir               string
	endpoint, roleARN, headerFile string
	undo                          bool
}

// setupProfile settles the profile and the program, which go into files of others.
func (a *app) setupProfile(o *setupOptions) (setupProfile, error) {
	c, err := a.loadConfig()
	if err != nil {
		return setupProfile{}, err
	}
	p, err := c.profile(a.flags.profile)
	if err != nil && o.undo && a.flags.profile != "" {
		p, err = helper.Profile{Name: a.flags.profile}, nil // what a profile left behind goes by its name
	}
	if err != nil {
		return setupProfile{}, err
	}
	if o.program, err = os.Executable(); err != nil {
		return setupProfile{}, err
	}
	if o.program, err = filepath.Abs(o.program); err != nil {
		return setupProfile{}, err
	}
	if o.binDir == "" {
		o.binDir = filepath.Dir(o.program)
	}
	if o.binDir, err = filepath.Abs(o.binDir); err != nil {
		return setupProfile{}, err
	}
	o.program = filepath.ToSlash(o.program)
	if !onlyOf(o.program, "/._-+:~@") {
		// Each tool splits and unquotes this in a way of its own.
		return setupProfile{}, &configError{
			detail: fmt.Sprintf("t2-cred is at %q, and not every tool could be told a path with such characters", o.program),
			remedy: "put it where the path is of letters, digits and /._-+ alone, and run it from there",
		}
	}
	s := setupProfile{name: p.Name, flags: []string{"--profile", p.Name}, serves: p.Serves}
	if account := a.flags.account; account != "default" {
		if !onlyOf(account, "._-+@") {
			return s, usageError(fmt.Errorf("not every tool could be told an account named %q", clean(account)))
		}
		s.flags = append(s.flags, "--account", account)
	}
	for _, host := range p.Hosts {
		switch host = strings.ToLower(host); {
		case strings.HasPrefix(host, "*."):
		case !onlyOf(host, ".-:[]"):
			return s, &configError{detail: fmt.Sprintf("profile %s: %q is not a host", p.Name, clean(host)), remedy: "mend hosts in " + c.path}
		case !slices.Contains(s.hosts, host):
			s.hosts = append(s.hosts, host)
		}
	}
	return s, nil
}

// onlyOf is whether text is of letters, digits and these characters alone.
func onlyOf(text, others string) bool {
	for n := 0; n < len(text); n++ {
		c := text[n]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return text != ""
}
