package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
)

// mayExchange reports whether this client can exchange tokens at this issuer.
func (g *guide) mayExchange() bool {
	return g.meta.Exchanges() && g.profile.ClientAuth != oidc.AuthNone
}

// isRefusal reports whether the issuer refused the client, or what the profile asks for.
func isRefusal(err error) bool {
	code, _ := classify(err)
	return code == exitRefused
}

// firstToken offers an exchange or a login, as the issuer has them.
func (g *guide) firstToken(ctx context.Context) error {
	const byExchange, byLogin, later = "exchange", "login", "later"
	ways := map[string]bool{
		byExchange: g.mayExchange(),
		byLogin:    g.meta.AuthorizationEndpoint != "" || g.meta.DeviceEndpoint != "", later: true,
	}
	maps.DeleteFunc(ways, func(_ string, there bool) bool { return !there })
	names := slices.Sorted(maps.Keys(ways)) // exchange, later, login
	preset := later
	if ways[byLogin] {
		preset = byLogin
	}
	answer, err := g.askLine("Get the first token now: "+strings.Join(names, ", "), preset)
	if err != nil || answer == later {
		return err
	}
	r := helper.Request{Profile: g.profile.named(g.name), Account: g.flags.account, MayReplace: g.mayReplace()}
	h := g.newHelper(g.store)
	switch {
	case !ways[answer]:
		return usageError(fmt.Errorf("%s is not one of these%s", shownWord(answer), didYouMean(answer, names)))
	case answer == byLogin:
		err := g.logIn(ctx, h, helper.LoginRequest{Request: r}, g.meta.DeviceEndpoint != "" && (g.headless() || g.meta.AuthorizationEndpoint == ""))
		g.got = err == nil
		return err
	}
	token, err := g.ask("The user's access token (not shown): ")
	if err != nil {
		return err
	}
	return proven(ctx, func(ctx context.Context) error {
		rec, err := h.Exchange(ctx, helper.ExchangeRequest{Request: r, SubjectToken: token})
		if err != nil && isRefusal(err) {
			edit := hint.Do(hint.Words("to change the profile, answer later, and then: "), hint.Run("profile", "edit", g.name))
			if known := hint.Of(err); known != nil {
				edit = slices.Concat(known, hint.Do(hint.Words("; ")), edit)
			}
			return &hint.Error{Kind: err, Remedy: edit}
		}
		if err != nil {
			return err
		}
		g.got = true
		return g.reportKept(r, rec, g.store)
	})
}
