package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
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
	exitVerify      = 7   // a token was refused by verification
	exitRefused     = 8   // the issuer refused: client, secret, exchange, scope, audience
	exitBusy        = 9   // another process held the lock too long
	exitCannotRun   = 126 // exec: the command is there, but cannot be run
	exitNoCommand   = 127 // exec: there is no such command
	exitInterrupted = 130 // SIGINT or SIGTERM
)

var (
	errInterrupted = errors.New("interrupted")
	errClock       = errors.New("the clock is wrong") // found by doctor; else a token is refused for it
)

// A usageErr is a command line that cannot be meant.
type usageErr struct{ err error }

func usageError(err error) error  { return &usageErr{err} }
func (e *usageErr) Error() string { return e.err.Error() }
func (e *usageErr) Hint() string  { return "t2-cred help" }

// classify is the one place where an error becomes an exit code and a name for
// machines. The order matters: what is more specific comes first.
func classify(err error) (code int, name string) {
	var (
		usage    *usageErr
		config   *configError
		mismatch *oidc.ConfigError
		refused  *oidc.Error
		verify   *oidc.VerifyError
		output   *outputError
		notRun   *cannotRun
	)
	switch {
	case errors.Is(err, errInterrupted):
		return exitInterrupted, "interrupted"
	case errors.As(err, &usage), isCobraUsage(err), errors.Is(err, store.ErrName):
		return exitUsage, "usage"
	case errors.As(err, &notRun):
		return notRun.code(), "cannot_run"
	case errors.Is(err, helper.ErrNotMine):
		return exitConfig, "not_mine"
	case errors.As(err, &config), errors.As(err, &mismatch), errors.As(err, &output), errors.Is(err, helper.ErrProfile):
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
	case errors.As(err, &refused) && refused.Temporary(), errors.Is(err, oidc.ErrUnreachable):
		return exitUnreachable, "issuer_unreachable"
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

// hints for what has none of its own.
var hints = map[int]string{
	exitUsage:       "t2-cred help",
	exitConfig:      "t2-cred profile list",
	exitLogin:       "t2-cred exchange --token-file FILE",
	exitStore:       "t2-cred status shows what is kept where; another store: --store file (t2-cred store init)",
	exitUnreachable: "nothing stored was touched; try again later, with -v to see what was asked of whom",
	exitVerify:      "the token was not used; t2-cred get -v shows what was asked of whom",
	exitRefused:     "t2-cred profile show shows what was asked for; the issuer's admin can tell why it refused",
	exitBusy:        "another t2-cred is at work on this account; try again, or give more time: --timeout 60s",
	exitUnexpected:  "run it again with -v, and report it if it stays",
}

// report writes an error as one line of what and why and one of what to do, or
// as JSON, and returns the exit code.
func (a *app) report(err error) int {
	if err == nil {
		return exitOK
	}
	var child childExit
	if errors.As(err, &child) {
		return int(child)
	}
	code, name := classify(err)
	message, do := oneLine(err.Error()), hintFor(err)
	if a.flags.json {
		type body struct {
			Code    string `json:"code"`
			Exit    int    `json:"exit"`
			Message string `json:"message"`
			Hint    string `json:"hint"`
		}
		_ = json.NewEncoder(a.Stderr).Encode(map[string]body{"error": {name, code, message, do}})
		return code
	}
	fmt.Fprintf(a.Stderr, "t2-cred: %s\n", message)
	if do != "" {
		fmt.Fprintf(a.Stderr, "hint: %s\n", do)
	}
	return code
}

// hintFor is an error's own hint, or that of its exit code.
func hintFor(err error) string {
	if r := hint.Of(err); r != nil {
		return oneLine(r.String())
	}
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) && hinted.Hint() != "" {
		return oneLine(hinted.Hint())
	}
	code, _ := classify(err)
	return hints[code]
}

// oneLine keeps a message to its line; text from outside was cleaned where it
// came in.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
