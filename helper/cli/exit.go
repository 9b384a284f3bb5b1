package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/setup"
	"github.com/terradue/t2-cred/store"
)

// Exit codes. Scripts rely on them; they do not change.
const (
	exitOK          = 0
	exitUnexpected  = 1
	exitUsage       = 2
	exitConfig      = 3
	exitLogin       = 4   // nothing stored, expired or revoked: exchange (or login) again
	exitStore       = 5   // the store is unavailable, locked or too small
	exitUnreachable = 6   // the issuer is unreachable or overloaded: try later
	exitVerify      = 7   // a token was refused by verification, or the user's token by the issuer
	exitRefused     = 8   // the issuer refused: client, secret, exchange, scope, audience
	exitBusy        = 9   // another process held the lock too long
	exitCannotRun   = 126 // exec: the command is there, but cannot be run
	exitNoCommand   = 127 // exec: there is no such command
	exitInterrupted = 130 // SIGINT or SIGTERM
)

// Kinds of failure that this package finds itself. Each is the Kind of a hint.Error.
var (
	errInterrupted = errors.New("interrupted")
	errUsage       = errors.New("wrong usage")
	errVariable    = fmt.Errorf("%w: a variable of the environment", errUsage)
	errConfig      = errors.New("wrong configuration")
	errOutput      = errors.New("cannot write the file")
	errClock       = errors.New("the clock is wrong") // found by doctor; else a token is refused for it
	errCannotRun   = errors.New("cannot run the command")
	errStdout      = errors.New("cannot write standard output")
	errNoCommand   = errors.New("no such command")
)

// usageError is an error of the command line. It keeps the remedy of err.
func usageError(err error) error {
	return &hint.Error{Kind: errUsage, Detail: err.Error(), Remedy: hint.Of(err)}
}

// environmentError is the error of a variable of the environment.
func environmentError(err error) error {
	return &hint.Error{Kind: errVariable, Detail: err.Error(), Remedy: hint.Do(hint.Words("unset it, or see "), hint.Run("help", "environment"))}
}

// configErrorf is an error of the configuration, or of files that belong to it.
func configErrorf(remedy hint.Remedy, format string, args ...any) error {
	return &hint.Error{Kind: errConfig, Detail: fmt.Sprintf(format, args...), Remedy: remedy}
}

// classify is the one place where an error becomes an exit code and a name for
// machines. The order matters: what is more specific comes first.
func classify(err error) (code int, name string) {
	var (
		mismatch *oidc.ConfigError
		refused  *oidc.Error
		verify   *oidc.VerifyError
	)
	switch {
	case errors.Is(err, errInterrupted):
		return exitInterrupted, "interrupted"
	case errors.Is(err, errUsage), errors.Is(err, setup.ErrUsage), isCobraUsage(err), errors.Is(err, store.ErrName), errors.Is(err, helper.ErrOtherUser):
		return exitUsage, "usage"
	case errors.Is(err, errNoCommand):
		return exitNoCommand, "cannot_run"
	case errors.Is(err, errCannotRun):
		return exitCannotRun, "cannot_run"
	case errors.Is(err, helper.ErrNotMine):
		return exitConfig, "not_mine"
	case errors.Is(err, errConfig), errors.Is(err, setup.ErrConfiguration), errors.As(err, &mismatch), errors.Is(err, oidc.ErrNoSigningKey), errors.Is(err, errOutput), errors.Is(err, helper.ErrProfile), errors.Is(err, store.ErrConfig):
		return exitConfig, "configuration"
	case errors.Is(err, helper.ErrLoginRequired):
		return exitLogin, "login_required"
	case errors.Is(err, store.ErrBusy):
		return exitBusy, "busy"
	case errors.Is(err, store.ErrLocked):
		return exitStore, "store_locked"
	case errors.Is(err, store.ErrTooLarge):
		return exitStore, "store_too_large"
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrCorrupt), errors.Is(err, store.ErrMoved):
		return exitStore, "store_unavailable"
	case errors.As(err, &verify), errors.Is(err, errClock), errors.Is(err, helper.ErrSubjectToken), errors.Is(err, oidc.ErrOpaque):
		return exitVerify, "token_refused"
	case errors.Is(err, helper.ErrInDoubt):
		return exitUnreachable, "in_doubt"
	case errors.As(err, &refused) && refused.Temporary(), errors.Is(err, oidc.ErrUnreachable):
		return exitUnreachable, "issuer_unreachable"
	case errors.As(err, &refused) && refused.Means() == oidc.MeansUserTokenRefused:
		return exitVerify, "token_refused"
	case errors.As(err, &refused), errors.Is(err, helper.ErrNotGranted), errors.Is(err, oidc.ErrNoSuchFlow):
		return exitRefused, "issuer_refused"
	case errors.Is(err, store.ErrNotFound):
		return exitLogin, "login_required"
	case errors.Is(err, context.DeadlineExceeded):
		return exitUnreachable, "timeout"
	}
	return exitUnexpected, "unexpected"
}

