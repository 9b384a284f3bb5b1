package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/store"
)

func (a *app) statusCommand() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use: "status", Short: "Show what is kept for an account, and whether it is alive", Args: noArgs,
		Long: `Show what is kept for the account: offline or online, its subject, scopes, age, last
refresh, expiry, and the store. The issuer is not asked.

With --check the issuer is asked whether the refresh token is active (token
introspection, RFC 7662), which spends nothing. Its answer counts only if it has called
this grant active before: some issuers call every refresh token inactive.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, r, err := a.openHelper()
			if err != nil {
				return err
			}
			account, err := a.readAccount(cmd.Context(), h, r)
			if err != nil {
				return err
			}
			said := ""
			if check {
				said, err = a.checkGrant(cmd.Context(), h, r)
				if err != nil && errors.Is(err, context.Canceled) {
					return err
				}
			}
			if a.flags.json {
				m := accountJSON(account, a.accountState(account))
				for name, who := range a.actors(cmd.Context(), h, r, account) {
					m[name] = who
				}
				if len(r.Profile.Narrow) > 0 {
					m["narrow"] = narrowJSON(r.Profile.Narrow)
				}
				if check {
					m["checked"] = strings.ReplaceAll(said, " ", "_")
				}
				return a.printJSON(m)
			}
			a.printStatus(account)
			actors := a.actors(cmd.Context(), h, r, account)
			for _, name := range slices.Sorted(maps.Keys(actors)) {
				a.statusLine(strings.ReplaceAll(name, "_", " "), "%s", clean(actors[name]))
			}
			for _, rule := range r.Profile.Narrow {
				a.statusLine("narrow", "%s", narrowLine(rule))
			}
			if check {
				if err != nil {
					said += ": " + oneLine(err.Error())
				}
				a.statusLine("issuer says", "%s", said)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "ask the issuer whether the grant is active; nothing is spent")
	return cmd
}

// actors are whom the cached access token names as acting for the user (actor), or as
// allowed to (may_act). The token was verified when it was cached, or nothing is said.
func (a *app) actors(ctx context.Context, h *helper.Helper, r helper.Request, account store.Account) map[string]string {
	token, err := h.Store.Token(ctx, account.Key)
	if err != nil || !account.Verified || r.Profile.AccessToken == "opaque" {
		return nil
	}
	found := map[string]string{}
	act, mayAct := oidc.Actors(token.AccessToken)
	if who := actor(act); who != "" {
		found["actor"] = who
	}
	if who := actor(mayAct); who != "" {
		found["may_act"] = who
	}
	return found
}

// nearAccount proposes the account that a mistyped one is nearest to. It looks at this
// machine's notes alone, and says nothing of what it cannot read.
func nearAccount(s *store.Store, typed store.Key) string {
	notes, err := s.LocalNotes()
	if err != nil {
		return ""
	}
	var known []string
	for _, n := range notes {
		if n.Key.Profile == typed.Profile && n.Key.Account != typed.Account {
			known = append(known, clean(n.Key.Account))
		}
	}
	return didYouMean(typed.Account, known)
}

// readAccount reads the record of the account that is meant.
func (a *app) readAccount(ctx context.Context, h *helper.Helper, r helper.Request) (store.Account, error) {
	key := store.Key{Profile: r.Profile.Name, Account: r.Account}
	account, err := h.Store.Account(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		if h.Elsewhere != nil {
			if moved := h.Elsewhere(ctx, key); moved != nil {
				return account, moved
			}
		}
		return account, &hint.Error{
			Kind: helper.ErrLoginRequired, Detail: fmt.Sprintf("nothing is stored for %s/%s%s", key.Profile, key.Account, nearAccount(h.Store, key)),
			Remedy: append(hint.Do(hint.Run("list"), hint.Words(" shows all accounts; ")), a.comeBack(r.Profile.Issuer, key.Profile, key.Account)...),
		}
	}
	if err == nil {
		err = account.Err
	}
	return account, err
}

// What the issuer says of a grant.
const (
	grantActive   = "active"
	grantInactive = "inactive"
	grantUnknown  = "cannot tell"
)

// checkGrant asks the issuer. The error says why it cannot tell.
func (a *app) checkGrant(ctx context.Context, h *helper.Helper, r helper.Request) (string, error) {
	switch active, told, err := h.Active(ctx, r); {
	case !told:
		return grantUnknown, err
	case active:
		return grantActive, nil
	}
	return grantInactive, nil
}

func (a *app) statusLine(name, format string, args ...any) {
	text := string(escape(fmt.Appendf(nil, format, args...), textEscape))
	if name == "state" {
		text = a.look().paint(text)
	}
	fmt.Fprintf(a.Stdout, "%-14s %s\n", name+":", text)
}

func (a *app) printStatus(n store.Account) {
	now, line := a.Now(), a.statusLine
	line("account", "%s/%s", n.Key.Profile, clean(n.Key.Account))
	line("state", "%s", a.accountState(n))
	if n.Doubt != nil {
		line("in doubt", "%s", doubtWords(n.Doubt))
	}
	if n.Claim != nil {
		line("claimed by", "%s", holderWords(n.Claim))
	}
	if n.RevokedBy != "" {
		line("refused", "%s: %s", ago(n.RevokedAt, now), clean(n.RevokedBy))
	}
	line("kind", "%s", kindWord(n.Note))
	line("subject", "%s", clean(strings.TrimSpace(n.Username+" "+n.Subject)))
	line("issuer", "%s", clean(n.Issuer))
	line("client", "%s", clean(n.ClientID))
	line("scopes", "%s", clean(or(strings.Join(n.Scopes, " "), "those asked for, as the issuer names none")))
	if len(n.Asked) > 0 {
		line("asked for", "%s", clean(strings.Join(n.Asked, " ")))
	}
	if missing := missingScopes(n.Note); len(missing) > 0 {
		line("not granted", "%s", clean(strings.Join(missing, " ")))
	}
	line("kept since", "%s", ago(n.Created, now))
	line("last refresh", "%s", ago(n.Refreshed, now))
	line("grant", "%s", ahead(n.RefreshExpiry, now))
	if n.TokenExpiry.IsZero() { // the cache keeps no token longer than it is valid
		line("access token", "none in the cache, or its end is unknown")
	} else {
		line("access token", "%s", ahead(n.TokenExpiry, now))
	}
	line("kept in", "%s", n.Backend)
	// An issuer ends an idle grant without telling; Keycloak's default is 30 days.
	if last := lastUse(n.Note, now); n.Offline && n.RevokedBy == "" && !last.IsZero() && now.Sub(last) > 20*day {
		a.warn(fmt.Sprintf("not used for %d days; many issuers end a grant that is idle for 30 days: t2-cred keepalive", now.Sub(last)/day))
	}
}

// doubtWords say what a refresh without an answer means.
func doubtWords(d *store.Doubt) string {
	where := ""
	switch {
	case d.Node != "" && !d.Lost:
		return fmt.Sprintf("machine %s claimed the refresh of %s and has not stored an answer; the issuer may have replaced the token",
			clean(d.Node), d.Since.UTC().Format("2006-01-02 15:04Z"))
	case d.Node != "":
		where = " on machine " + clean(d.Node)
	case d.Elsewhere:
		where = " on another machine"
	}
	return fmt.Sprintf("the refresh of %s%s got no answer; the issuer may have replaced the token", d.Since.UTC().Format("2006-01-02 15:04Z"), where)
}

// missingScopes are those that were asked for and not granted. Some issuers leave openid
// and offline_access out of the list of what they granted.
func missingScopes(n store.Note) []string {
	return slices.DeleteFunc(helper.NotGranted(n.Asked, n.Scopes), func(scope string) bool {
		return scope == "openid" || scope == "offline_access" && n.Offline
	})
}

// lastUse is when the issuer last saw the grant, as far as we know. A time to come is
// no proof of a use; the zero time is of an account that has no other.
func lastUse(n store.Note, now time.Time) (last time.Time) {
	for _, t := range []time.Time{n.Created, n.Refreshed} {
		if t.After(last) && t.Sub(now) <= time.Second {
			last = t
		}
	}
	return last
}
