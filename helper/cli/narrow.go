package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper"
)

// narrowFlags ask for a narrower token: by what it may open, or by where it goes.
type narrowFlags struct {
	scope, audience []string
	place           destination
}

func (n *narrowFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&n.scope, "scope", nil, "a narrower token with these scopes alone, separated by spaces; may be repeated")
	f.StringArrayVar(&n.audience, "audience", nil, "a narrower token for this audience alone; may be repeated")
	n.place.flags(cmd)
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
	case asked && n.place.given(cmd):
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
	if !n.place.given(cmd) {
		h, r, err := a.openHelper()
		r.Narrow = asked
		return h, r, err
	}
	return a.openHelperFor(n.place)
}
