package helper

import (
	"errors"
	"slices"

	"github.com/terradue/t2-cred/helper/hint"
)

// What a person has to do something about, beyond the kinds that store and oidc
// have of their own.
var (
	// ErrLoginRequired: nothing is stored, or the issuer refused it for good.
	ErrLoginRequired = errors.New("login or exchange needed")
	// ErrNotGranted: the issuer answered, but did not give what it was asked for.
	ErrNotGranted = errors.New("the issuer did not grant what was asked")
	// ErrSubjectToken: the token brought to an exchange or an import cannot be used.
	ErrSubjectToken = errors.New("the token that was brought cannot be used")
	// ErrOtherUser: an account has another user's grant, and nobody said to replace it.
	ErrOtherUser = errors.New("the account has the grant of another user")
	// ErrProfile: the profile lacks something.
	ErrProfile = errors.New("the profile is not complete")
)

// loginRequired is the one way to say that a user has to come back.
func (h *Helper) loginRequired(r Request, detail string, cause error) error {
	return &hint.Error{Kind: ErrLoginRequired, Detail: detail, Err: cause, Remedy: h.beginAgain(r)}
}

// beginAgain is how a user comes back: by an exchange, unless the issuer is known to have
// none.
func (h *Helper) beginAgain(r Request) hint.Remedy {
	if !h.Issuer(r.Profile).MayExchange() {
		return hint.Do(hint.Words("log the user in again: "), r.command("login"))
	}
	return hint.Do(hint.Words("get an access token for the user, then: "), r.command("exchange").With("--token-file", "FILE"))
}

// revoked is loginRequired for a grant that the issuer has refused. It may have been
// for a while only: the user was disabled, say.
func (h *Helper) revoked(r Request, detail string, cause error) error {
	return &hint.Error{
		Kind: ErrLoginRequired, Detail: detail, Err: cause,
		Remedy: append(h.beginAgain(r), hint.Words("; or, if the user was only disabled temporarily, ask once more: "), r.command("get", "--fresh")),
	}
}

// keepOnline is what to do about an online token: what gets an offline one, or the
// command that keeps what there is.
func (r Request) keepOnline(again hint.Command, offline string) hint.Remedy {
	first := hint.Do(hint.Words(offline))
	if !slices.Contains(r.Profile.Scopes, offlineAccess) {
		edit := hint.Run("profile", "edit", r.Profile.Name)
		for _, scope := range append(slices.Clone(r.Profile.Scopes), offlineAccess) {
			edit = edit.With("--scope", scope)
		}
		first = hint.Do(hint.Words("ask for the scope "+offlineAccess+" too: "), edit)
	}
	return append(first, hint.Words("; or keep the online token: "), again.With("--allow-online"))
}

// command is a t2-cred command about this profile and account.
func (r Request) command(args ...string) hint.Command {
	return hint.Run(args...).For(r.Profile.Name, r.Account)
}
