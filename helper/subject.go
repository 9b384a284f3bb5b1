package helper

import (
	"fmt"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/secret"
)

const newToken = "get a new access token for the user, then run the exchange again"

// A refusal makes the error of a token that a person brought, with what to do.
type refusal func(remedy hint.Remedy, format string, args ...any) error

// checkAlone wants the token to be there, alone, and of characters that tokens have.
func checkAlone(token secret.Secret, command hint.Command, refuse refusal) error {
	v := token.Reveal() // looked at, not passed on
	if v == "" {
		return refuse(hint.Do(command.With("--token-file", "FILE"), hint.Words(", or pipe the token in")), "it is empty")
	}
	if strings.HasPrefix(strings.ToLower(v), "bearer ") {
		return refuse(hint.Say("leave the word Bearer out"), "it starts with the word Bearer")
	}
	for n := 0; n < len(v); n++ {
		if v[n] <= ' ' || v[n] >= 0x7f {
			return refuse(hint.Say("give the token alone, on one line"), "it holds a space, a line end or a character that no token has")
		}
	}
	return nil
}

// checkSubjectToken looks at a subject token before it is sent, so that the
// usual mistakes cost no request and are called by their names. A token that is
// not a JWT says nothing and is the issuer's to judge.
func checkSubjectToken(token secret.Secret, r Request, now time.Time) error {
	p := r.Profile
	refuse := func(remedy hint.Remedy, format string, args ...any) error {
		return &hint.Error{Kind: ErrSubjectToken, Detail: "the token cannot be exchanged: " + fmt.Sprintf(format, args...), Remedy: remedy}
	}
	if err := checkAlone(token, r.command("exchange"), refuse); err != nil {
		return err
	}
	peek, ok := oidc.ParseUnverified(token)
	if !ok {
		return nil
	}
	c := peek.Claims
	switch {
	case c.Type == "ID" || c.Type == "" && peek.Header.Type != "at+jwt" && c.ATHash != "":
		return refuse(hint.Say("take the access_token of the login's answer, not the id_token"), "it is an ID token")
	case c.Type == "Refresh" || c.Type == "Offline":
		return refuse(hint.Say("take the access_token of the login's answer, not the refresh_token"), "it is a refresh token (typ %s)", c.Type)
	case c.Issuer != "" && c.Issuer != p.Issuer:
		return refuse(hint.Say("log the user in at the profile's issuer, or choose another --profile"),
			"it is of another issuer: iss is %s, the profile's issuer is %s", oidc.Clean(c.Issuer), p.Issuer)
	case !peek.ExpiresAt().IsZero() && !now.Before(peek.ExpiresAt()):
		return refuse(hint.Say(newToken), "it expired %s ago, at %s", now.Sub(peek.ExpiresAt()).Round(time.Second), peek.ExpiresAt().UTC().Format(time.RFC3339))
	}
	if is, named := peek.For(p.ClientID); named && !is {
		return refuse(hint.Say(fmt.Sprintf("ask the issuer's admin for an audience mapper that puts %s into the tokens of client %s", p.ClientID, oidc.Clean(c.Azp))),
			"client %s is missing from its audience: aud is [%s], azp is %s", p.ClientID, oidc.Clean(strings.Join(c.Audience, " ")), oidc.Clean(c.Azp))
	}
	return nil
}
