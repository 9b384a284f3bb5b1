package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/terradue/t2-cred/helper/oidc"
)

// noAudience is the answer of a person who asks tokens for nobody in particular.
const noAudience = "none"

// askAudience asks whom the tokens are for. An exchange at Keycloak names the client
// itself.
func (g *guide) askAudience(context.Context) error {
	preset := noAudience
	if g.meta.Exchanges() && g.profile.ClientAuth != oidc.AuthNone {
		preset = g.profile.ClientID
	}
	typed, err := g.askLine("Audience to ask tokens for, or "+noAudience, or(strings.Join(g.profile.Audience, " "), preset))
	if err != nil {
		return err
	}
	p := g.profile
	p.Audience = slices.DeleteFunc(strings.Fields(typed), func(a string) bool { return a == noAudience })
	if err := checkProfile(g.name, p); err != nil {
		return usageError(err)
	}
	g.profile = p
	return nil
}
