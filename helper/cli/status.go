package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/store"
)

// States of an account, for people and for --json.
const (
	stateOK      = "ok"
	stateDead    = "dead"    // the issuer refused the grant for good
	stateExpired = "expired" // the refresh token's own end has passed
	// stateUnreadable is of a record that cannot be read: the note is all that is known.
	stateUnreadable = "unreadable"
	// stateInDoubt is of a grant whose last refresh got no answer.
	stateInDoubt = "in doubt"
)

func (a *app) listCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the accounts of all profiles", Args: noArgs,
		Long: `List the accounts that are kept, of all profiles or of the one given with
--profile, and with --account those of that name alone. Every record is read; the issuer
is not asked. A shared store is asked for what it shows of many accounts at once: there
the time of the last refresh is exact to an hour, and only status shows which machine has
claimed an account.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, s, err := a.openConfig()
			if err != nil {
				return err
			}
			accounts, err := s.Accounts(cmd.Context())
			if err != nil {
				return err
			}
			a.warnOfMoved(c, s, accounts)
			one := a.namesAccount(cmd)
			accounts = slices.DeleteFunc(accounts, func(n store.Account) bool {
				return a.flags.profile != "" && n.Key.Profile != a.flags.profile || one && n.Key.Account != a.flags.account
			})
			if len(accounts) == 0 && a.flags.profile != "" { // one that was removed may have left accounts
				if _, err := c.profile(a.flags.profile); err != nil {
					return err
				}
			}
			return errors.Join(a.printList(accounts, one), unreadableAccounts(accounts))
		},
	}
}

// unreadableAccounts is the error of the accounts whose records cannot be read.
func unreadableAccounts(accounts []store.Account) error {
	failed := 0
	var first error
	for _, n := range accounts {
		if n.Err != nil {
			failed++
			if first == nil {
				first = fmt.Errorf("%s: %w", named(n.Note), n.Err)
			}
		}
	}
	if failed == 0 {
		return nil
	}
	return fmt.Errorf("list: %d of %d records cannot be read, the first %w", failed, len(accounts), first)
}

// printList prints accounts. With one, those of one name were asked for.
func (a *app) printList(notes []store.Account, one bool) error {
	if a.flags.json {
		all := make([]map[string]any, len(notes))
		for i, n := range notes {
			all[i] = accountJSON(n, a.accountState(n))
		}
		return a.printJSON(all)
	}
	if len(notes) == 0 {
		what := "no accounts are kept"
		if a.flags.profile != "" || one {
			what = "no such account is kept"
		}
		next := hint.Do(hint.Words("; to make one: "), hint.Run("exchange", "--token-file", "FILE").For(a.flags.profile, a.flags.account))
		fmt.Fprintln(a.Stderr, what+oneLine(next.Text(a.given)))
		return nil
	}
	var t table
	t.row("PROFILE", "ACCOUNT", "KIND", "SUBJECT", "REFRESHED", "ENDS", "STATE")
	for _, n := range notes {
		t.row(n.Key.Profile, clean(n.Key.Account), kindWord(n.Note),
			clean(or(n.Username, n.Subject, "-")), ago(n.Refreshed, a.Now()), ahead(n.RefreshExpiry, a.Now()), a.accountState(n))
	}
	return a.printTable(t)
}

// accountState is state for a record that was read, or could not be.
func (a *app) accountState(n store.Account) string {
	switch {
	case n.Err != nil:
		return stateUnreadable
	case n.Doubt != nil && n.RevokedBy == "":
		return stateInDoubt
	}
	return a.state(n.Note)
}

func (a *app) state(n store.Note) string {
	switch {
	case n.RevokedBy != "":
		return stateDead
	case !n.RefreshExpiry.IsZero() && !n.RefreshExpiry.After(a.Now()):
		return stateExpired
	}
	return stateOK
}

func kindWord(n store.Note) string {
	if n.Offline {
		return "offline"
	}
	return "online"
}

func accountJSON(n store.Account, state string) map[string]any {
	m := map[string]any{
		"profile": n.Key.Profile, "account": n.Key.Account, "state": state, "kind": kindWord(n.Note),
		"subject": n.Subject, "username": n.Username, "issuer": n.Issuer, "client_id": n.ClientID,
		"scope": strings.Join(n.Scopes, " "), "created_at": jsonTime(n.Created), "refreshed_at": jsonTime(n.Refreshed),
		"refresh_expires_at": jsonTime(n.RefreshExpiry), "access_expires_at": jsonTime(n.TokenExpiry), "store": n.Backend,
	}
	if n.RevokedBy != "" {
		m["refused"], m["refused_at"] = n.RevokedBy, jsonTime(n.RevokedAt)
	}
	if missing := missingScopes(n.Note); len(missing) > 0 {
		m["missing_scope"] = strings.Join(missing, " ")
	}
	if n.Doubt != nil {
		m["unanswered_since"] = jsonTime(n.Doubt.Since)
		if n.Doubt.Node != "" {
			m["unanswered_by"] = n.Doubt.Node
		}
	}
	if n.Claim != nil {
		m["claimed_by"], m["claimed_at"] = n.Claim.Node, jsonTime(n.Claim.Since)
	}
	return m
}

func clean(s string) string { return oidc.Clean(s) }
