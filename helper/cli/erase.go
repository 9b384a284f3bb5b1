package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/store"
)

func (a *app) eraseCommand() *cobra.Command {
	var localOnly, all bool
	cmd := &cobra.Command{
		Use: "erase", Aliases: []string{"logout"}, Short: "Revoke the grant at the issuer, then forget it", Args: noArgs,
		Long: `Revoke the account's refresh token at the issuer (RFC 7009), then delete it and the
cached access token. If the revocation fails, the stored record is kept and the exit
code is not zero: without the record nobody could revoke the grant later.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, r, err := a.openHelper()
			if err != nil {
				return err
			}
			accounts := []string{r.Account}
			if all {
				if accounts, err = a.accountsOf(cmd, h, r); err != nil {
					return err
				}
			}
			notes, err := h.Store.Notes()
			if err != nil {
				return err
			}
			if err := a.refuseHookInput("erase"); err != nil {
				return err
			}
			var failed error
			for _, account := range accounts {
				r.Account = account
				if !localOnly {
					a.warnOfSiblings(notes, r, accounts)
				}
				if err := h.Erase(cmd.Context(), r, localOnly); err != nil {
					failed = errors.Join(failed, fmt.Errorf("erase %s/%s: %w", r.Profile.Name, account, err))
					continue
				}
				how := "revoked and erased"
				if localOnly {
					how = "erased here, not revoked:"
				}
				fmt.Fprintf(a.Stderr, "%s %s/%s\n", how, r.Profile.Name, clean(account))
			}
			return failed
		},
	}
	cmd.Flags().BoolVar(&localOnly, "local-only", false, "forget it here without asking the issuer; the grant lives on there")
	cmd.Flags().BoolVar(&all, "all", false, "every account of the profile")
	return cmd
}

// warnOfSiblings says which other accounts came from the same login session. On
// Keycloak revoking one of its grants ends the session, and all of them with it.
func (a *app) warnOfSiblings(notes []store.Note, r helper.Request, erased []string) {
	at := slices.IndexFunc(notes, func(n store.Note) bool { return n.Key == store.Key{Profile: r.Profile.Name, Account: r.Account} })
	if at < 0 || notes[at].Session == "" {
		return
	}
	mine := notes[at]
	var others []string
	for _, n := range notes {
		goes := n.Key.Profile == r.Profile.Name && slices.Contains(erased, n.Key.Account)
		if n.Session == mine.Session && n.RevokedBy == "" && !goes {
			others = append(others, named(n))
		}
	}
	if len(others) > 0 {
		a.warn(fmt.Sprintf("%s comes from the same login session as %s, which revoking may end too (Keycloak does; --local-only does not)", named(mine), strings.Join(others, ", ")))
	}
}

func (a *app) accountsOf(cmd *cobra.Command, h *helper.Helper, r helper.Request) ([]string, error) {
	notes, err := h.Store.Accounts(cmd.Context())
	if err != nil {
		return nil, err
	}
	var names []string
	for _, n := range notes {
		if n.Key.Profile == r.Profile.Name {
			names = append(names, n.Key.Account)
		}
	}
	if len(names) == 0 {
		return nil, &hint.Error{Kind: helper.ErrLoginRequired, Detail: "nothing is stored for profile " + r.Profile.Name, Remedy: hint.Do(hint.Run("list"))}
	}
	return names, nil
}
