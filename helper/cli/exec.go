package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
)

func (a *app) execCommand() *cobra.Command {
	var (
		variable string
		minValid time.Duration
		less     narrowFlags
	)
	cmd := &cobra.Command{
		Use: "exec [--env NAME] -- COMMAND [ARGUMENT…]", Short: "Run a command with a fresh access token in its environment", Args: someArgs,
		Long: `Run a command with an access token in one variable of its environment. The command and
all programs that it starts can see the token. Arguments, standard streams, working
directory and the rest of the environment stay as they are. On Unix the command takes this
process's place, so its signals and its exit code are its own. The exit code is 127 if the
command cannot be found and 126 if it cannot be run, as in a shell.

The token is not renewed. --min-valid asks for one that lives long enough, and
t2-cred write --watch is for programs that run longer.`,
		Example: `  t2-cred exec --env EARTHDATA_TOKEN --min-valid 4m -- python3 fetch.py
  t2-cred exec --env TWINE_PASSWORD -- twine upload --username oauth2 dist/*`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !isVariable(variable) {
				return usageError(fmt.Errorf("--env %q is not the name of a variable: letters, digits and _", variable))
			}
			if minValid < 0 {
				return usageError(errors.New("--min-valid must not be negative"))
			}
			// Before a token is asked for that nobody would use.
			path, err := exec.LookPath(args[0])
			if err != nil {
				return cannotRun(args[0], err)
			}
			h, r, err := a.openNarrow(cmd, less)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("min-valid") {
				r.MinValid = &minValid
			}
			c, err := h.Get(cmd.Context(), r)
			if err != nil {
				return err
			}
			if err := cmd.Context().Err(); err != nil { // a signal that came meanwhile was for the command
				return err
			}
			a.deadline.stop()
			return a.become(path, args, withVariable(os.Environ(), variable, c.Token.Reveal()))
		},
	}
	cmd.Flags().StringVar(&variable, "env", tokenVariable, "the variable that gets the token")
	cmd.Flags().DurationVar(&minValid, "min-valid", helper.DefaultMinValid, "how long the token must still be valid, if the issuer's tokens live that long")
	less.add(cmd)
	cmd.Flags().SetInterspersed(false) // the command's flags are its own, also without --
	return cmd
}

func isVariable(name string) bool {
	for n := 0; n < len(name); n++ {
		c := name[n]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (n == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// withVariable is an environment in which the variable is set, once.
func withVariable(environ []string, name, value string) []string {
	out := make([]string, 0, len(environ)+1)
	for _, kv := range environ {
		if k, _, _ := strings.Cut(kv, "="); k != name {
			out = append(out, kv)
		}
	}
	return append(out, name+"="+value)
}

// cannotRun is the error of a command that was not started.
func cannotRun(name string, err error) error {
	kind := errCannotRun
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		kind = errNoCommand
	}
	if search, ok := errors.AsType[*exec.Error](err); ok {
		err = search.Err // it says the name again
	}
	what := "name a command on PATH; see "
	if strings.Contains(name, " ") {
		what = "leave out the quotes around the whole command: each of its words is an argument; see "
	}
	return &hint.Error{
		Kind: kind, Detail: fmt.Sprintf("run %q", name), Err: err,
		Remedy: hint.Do(hint.Words(what), hint.Run("exec", "--help")),
	}
}

// childExit is how a command ended that did not take our place. It has said for
// itself what there was to say.
type childExit int

func (e childExit) Error() string { return fmt.Sprintf("the command ended with %d", int(e)) }
