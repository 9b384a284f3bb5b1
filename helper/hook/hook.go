// Package hook speaks the credential protocols of other tools. Each protocol has a file
// of its own, a line in [Protocols], and a line in ways_test.go, through which hostile
// requests reach it.
//
// A hook sees a [Getter], which gives out access tokens. It cannot reach a refresh
// token or a store. It prints its protocol's answer on standard output and nothing
// else. It never prompts. It has the token before it prints anything, since some tools
// read the output of a helper that failed.
//
// The Go API of this module is internal and unstable. The stable interfaces are the
// command line and the protocols.
package hook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/terradue/t2-cred/helper"
)

// A Getter gives credentials for the place that a request names. The errors of all
// methods wrap [helper.ErrNotMine] if no profile is for the request's URL.
type Getter interface {
	Get(context.Context, helper.Request) (helper.Credential, error)
	// Serves is nil if a profile is for the request's URL. It gets no token.
	Serves(context.Context, helper.Request) error
	// Reject drops a token that Get gave for that place, since a server refused it.
	Reject(ctx context.Context, r helper.Request, token string) error
}

// A Deriver keeps a credential that a hook got from another server for an access
// token. [helper.Helper.Derive] is one.
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
	// Hosts lists the hosts that the chosen profile, or else every profile, names
	// exactly.
	Hosts   func() ([]string, error)
	Version string // of t2-cred
	// UntilStopped runs a server until a signal stops it. The deadline of the command
	// does not end it; Timeout is the deadline of each of its steps. SIGTERM is no
	// error.
	UntilStopped func(do func(context.Context) error) error
	Timeout      time.Duration
	// Transport is for requests of the hook's own; nil is the network.
	Transport http.RoundTripper
	// Explain is told why the answer has no credential, where the Getter was not asked. -v
	// shows it. Nil drops it.
	Explain func(why string)
	// Hide takes out of an error's words what was typed and looks like a secret, for
	// protocols that have such words on standard output. Nil takes out nothing.
	Hide func(words string) string
	Getter
	Deriver
}

func (c *Call) explain(why string) {
	if c.Explain != nil {
		c.Explain(why)
	}
}

// failure is what an error says, with its hint, for standard output.
func (c *Call) failure(err error) string {
	text := err.Error()
	if hint := hintOf(err); hint != "" {
		text += "; " + hint
	}
	if c.Hide != nil {
		text = c.Hide(text)
	}
	return text
}

// A Protocol is one tool's way to ask for a credential.
type Protocol struct {
	Name  string // the command: t2-cred NAME
	Alias string // the name of the program by which a tool calls it (argv[0]), or empty
	// PluginDir is the directory, below the user's home, in which alone the tool
	// looks for Alias. Empty is for tools that search PATH.
	PluginDir []string
	// Shared is set if another program has the name Alias too, and says which tools
	// run that one. A release makes no link with such a name.
	Shared  string
	Flag    string   // the one argument with which a tool calls the program itself, without a command, or empty
	Args    string   // how its arguments are written in a usage line, or empty
	Short   string   // one line for help
	Long    string   // how a tool is told to use it
	Options []Option // flags of its own, beside those that every command has
	// RawArgs is set if the tool adds flags of its own. Args then has everything that
	// follows the name, and our flags come before the name or from the environment.
	RawArgs bool
	// Quiet is set if the tool reads standard error as a part of the answer. Warnings
	// and -v are then dropped.
	Quiet bool
	// Begins reports whether standard input that begins with this text is a request of
	// this protocol. Nil is for tools that write nothing first, or nothing to know
	// them by.
	Begins func(text []byte) bool
	// Serve answers one call. It translates errors that have words in the protocol,
	// and returns all others.
	Serve func(context.Context, *Call) error
}

// ErrUsage is the error of a call that the protocol does not know: exit code 2.
var ErrUsage = errors.New("usage")

// Exit is the error of a hook whose answer, in its protocol's words, says what failed.
// The command ends with this exit code and prints nothing more.
type Exit int

func (e Exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// An Option is a flag that one protocol has: --NAME VALUE, or --NAME for a switch. A
// switch is "true" or "false".
type Option struct {
	Name, Default, Usage string
	Switch               bool
}

// Protocols lists all protocols in the order in which help shows them. They are pointers,
// as copies would be made at each start of the program.
var Protocols = []*Protocol{
	&git,
	&docker,
	&kubernetes,
	&aws,
	&cargo,
	&goauth,
	&pnpm,
	&terraform,
	&keyring,
	&google,
	&bazel,
	&kubelet,
}

// maxInput bounds the input that is read from a tool. No request comes near it.
const maxInput = 64 << 10
