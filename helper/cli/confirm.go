package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/terradue/t2-cred/helper/hint"
)

// canAsk reports whether a person looks on and can answer.
func (a *app) canAsk() bool { return a.Attended && a.StdinTerminal }

// confirm asks a person yes or no. Whatever is not yes is no.
func (a *app) confirm(question string) (bool, error) {
	typed, err := a.ask(question + " (yes or no): ")
	if err != nil {
		return false, err
	}
	switch strings.ToLower(strings.TrimSpace(typed.Reveal())) { // it is no secret
	case "y", "yes":
		return true, nil
	}
	return false, nil
}

// notConfirmed is the error of a question that was answered with no.
func notConfirmed(what string) error {
	return &hint.Error{Kind: errInterrupted, Detail: what + ": not confirmed, so nothing was changed"}
}

// mayReplace asks before another user's grant is replaced; nil without a terminal.
func (a *app) mayReplace() func(old, now string) bool {
	if !a.canAsk() {
		return nil
	}
	return func(old, now string) bool {
		yes, err := a.confirm(fmt.Sprintf("The account has the grant of another user, %s. Replace it by that of %s?", old, now))
		return yes && err == nil
	}
}

func addReplace(f *pflag.FlagSet, replace *bool) {
	f.BoolVar(replace, "replace", false, "replace the grant of another user, or one of the same login, without a question")
}
