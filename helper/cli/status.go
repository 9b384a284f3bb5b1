package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper"
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

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show what is kept for an account, and whether it is alive", Args: noArgs,
		Long: `Show what is kept for the account: offline or online, its subject, scopes, age, last
refresh, expiry, and the store. The issuer is not asked.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, r, err := a.openHelper()
			if err != nil {
				return err
			}
			key := store.Key{Profile: r.Profile.Name, Account: r.Account}
			// Loading shows that the store can be read, and mends the note.
			_, err = h.Store.Load(cmd.Context(), key)
			if errors.Is(err, store.ErrNotFound) {
				return &hint.Error{
					Kind: helper.ErrLoginRequired, Detail: fmt.Sprintf("nothing is stored for %s/%s", key.Profile, key.Account),
					Remedy: append(hint.Do(hint.Run("list"), hint.Words(" shows all accounts; ")), comeBack(key.Profile, key.Account)...),
				}
			}
			if err != nil {
				return err
			}
			note, err := h.Store.Note(key)
			if err != nil {
				return err
			}
			if a.flags.json {
				return a.printJSON(accountJSON(note, a.state(note)))
			}
			a.printStatus(note)
			return nil
		},
	}
}

func (a *app) listCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the accounts of all profiles", Args: noArgs,
		Long: `List the accounts that are kept, of all profiles or of the one given with
--profile, from notes that hold no secret.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, s, err := a.openConfig()
			if err != nil {
				return err
			}
			accounts, err := s.Accounts(cmd.Context())
			if err != nil {
				return err
			}
			accounts = slices.DeleteFunc(accounts, func(n store.Account) bool {
				return a.flags.profile != "" && n.Key.Profile != a.flags.profile
			})
			return errors.Join(a.printList(accounts), unreadableAccounts(accounts))
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

func (a *app) printList(notes []store.Account) error {
	if a.flags.json {
		all := make([]map[string]any, len(notes))
		for i, n := range notes {
			all[i] = accountJSON(n.Note, a.accountState(n))
		}
		return a.printJSON(all)
	}
	if len(notes) == 0 {
		fmt.Fprintln(a.Stderr, "no accounts are kept; t2-cred exchange makes one")
		return nil
	}
	w := tabwriter.NewWriter(a.people(), 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "PROFILE\tACCOUNT\tKIND\tSUBJECT\tREFRESHED\tENDS\tSTATE")
	for _, n := range notes {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", n.Key.Profile, clean(n.Key.Account), kindWord(n.Note),
			clean(or(n.Username, n.Subject, "-")), ago(n.Refreshed, a.Now()), ahead(n.RefreshExpiry, a.Now()), a.accountState(n))
	}
	return w.Flush()
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

func (a *app) printStatus(n store.Note) {
	now := a.Now()
	line := func(name, format string, args ...any) {
		fmt.Fprintf(a.people(), "%-14s %s\n", name+":", fmt.Sprintf(format, args...))
	}
	line("account", "%s/%s", n.Key.Profile, clean(n.Key.Account))
	line("state", "%s", a.state(n))
	if n.RevokedBy != "" {
		line("refused", "%s: %s", ago(n.RevokedAt, now), clean(n.RevokedBy))
	}
	line("kind", "%s", kindWord(n))
	line("subject", "%s", clean(strings.TrimSpace(n.Username+" "+n.Subject)))
	line("issuer", "%s", clean(n.Issuer))
	line("client", "%s", clean(n.ClientID))
	line("scopes", "%s", clean(strings.Join(n.Scopes, " ")))
	line("kept since", "%s", ago(n.Created, now))
	line("last refresh", "%s", ago(n.Refreshed, now))
	line("grant", "%s", ahead(n.RefreshExpiry, now))
	line("access token", "%s", ahead(n.TokenExpiry, now))
	line("kept in", "%s", n.Backend)
	// The issuer ends an idle grant without telling; Keycloak's default is 30 days.
	if idle := now.Sub(lastUse(n)); n.Offline && n.RevokedBy == "" && idle > 20*day {
		a.warn(fmt.Sprintf("not used for %d days; Keycloak forgets offline sessions after 30 days unless told otherwise: t2-cred keepalive", idle/day))
	}
}

// lastUse is when the issuer last saw the grant, as far as we know.
func lastUse(n store.Note) time.Time {
	if n.Refreshed.After(n.Created) {
		return n.Refreshed
	}
	return n.Created
}

func accountJSON(n store.Note, state string) map[string]any {
	m := map[string]any{
		"profile": n.Key.Profile, "account": n.Key.Account, "state": state, "kind": kindWord(n),
		"subject": n.Subject, "username": n.Username, "issuer": n.Issuer, "client_id": n.ClientID,
		"scope": strings.Join(n.Scopes, " "), "created_at": jsonTime(n.Created), "refreshed_at": jsonTime(n.Refreshed),
		"refresh_expires_at": jsonTime(n.RefreshExpiry), "access_expires_at": jsonTime(n.TokenExpiry), "store": n.Backend,
	}
	if n.RevokedBy != "" {
		m["refused"], m["refused_at"] = n.RevokedBy, jsonTime(n.RevokedAt)
	}
	return m
}

func clean(s string) string { return oidc.Clean(s) }
