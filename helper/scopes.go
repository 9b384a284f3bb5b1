package helper

import (
	"fmt"
	"slices"
	"strings"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
)

// NotGranted are the scopes that were asked for and that the issuer did not grant (RFC
// 6749 §3.3). It is empty where the issuer's answer and its tokens name no scopes: then
// all were granted (§5.1).
func NotGranted(asked, granted []string) []string {
	if len(granted) == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(asked), func(scope string) bool {
		return slices.Contains(granted, scope) || slices.Contains(granted, googleName(scope))
	})
}

// googleName is what Google calls the scopes email and profile in its answers.
func googleName(scope string) string {
	if scope != "email" && scope != "profile" {
		return scope
	}
	return "https://www.googleapis.com/auth/userinfo." + scope
}

// lacks are the scopes that an answer lacks. What an answer shows is not asked of its
// list: some issuers leave openid and offline_access out of it.
func lacks(asked, granted []string, answer oidc.Response, offline bool) []string {
	return slices.DeleteFunc(NotGranted(asked, granted), func(scope string) bool {
		return scope == "openid" && answer.IDToken != "" || scope == offlineAccess && offline
	})
}

// checkScopes compares the granted scopes with those that were asked for. One that the
// profile requires is an error; others are said once: known are those that were said to
// be missing before.
func (h *Helper) checkScopes(op string, p Profile, missing, known []string, kept string) error {
	var required, others []string
	for _, scope := range missing {
		switch {
		case slices.Contains(p.RequiredScopes, scope):
			required = append(required, scope)
		case !slices.Contains(known, scope):
			others = append(others, scope)
		}
	}
	if len(required) > 0 {
		return &hint.Error{
			Kind: ErrNotGranted, Detail: fmt.Sprintf("%s: the issuer did not grant what required_scopes of the profile names: %s; %s", op, cleanScopes(required), kept),
			Remedy: hint.Say(scopeAdvice(op, p, required)),
		}
	}
	if len(others) > 0 {
		h.Warn(fmt.Sprintf("%s: the issuer did not grant these scopes: %s; %s", op, cleanScopes(others), scopeAdvice(op, p, others)))
	}
	return nil
}

func cleanScopes(scopes []string) string { return oidc.Clean(strings.Join(scopes, " ")) }

// scopeAdvice says what helps. An exchange grants optional scopes only if the user's
// token has them too (Keycloak).
func scopeAdvice(op string, p Profile, scopes []string) string {
	admin := fmt.Sprintf("%smake them Default client scopes of %s", oidc.AskAdmin, p.ClientID)
	if op == "exchange" {
		return fmt.Sprintf("%s; or log the user in with scope %q before the exchange", admin, cleanScopes(scopes))
	}
	return admin
}
