// Package cli is the command line: argv in, bytes and an exit code out. One file
// a command; config.go reads and writes the configuration; exit.go alone turns
// an error into an exit code.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/hook"
	"github.com/terradue/t2-cred/store"
)

// Env is what a run of t2-cred has of the world.
type Env struct {
	Name   string   // what the program was called as, argv[0]
	Args   []string // what follows it
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(string) string
	// Environ lists all variables as NAME=value. It may be nil.
	Environ func() []string
	Now     func() time.Time
	// Prompt asks a person for a secret without echo; an error when there is
	// nobody to ask.
	Prompt func(ctx context.Context, label string) (string, error)
	// Ask asks a person for one line, which is shown; nil when there is nobody to ask.
	Ask func(ctx context.Context, label string) (string, error)
	// Attended is whether a person looks at standard error.
	Attended bool
	// Ends says that the process ends once Main returns.
	Ends bool
	// StdoutTerminal is whether standard output is a terminal, and Width gives the number
	// of its columns. Width may be nil.
	StdoutTerminal bool
	Width          func() int
	// StdoutClosed is whether the program was started without a standard output.
	StdoutClosed bool
	// StdinTerminal is whether standard input is a terminal, so that nothing is
	// piped in.
	StdinTerminal bool
	// AnswerTime is how long the answer to a sent refresh token is waited for. Zero is
	// 30 seconds.
	AnswerTime time.Duration
}

// System is the real world.
func System() Env {
	cobra.EnableCommandSorting = false // help has them in the order in which they are used
	return Env{
		Name: os.Args[0], Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Getenv: os.Getenv, Environ: os.Environ, Now: time.Now, Prompt: prompt, Ask: askTerminal,
		Ends: true, Attended: isTerminal(os.Stderr), StdinTerminal: isTerminal(os.Stdin), StdoutClosed: stdoutClosed(),
		StdoutTerminal: isTerminal(os.Stdout), Width: func() int { return widthOf(os.Stdout) },
	}
}

// app is one run: the world, the global flags, and what they lead to.
type app struct {
	Env
	terminal io.Writer // standard error as it is, for what moves the cursor
	flags    globals
	log      *slog.Logger
	given    hint.Globals  // what hints have to repeat of the flags
	deadline *lazyDeadline // set when the flags are known
	soften   func()        // undoes what harden did
	answers  []string      // words that a person has typed at questions whose answers are shown

	warnedUnread bool // warnOfUnread has warned
}

// globals are the flags that every command has, each with an environment twin.
type globals struct {
	profile, account, config, store string
	timeout                         time.Duration
	json, verbose, plain            bool
}