// isCobraUsage recognises cobra's untyped complaints about the command line.
func isCobraUsage(err error) bool {
	for _, start := range []string{"unknown command", "unknown flag", "unknown shorthand", "required flag", "accepts ", "requires at least", "invalid argument"} {
		if strings.HasPrefix(err.Error(), start) {
			return true
		}
	}
	return false
}

// report writes an error as one line of what and why and one of what to do, or
// as JSON, and returns the exit code.
func (a *app) report(cmd *cobra.Command, err error) int {
	if err == nil {
		return exitOK
	}
	var child childExit
	if errors.As(err, &child) {
		return int(child)
	}
	code, name := classify(err)
	message, todo := oneLine(err.Error()), a.hintFor(err)
	switch {
	case code != exitUsage:
	case todo == "":
		todo = usageLine(cmd)
	case errors.Is(err, errVariable), errors.Is(err, setup.ErrUsage):
		todo = usageLine(cmd) + "; " + todo
	}
	if todo == "" && doctorMayKnow(code) && (cmd == nil || cmd.Name() != "doctor") {
		todo = hint.Do(hint.Words("to see what works and what does not: "), hint.Run("doctor").For(a.flags.profile, a.flags.account)).Text(a.given)
	}
	var byHand []byte
	if e, ok := errors.AsType[*handError](err); ok {
		byHand = e.text
	}
	if a.flags.json {
		if len(byHand) > 0 {
			message += "\n" + string(byHand)
		}
		type body struct {
			Code    string `json:"code"`
			Exit    int    `json:"exit"`
			Message string `json:"message"`
			Hint    string `json:"hint"`
		}
		text, _ := json.Marshal(map[string]body{"error": {name, code, message, todo}}) // strings always encode
		_, _ = a.Stderr.Write(append(printableJSON(text), '\n'))
		return code
	}
	if mayBeUnread(code) {
		a.warnOfUnread(cmd, true)
	}
	_, _ = a.Stderr.Write(byHand)
	fmt.Fprintf(a.Stderr, "t2-cred: %s\n", message)
	if c, ok := errors.AsType[*crash](err); ok {
		_, _ = a.Stderr.Write(c.stack)
	}
	if todo != "" {
		fmt.Fprintf(a.Stderr, "hint: %s\n", todo)
	}
	return code
}

// doctorMayKnow is of failures that doctor looks for.
func doctorMayKnow(code int) bool {
	switch code {
	case exitConfig, exitStore, exitUnreachable, exitVerify, exitRefused:
		return true
	}
	return false
}

// shortTimeout is a --timeout that is over before a lock can be got, held or not.
const shortTimeout = 100 * time.Millisecond

// timeUp is the error of a command that ended because of --timeout, and says so.
func (a *app) timeUp(err error) error {
	if err == nil || a.deadline == nil || !a.deadline.isOver() {
		return err
	}
	switch code, _ := classify(err); {
	case code == exitBusy && a.flags.timeout < shortTimeout, code == exitUnreachable && err.Error() == context.DeadlineExceeded.Error():
		return &hint.Error{
			Kind: context.DeadlineExceeded, Detail: fmt.Sprintf("the time of --timeout (%s) was up", a.flags.timeout),
			Remedy: hint.Say("give it longer: --timeout 30s"),
		}
	}
	return err
}

// hintFor is the remedy of an error as it is typed; empty when it has none.
func (a *app) hintFor(err error) string {
	return oneLine(hint.Of(err).Text(a.given))
}

// oneLine keeps a message to its line; text from outside was cleaned where it
// came in.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
