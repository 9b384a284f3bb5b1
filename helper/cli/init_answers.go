package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/oidc"
)

func (g *guide) askName(context.Context) error {
	preset := "main"
	for n := 2; g.config.Profiles[preset].Issuer != ""; n++ {
		preset = fmt.Sprintf("main%d", n)
	}
	name, err := g.askLine("A name for this profile", preset)
	if err != nil {
		return err
	}
	if err := checkProfile(name, profileConfig{Issuer: "x", ClientID: "x"}); err != nil { // the name alone
		return usageError(err)
	}
	if _, ok := g.config.Profiles[name]; ok {
		return g.config.exists(name, profileConfig{})
	}
	g.name = name
	return g.config.mayWrite(name, profileConfig{})
}

func (g *guide) askScopes(context.Context) error {
	typed, err := g.askLine("Scopes to ask for, separated by spaces", g.scopes)
	if err != nil {
		return err
	}
	p := g.profile
	p.Scopes = strings.Fields(typed)
	if err := checkProfile(g.name, p); err != nil {
		return usageError(err)
	}
	if strings.Contains(typed, ",") && typed != g.scopes { // the same again is meant
		g.scopes = typed
		return usageError(errors.New("spaces separate scopes, and commas do not; Enter takes them as they are"))
	}
	if !slices.Contains(p.Scopes, "offline_access") {
		fmt.Fprintln(g.Stderr, "note: without offline_access most issuers give a token that ends with the user's session")
	}
	g.scopes, g.profile = typed, p
	return nil
}

// noHosts is the answer of a person who wants no tool to get tokens.
const noHosts = "none"

func (g *guide) askHosts(context.Context) error {
	typed, err := g.askLine("Hosts that tools may send the token to, separated by spaces", or(g.hosts, noHosts))
	if err != nil {
		return err
	}
	g.hosts = typed
	var hosts []string
	for _, entry := range strings.Fields(typed) {
		if entry == noHosts {
			continue
		}
		if _, err := helper.CheckHost(entry); err != nil {
			return usageError(errors.New(neverMatches(entry, err)))
		}
		hosts = append(hosts, entry)
	}
	g.profile.Hosts = hosts
	return nil
}

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
	if strings.Contains(typed, ",") && typed != strings.Join(g.profile.Audience, " ") { // the same again is meant
		g.profile.Audience = strings.Fields(typed)
		return usageError(errors.New("spaces separate audiences, and commas do not; Enter takes them as they are"))
	}
	p := g.profile
	p.Audience = slices.DeleteFunc(strings.Fields(typed), func(a string) bool { return a == noAudience })
	if err := checkProfile(g.name, p); err != nil {
		return usageError(err)
	}
	g.profile = p
	return nil
}