// Main runs one command and returns the exit code. Nothing but it writes errors.
// SIGINT and SIGTERM are handled while something is waited for.
func Main(ctx context.Context, env Env) (code int) {
	a := &app{Env: env, terminal: env.Stderr, log: slog.New(slog.DiscardHandler), soften: harden()}
	a.Stderr = printable{env.Stderr, a.hideTyped}
	log.SetOutput(io.Discard) // net/http logs there what it did not expect, such as the rest of an answer
	out := &stdout{to: env.Stdout}
	a.Stdout = out
	defer func() {
		if r := recover(); r != nil {
			code = a.report(nil, crashed(r))
		}
	}()
	args, err := calledAs(env.Name, env.Args)
	if err != nil {
		return a.report(nil, err)
	}
	a.Args = args
	root := a.root()
	root.SetArgs(a.Args)
	root.SetIn(env.Stdin)
	root.SetOut(a.Stdout)
	root.SetErr(a.Stderr)
	cmd := root
	if err = a.refuseTokens(); err == nil {
		if cmd, err = root.ExecuteContextC(ctx); err != nil {
			err = missingFlags(err)
		}
	}
	if err == nil {
		err = out.err
	}
	if err != nil && errors.Is(err, context.Canceled) {
		err = errInterrupted
	}
	if a.deadline != nil && (err != nil || !a.Ends) { // to undo the signal handler takes a refresh 0.3 ms
		a.deadline.stop()
	}
	return a.report(cmd, a.timeUp(err))
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "t2-cred",
		Short: "Turn a user's access token into an offline one once; print a fresh access token ever after",
		Long: `t2-cred exchanges a user's access token for the application's own offline token
(RFC 8693) and keeps the refresh token in the OS keyring. It prints a fresh access
token whenever a tool asks, long after the user has gone home.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
	}
	root.SetFlagErrorFunc(flagError)
	f := root.PersistentFlags()
	f.StringVarP(&a.flags.profile, "profile", "p", a.Getenv("T2_CRED_PROFILE"), "profile to use (T2_CRED_PROFILE)")
	f.StringVarP(&a.flags.account, "account", "a", or(a.Getenv("T2_CRED_ACCOUNT"), "default"), "account of the profile (T2_CRED_ACCOUNT)")
	f.StringVar(&a.flags.config, "config", a.Getenv("T2_CRED_CONFIG"), "configuration file (T2_CRED_CONFIG)")
	f.StringVar(&a.flags.store, "store", a.Getenv("T2_CRED_STORE"), "where secrets are kept: keyring, file or openbao (T2_CRED_STORE)")
	f.DurationVar(&a.flags.timeout, "timeout", 30*time.Second, "how long the command may take until a refresh token is sent (T2_CRED_TIMEOUT)")
	f.BoolVar(&a.flags.json, "json", truthy(a.Getenv("T2_CRED_JSON")), "speak JSON, errors too (T2_CRED_JSON)")
	f.BoolVarP(&a.flags.verbose, "verbose", "v", truthy(a.Getenv("T2_CRED_VERBOSE")), "say on standard error what is done, never a secret (T2_CRED_VERBOSE)")
	f.BoolVar(&a.flags.plain, "no-color", false, "no colour and no marks on a terminal (NO_COLOR)")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return a.start(cmd) }
	// Not cobra's own --version: its template would link all of text/template, and with
	// it every exported method of the program.
	showVersion := root.Flags().Bool("version", false, "print the version")
	root.RunE = func(cmd *cobra.Command, _ []string) error {
		if *showVersion {
			_, err := a.people().Write([]byte(versionLine()))
			return err
		}
		return cmd.Help()
	}
	a.addCommands(root)
	return root
}

// addCommands adds the command that is asked for alone, where argv tells it
// plainly, since making them all costs a tenth of a cached get; else all.
func (a *app) addCommands(root *cobra.Command) {
	commands := a.commands()
	for _, g := range groups() {
		root.AddGroup(&g)
	}
	root.SetHelpCommandGroupID(groupCare)
	root.SetCompletionCommandGroupID(groupSetup)
	add := func(c command) {
		cmd := c.make()
		cmd.GroupID = c.group
		root.AddCommand(cmd)
	}
	if len(a.Args) > 0 {
		for _, c := range commands {
			if c.name == a.Args[0] {
				add(c)
				root.CompletionOptions.DisableDefaultCmd = true
				return
			}
		}
	}
	for _, c := range commands {
		add(c)
	}
	root.AddCommand(a.topics(root)...)
	explainHelp(root)
	explainCompletion(root)
	if len(a.Args) > 0 && slices.Contains(completionRequests(), a.Args[0]) {
		a.complete(root)
	}
}

// A command is one that can be asked for by name.
type command struct {
	group string
	name  string
	make  func() *cobra.Command
}

// Groups of commands in help.
const (
	groupCredentials = "credentials"
	groupHooks       = "hooks"
	groupSetup       = "setup"
	groupCare        = "care"
)

func groups() []cobra.Group {
	return []cobra.Group{
		{ID: groupCredentials, Title: "Credentials:"}, {ID: groupHooks, Title: "Hooks, which tools call:"},
		{ID: groupSetup, Title: "Set-up:"}, {ID: groupCare, Title: "Care:"},
	}
}

// commands are all there are, in the order of help: how a credential comes, is used
// and goes, the hooks, and what looks after it all.
func (a *app) commands() []command {
	all := []command{
		{groupSetup, "init", a.initCommand}, {groupSetup, "profile", a.profileCommand}, {groupCredentials, "exchange", a.exchangeCommand}, {groupCredentials, "login", a.loginCommand},
		{groupCredentials, "get", a.getCommand}, {groupCredentials, "claims", a.claimsCommand}, {groupCredentials, "status", a.statusCommand},
		{groupCredentials, "list", a.listCommand}, {groupCredentials, "erase", a.eraseCommand}, {groupCredentials, "import", a.importCommand},
		{groupCare, "keepalive", a.keepaliveCommand}, {groupCredentials, "write", a.writeCommand}, {groupCredentials, "exec", a.execCommand},
	}
	for _, p := range hook.Protocols {
		all = append(all, command{groupHooks, p.Name, func() *cobra.Command { return a.hookCommand(p) }})
	}
	return append(all, command{groupSetup, "setup", a.setupCommand}, command{groupCare, "doctor", a.doctorCommand}, command{groupSetup, "config", a.configCommand},
		command{groupSetup, "store", a.storeCommand}, command{groupCare, "version", a.versionCommand})
}

// ownTimeout is the annotation of a command whose --timeout is another when
// nobody gave one.
const ownTimeout = "timeout"

// start settles what the environment says of flags that were not given, and
// sets the deadline that covers everything.
func (a *app) start(cmd *cobra.Command) error {
	given := cmd.Flags().Changed
	if own := cmd.Annotations[ownTimeout]; own != "" && !given("timeout") {
		d, err := time.ParseDuration(own)
		if err != nil {
			return err
		}
		a.flags.timeout = d
	}
	if err := a.readEnvironment(given); err != nil && !showsTexts(cmd) {
		return err
	}
	if a.flags.timeout <= 0 {
		return usageError(errors.New("--timeout must be positive"))
	}
	if err := refuseUnexpanded(cmd); err != nil {
		return err
	}
	if given("config") {
		a.given.Config = a.flags.config
	}
	if given("store") {
		a.given.Store = a.flags.store
	}
	if a.flags.verbose {
		a.log = slog.New(slog.NewTextHandler(a.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	a.warnOfUnread(cmd, false)
	a.deadline = newLazyDeadline(cmd.Context(), a.flags.timeout)
	cmd.SetContext(a.deadline)
	return nil
}

// readEnvironment takes the timeout from the environment, and refuses values that no variable
// can have.
func (a *app) readEnvironment(given func(flag string) bool) error {
	if v := a.Getenv("T2_CRED_TIMEOUT"); v != "" && !given("timeout") {
		d, err := time.ParseDuration(v)
		if err != nil {
			return environmentError(fmt.Errorf("T2_CRED_TIMEOUT: %q is not a duration such as 30s", v))
		}
		if d <= 0 {
			return environmentError(errors.New("T2_CRED_TIMEOUT must be positive"))
		}
		a.flags.timeout = d
	}
	for _, name := range []string{"T2_CRED_JSON", "T2_CRED_VERBOSE"} {
		if v := a.Getenv(name); v != "" && v != "0" && v != "false" && !truthy(v) {
			return environmentError(fmt.Errorf("%s: %q is neither 1 nor 0", name, v))
		}
	}
	if v := a.Getenv("T2_CRED_ACCOUNT"); v != "" && !given("account") {
		if err := (store.Key{Profile: "any", Account: v}).Validate(); err != nil {
			return environmentError(fmt.Errorf("T2_CRED_ACCOUNT: %w", err))
		}
	}
	return a.checkVariablePaths(given)
}

// namesAccount reports whether an account was named, by the flag or by its variable.
func (a *app) namesAccount(cmd *cobra.Command) bool {
	return cmd.Flags().Changed("account") || a.Getenv("T2_CRED_ACCOUNT") != ""
}

// warn says one line that is not an error.
func (a *app) warn(msg string) { fmt.Fprintf(a.Stderr, "t2-cred: warning: %s\n", oneLine(msg)) }

func truthy(v string) bool { return v == "1" || v == "true" }

// or is the first value that is not empty.
func or(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
