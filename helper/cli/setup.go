package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// A setup is the change to a tool's configuration for one profile.
type setup struct {
	why   string
	edit  *edit    // nil where we only show
	links []string // by these names the tool calls us; paths of symlinks to t2-cred
	// used is whether the file, when the change was taken back, still wants the
	// links: of docker's names another profile may have some.
	used func(text string) bool
	show string // what a person is to do, where we cannot
}

// An edit is a change of one file that it can also take back, to the byte.
type edit struct {
	file  string
	lines []string // what is added, for people
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
added is between two comments, or the tool's own words for t2-cred where the format has
no comments. --undo takes exactly that back. A file that cannot be read as what it
should be, or that says otherwise about the same thing, is left alone.`,
		Example: "  t2-cred setup git\n  t2-cred setup git --write\n  t2-cred setup git --undo",
		RunE: func(_ *cobra.Command, args []string) error {
			plan, ok := setups()[args[0]]
			switch {
			case !ok:
				return usageError(fmt.Errorf("setup does not know %q; it knows %s", clean(args[0]), strings.Join(names, ", ")))
			case write && undo:
				return usageError(errors.New("--write and --undo exclude each other"))
			}
			p, err := a.setupProfile(&o)
			if err != nil {
				return err
			}
			o.undo = undo
			s, err := plan(a, p, o)
			if err != nil {
				return err
			}
			if s.edit == nil && (write || undo) {
				return usageError(fmt.Errorf("setup %s only shows what to do: t2-cred cannot safely change that by itself", args[0]))
			}
			if !write && !undo {
				return a.showSetup(args[0], s, o)
			}
			return a.makeSetup(s, o)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&write, "write", false, "make the change")
	f.BoolVar(&undo, "undo", false, "take the change back")
	f.StringVar(&o.binDir, "bin-dir", "", "directory on PATH for the names by which tools call t2-cred (default: where it is itself)")
	f.StringVar(&o.endpoint, "endpoint", "", "aws: address of the STS (default: the profile's host, if it is one)")
	return cmd
}

// setupOptions are what a plan depends on beside the profile.
type setupOptions struct {
	program, binDir, endpoint string
	undo                      bool
}

// setupProfile settles the profile and the program, which go into files of others.
func (a *app) setupProfile(o *setupOptions) (setupProfile, error) {
	c, err := a.loadConfig()
	if err != nil {
		return setupProfile{}, err
	}
	p, err := c.profile(a.flags.profile)
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
	s := setupProfile{name: p.Name, flags: []string{"--profile", p.Name}}
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

// showSetup prints the change. The file's other lines may hold secrets, so only
// ours are shown.
func (a *app) showSetup(name string, s setup, o setupOptions) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", s.why)
	if s.edit != nil {
		_, after, _, err := s.edit.after(false)
		if err != nil {
			return err
		}
		old, err := os.ReadFile(s.edit.file)
		switch {
		case err == nil && string(old) == after:
			fmt.Fprintf(&b, "# %s has this already:\n", s.edit.file)
		case errors.Is(err, fs.ErrNotExist):
			fmt.Fprintf(&b, "--- /dev/null\n+++ %s\n", s.edit.file)
		default:
			fmt.Fprintf(&b, "--- %s\n+++ %s\n", s.edit.file, s.edit.file)
		}
		for _, line := range s.edit.lines {
			fmt.Fprintf(&b, "+%s\n", line)
		}
	}
	for _, l := range s.links {
		fmt.Fprintf(&b, "ln -s %s %s\n", o.program, l)
	}
	b.WriteString(s.show)
	if s.edit != nil {
		fmt.Fprintf(&b, "# t2-cred setup %s --write does it, t2-cred setup %s --undo takes it back.\n", name, name)
	}
	_, err := a.Stdout.Write([]byte(b.String()))
	return err
}

// makeSetup makes the change or takes it back. All is looked at before anything is
// changed; links come before the file that names them, and go after it.
func (a *app) makeSetup(s setup, o setupOptions) error {
	path, text, keep, err := s.edit.after(o.undo)
	if err != nil {
		return err
	}
	for _, l := range s.links {
		if err := checkLink(l, o.program); err != nil && !o.undo {
			return err
		}
	}
	if o.undo {
		if err := s.edit.save(path, text, keep); err != nil {
			return err
		}
		if s.used != nil && s.used(text) {
			s.links = nil
		}
		for _, l := range s.links {
			if target, err := os.Readlink(l); err != nil || filepath.ToSlash(target) != o.program {
				continue // not ours
			}
			if err := os.Remove(l); err != nil {
				return err
			}
		}
		fmt.Fprintf(a.Stderr, "%s is as it was without t2-cred\n", s.edit.file)
		return nil
	}
	for _, l := range s.links {
		if err := makeLink(l, o.program); err != nil {
			return err
		}
	}
	if err := s.edit.save(path, text, keep); err != nil {
		return err
	}
	if s.used != nil && !slices.Contains(filepath.SplitList(a.Getenv("PATH")), o.binDir) {
		a.warn(o.binDir + " is not on PATH, where the tool looks for t2-cred; name one that is: --bin-dir DIR")
	}
	fmt.Fprintf(a.Stderr, "%s tells the tool to ask t2-cred\n", s.edit.file)
	return nil
}

// after is what the file is to be; path is where it really lies, since many keep
// links to such files in their home.
func (e *edit) after(undo bool) (path, text string, keep bool, err error) {
	path = e.file
	if _, err := os.Lstat(path); err == nil {
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return "", "", false, e.refuse(err)
		}
	}
	b, err := os.ReadFile(path)
	exists := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", "", false, e.refuse(err)
	}
	keep = true
	switch {
	case undo && !exists:
		return path, "", false, nil
	case undo:
		text, keep, err = e.cut(string(b))
	default:
		text, err = e.put(string(b), exists)
	}
	if err != nil {
		return "", "", false, e.refuse(err)
	}
	return path, text, keep, nil
}

func (e *edit) refuse(err error) error {
	return &configError{
		detail: fmt.Sprintf("%s: %v; it was left as it is", e.file, err),
		remedy: "mend it, or make the change by hand: docs/hooks shows it for each tool",
	}
}

// save writes the file, with the mode that it had, unless it is already so.
func (e *edit) save(path, text string, keep bool) error {
	old, err := os.ReadFile(path)
	switch {
	case err == nil && !keep:
		return os.Remove(path)
	case !keep || err == nil && string(old) == text:
		return nil
	}
	mode := fs.FileMode(0o600)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return e.refuse(err)
	}
	if err := replaceFile(path, []byte(text)); err != nil {
		return e.refuse(err)
	}
	if mode != 0o600 && runtime.GOOS != "windows" {
		return os.Chmod(path, mode)
	}
	return nil
}

// checkLink refuses when something else has the name.
func checkLink(path, program string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if target, err := os.Readlink(path); err == nil && filepath.ToSlash(target) == program {
		return nil
	}
	return &configError{
		detail: fmt.Sprintf("%s is there already and is not a link to %s; it was left as it is", path, program),
		remedy: "move it away, or name another directory on PATH: --bin-dir DIR",
	}
}

func makeLink(path, program string) error {
	if _, err := os.Lstat(path); err == nil {
		return nil // checked before
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.Symlink(program, path); err != nil {
		return &configError{detail: fmt.Sprintf("link: %v", err), remedy: "name a directory on PATH that you may write to: --bin-dir DIR"}
	}
	return nil
}
