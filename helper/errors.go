package helper

import (
	"errors"
	"fmt"
)

// What a person has to do something about, beyond the kinds that store and oidc
// have of their own.
var (
	// ErrLoginRequired: nothing is stored, or the issuer refused it for good.
	ErrLoginRequired = errors.New("login or exchange needed")
	// ErrNotGranted: the issuer answered, but not with what was asked for.
	ErrNotGranted = errors.New("the issuer did not grant what was asked")
	// ErrSubjectToken: the token brought to an exchange or an import cannot be used.
	ErrSubjectToken = errors.New("the token that was brought cannot be used")
	// ErrProfile: the profile lacks something.
	ErrProfile = errors.New("the profile is not complete")
)

// A Problem is one of the above with what was seen and the next thing to do.
type Problem struct {
	Kind   error
	Detail string
	Remedy string
	Err    error // the cause, or nil
}

func (p *Problem) Error() string {
	if p.Err != nil {
		return fmt.Sprintf("%s: %v", p.Detail, p.Err)
	}
	return p.Detail
}

// Unwrap gives the kind and the cause.
func (p *Problem) Unwrap() []error { return []error{p.Kind, p.Err} }

// Hint is the next command to type, or empty.
func (p *Problem) Hint() string { return p.Remedy }

// loginRequired is the one way to say that a user has to come back.
func loginRequired(r Request, detail string, cause error) error {
	return &Problem{
		Kind: ErrLoginRequired, Detail: detail, Err: cause,
		Remedy: "get an access token for the user, then: t2-cred exchange" + r.flags() + " --token-file FILE",
	}
}

// ended is loginRequired for a grant that the issuer has refused. It may have been
// for a while only: the user was disabled, say.
func ended(r Request, detail string, cause error) error {
	return &Problem{
		Kind: ErrLoginRequired, Detail: detail, Err: cause,
		Remedy: "get an access token for the user, then: t2-cred exchange" + r.flags() + " --token-file FILE; or, if the issuer may have changed its mind, ask it once more: t2-cred get --fresh" + r.flags(),
	}
}

// flags are what a command line needs to mean this profile and account.
func (r Request) flags() string {
	s := fmt.Sprintf(" --profile %s", r.Profile.Name)
	if r.Account != "default" {
		s += fmt.Sprintf(" --account %q", r.Account)
	}
	return s
}
