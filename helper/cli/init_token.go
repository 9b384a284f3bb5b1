package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/oidc"
)

// firstToken offers an exchange or a login, as the issuer has them.
func (g *guide) firstToken(ctx context.Context) error {
	const byExchange, byLogin, later = "exchange", "login", "later"
	ways := map[string]bool{
		byExchange: g.meta.Exchanges() && g.profile.ClientAuth != oidc.AuthNone,
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
		return g.logIn(ctx, h, helper.LoginRequest{Request: r}, g.meta.DeviceEndpoint != "" && (g.headless() || g.meta.AuthorizationEndpoint == ""))
	}
	token, err := g.ask("The user's access token (not shown): ")
	if err != nil {
		return err
	}
	return proven(ctx, func(ctx context.Context) error {
		rec, err := h.Exchange(ctx, helper.ExchangeRequest{Request: r, SubjectToken: token})
		if err != nil {
			return err
		}
		return g.reportKept(r, rec, g.store)
	})
}
