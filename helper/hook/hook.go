// Package hook speaks the credential protocols of other tools, one file a
// protocol, one line in [Protocols], and one row in ways_test.go, by which it meets
// hostile requests.
//
// A hook sees a [Getter], which gives out access tokens, and nothing else: it
// cannot reach a refresh token or a store. It prints nothing on standard output
// but its protocol's answer, never prompts, and has the token in hand before it
// prints at all, since some tools read the output of a helper that failed.
package hook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/terradue/t2-cred/helper"
)

// A Getter gives credentials for the place that a request names. Its error wraps
// [helper.ErrNotMine] when no profile is for the request's URL.
type Getter interface {
	Get(context.Context, helper.Request) (helper.Credential, error)
	// Serves is nil if a profile is for the request's URL. It gets no token.
	Serves(context.Context, helper.Request) error
	// Reject says that a server refused the token that Get gave for that place.
	Reject(ctx context.Context, r helper.Request, token string) error
}

// A Deriver keeps what a hook gets for an access token at another server, as
// [helper.Helper.Derive] does.
type Deriver interface {
	Derive(context.Context, helper.Request, helper.Derivation) (helper.Derived, error)
}

// A Call is one run of a hook.
type Call struct {
	Args   []string          // what the tool added, after the protocol's name
	Option map[string]string // the protocol's own options, by name; all that it declares are there
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(string) string
	Now    func() time.Time
	// Hosts are those that profiles name exactly: the profile asked for, or all.
	Hosts   func() ([]string, error)
	Version string // of t2-cred
	// UntilStopped runs what goes on until it is stopped, beyond the deadline of the
	// command. SIGTERM is a proper end: no error. Timeout is for each of its steps.
	UntilStopped func(do func(context.Context) error) error
	Timeout      time.Duration
	Getter
	Deriver
}

// A Protocol is one tool's way to ask for a credential.
type Protocol struct {
	Name  string // the command: t2-cred NAME
	Alias string // the name of the program by which a tool calls it (argv[0]), or empty
	// PluginDir is the directory, below the user's home, in which alone the tool
	// looks for Alias. Empty is for tools that search PATH.
	PluginDir []string
	// Shared is set where another program has the name Alias, too, and says who
	// asks that one. A release makes no link of such a name.
	Shared  string
	Flag    string   // the one argument with which a tool calls the program itself, without a command, or empty
	Short   string   // one line for help
	Long    string   // how a tool is told to use it
	Options []Option // flags of its own, beside those that every command has
	// RawArgs is for tools that add flags of their own: all that follows the name
	// is then in Args, and ours come before the name or from the environment.
	RawArgs bool
	// Quiet is for tools that take standard error for a part of the answer: what
	// would be said there beside it is not.
	Quiet bool
	// Serve answers one call. It translates the errors that its protocol has words
	// for and returns the rest.
	Serve func(context.Context, *Call) error
}

// ErrUsage is of a call that the protocol does not know: exit code 2.
var ErrUsage = errors.New("usage")

// Exit is the error of a hook that has said all in its protocol's words, or has
// none but an exit code: nothing more is reported.
type Exit int

func (e Exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// An Option is a flag of a protocol's own: --NAME VALUE, or --NAME for a switch,
// which is "true" or "false".
type Option struct {
	Name, Default, Usage string
	Switch               bool
}

// Protocols are all protocols, in the order of help.
var Protocols = []Protocol{
	git,
	docker,
	kubernetes,
	aws,
	cargo,
	goauth,
	pnpm,
	terraform,
	keyring,
	google,
	bazel,
}

// maxInput bounds what is read of a tool: no request comes near it.
const maxInput = 64 << 10
