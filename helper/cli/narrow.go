package cli

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper"
)

// narrowFlags ask for a narrower token: by what it may open, or by where it goes.
type narrowFlags struct {
	scope, audience []string
	place           string
}

func (n *narrowFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&n.scope, "scope", nil, "a narrower token with these scopes alone, separated by spaces; may be repeated")
	f.StringArrayVar(&n.audience, "audience", nil, "a narrower token for this audience alone; may be repeated")
	f.StringVar(&n.place, "url", "", "the token that hooks send there: one host of the profile's, with the profile's narrow table for it")
}

// narrow is what --scope and --audience say.
func (n *narrowFlags) narrow(cmd *cobra.Command) (helper.Narrow, error) {
	var out helper.Narrow
	for _, s := range n.scope {
		out.Scopes = append(out.Scopes, strings.Fields(s)...)
	}
	out.Audience = n.audience
	asked := cmd.Flags().Changed("scope") || cmd.Flags().Changed("audience")
	switch {
	case cmd.Flags().Changed("scope") && len(out.Scopes) == 0:
		return out, usageError(errors.New("--scope names no scope"))
	case asked && cmd.Flags().Changed("url"):
		return out, usageError(errors.New("--url says which token goes there; leave --scope and --audience out"))
	}
	for _, s := range append(out.Scopes, out.Audience...) {
		if s == "" || looksJWT(s) || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '"' || r == '\\' || r >= 0x7f }) {
			return out, usageError(fmt.Errorf("%q is not one scope or audience", shownWord(s)))
		}
	}
	return out, nil
}

// openNarrow is openHelper for a command that may ask for a narrower token.
func (a *app) openNarrow(cmd *cobra.Command, n narrowFlags) (*helper.Helper, helper.Request, error) {
	asked, err := n.narrow(cmd)
	if err != nil {
		return nil, helper.Request{}, err
	}
	if !cmd.Flags().Changed("url") {
		h, r, err := a.openHelper()
		r.Narrow = asked
		return h, r, err
	}
	place, err := url.Parse(n.place)
	if err != nil || place.Host == "" {
		return nil, helper.Request{}, usageError(errors.New("--url is not https://HOST[:PORT][/PATH]"))
	}
	return (&getter{app: a}).resolve(helper.Request{URL: place})
}
