package cli

import (
	"errors"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/safefile"
	"github.com/terradue/t2-cred/store"
)

// This file goes when packages store, oidc, helper and setup have their errors from
// package hint.

// configError is the error of setup*.go.
type configError struct {
	detail string
	remedy string
}

func (e *configError) Error() string     { return e.detail }
func (e *configError) Unwrap() error     { return errConfig }
func (e *configError) Hint() hint.Remedy { return hint.Say(e.remedy) }

// replaceFile is safefile.Replace for setup*.go.
func replaceFile(path string, content []byte) error {
	return safefile.Replace(path, content, safefile.Write{Durable: true})
}

// textHint is the remedy of an error that has it as text.
func textHint(err error) string {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return ""
}

// kindHint is the remedy of an error of the other packages that names none.
func kindHint(err error) string {
	var refused *oidc.Error
	switch code, _ := classify(err); {
	case errors.Is(err, oidc.ErrUnreachable), code == exitUnreachable:
		return unreachableHint
	case errors.Is(err, store.ErrBusy):
		return "another t2-cred is at work on this account; try again, or give more time: --timeout 60s"
	case code == exitStore:
		return "t2-cred status shows what is kept where; another store: --store file (t2-cred store init)"
	case code == exitVerify:
		return "the token was not used; t2-cred get -v shows what was asked of whom"
	case errors.As(err, &refused), code == exitRefused:
		return "t2-cred profile show shows what was asked for; the issuer's admin can tell why it refused"
	case errors.Is(err, helper.ErrLoginRequired), errors.Is(err, store.ErrNotFound):
		return "t2-cred exchange --token-file FILE"
	}
	return ""
}

const unreachableHint = "nothing stored was touched; try again later, with -v to see what was asked of whom"
