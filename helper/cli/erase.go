package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/store"
)

// eraseEach bounds the erasure of one account, so that one whose lock is held does not
// stop the rest.
const eraseEach = 30 * time.Second

func (a *app) eraseCommand() *cobra.Command {
	var e eraser
	cmd := &cobra.Command{
		Use: "erase", Aliases: []string{"logout"}, Short: "Revoke the grant at the issuer, then forget it", Args: noArgs,
		Annotations: map[string]string{ownTimeout: "15m"}, // --all may have ten thousand accounts to see to
		Long: `Revoke the account's refresh token at the issuer (RFC 7009), then delete it and the
cached access token. If the revocation fails, the stored record is kept and the exit
code is not zero: without the record nobody could revoke the grant later. Accounts whose
grants end with it are named before.

With --all every account of the profile is erased, up to 8 at once, after a question on
a terminal. One that fails does not stop the others. Run it again after an interruption
or a failure: it goes on with the accounts that are left.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			chosen := a.namesAccount(cmd)
			if e.all && chosen {
				return usageError(errors.New("--all erases every account, and --account (T2_CRED_ACCOUNT) names one; choose one of the two"))
			}
			if !e.all && !cmd.Flags().Changed("timeout") && a.Getenv("T2_CRED_TIMEOUT") == "" {
				e.each = eraseEach
			}
			h, r, err := a.openHelper()
			if err != nil {
				return err
			}
			if err := a.refuseHookInput("erase"); err != nil {
				return err
			}
			e.app, e.helper, e.request = a, h, r
			if e.all {
				return e.eraseAll(cmd.Context())
			}
			return e.eraseOne(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&e.localOnly, "local-only", false, "forget it here without asking the issuer; the grant lives on there")
	cmd.Flags().BoolVar(&e.all, "all", false, "every account of the profile")
	cmd.Flags().BoolVar(&e.yes, "yes", false, "with --all: do not ask")
	return cmd
}

// An eraser is one run of erase.
type eraser struct {
	*app
	helper              *helper.Helper
	request             helper.Request
	localOnly, all, yes bool
	each                time.Duration // bounds the erasure of one account; 0 for --timeout alone
}

func (e *eraser) eraseOne(ctx context.Context) error {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	key := store.Key{Profile: e.request.Profile.Name, Account: e.request.Account}
	notes, err := e.helper.Store.Notes(ctx)
	if err != nil {
		return err
	}
	e.warnOfSiblings(ctx, notes, func(k store.Key) bool { return k == key })
	done, err := e.helper.Erase(ctx, e.request, e.localOnly)
	if err != nil {
		return fmt.Errorf("erase %s/%s: %w", key.Profile, key.Account, err)
	}
	fmt.Fprintf(e.Stderr, "%s\n", erased(done, key))
	return nil
}

func (e *eraser) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if e.each == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, e.each)
}

// erased says what became of an account, and that it was revoked only when the issuer
// said so.
func erased(done helper.Erasure, k store.Key) string {
	name := k.Profile + "/" + clean(k.Account)
	if done.Revoked {
		return "revoked and erased " + name
	}
	return fmt.Sprintf("erased here, not revoked: %s: %s", name, done.Why)
}

func (e *eraser) eraseAll(ctx context.Context) error {
	accounts, err := e.helper.Store.Accounts(ctx)
	if err != nil {
		return err
	}
	notes := make([]store.Note, len(accounts))
	for i, n := range accounts {
		notes[i] = n.Note
	}
	profile := e.request.Profile.Name
	accounts = slices.DeleteFunc(accounts, func(n store.Account) bool { return n.Key.Profile != profile })
	if len(accounts) == 0 {
		return &hint.Error{Kind: helper.ErrLoginRequired, Detail: "nothing is stored for profile " + profile, Remedy: hint.Do(hint.Run("list"))}
	}
	e.warnOfSiblings(ctx, notes, func(k store.Key) bool { return k.Profile == profile })
	if e.canAsk() && !e.yes {
		yes, err := e.confirm(fmt.Sprintf("Erase all %d accounts of profile %s?", len(accounts), profile))
		switch {
		case err != nil:
			return err
		case !yes:
			return notConfirmed("erase --all")
		}
	}
	e.each = eraseEach
	c := &crowd{
		app: e.app, what: "erase",
		ready: func(context.Context, *outcome) bool { return true },
		ask: func(ctx context.Context, h *helper.Helper, one *outcome) error {
			ctx, cancel := e.bounded(ctx)
			defer cancel()
			r := e.request
			r.Account = one.account.Key.Account
			done, err := h.Erase(ctx, r, e.localOnly)
			if errors.Is(err, helper.ErrLoginRequired) {
				done, err = helper.Erasure{Why: "another process erased it"}, nil
			}
			one.state = erased(done, one.account.Key)
			return err
		},
		tell: func(one outcome) {
			if one.err != nil {
				one.state = fmt.Sprintf("not erased %s: %s", named(one.account.Note), oneLine(one.err.Error()))
			}
			fmt.Fprintln(e.Stderr, one.state)
		},
	}
	all, reached := c.run(ctx, e.helper.Store, accounts)
	if reached < len(accounts) && errors.Is(ctx.Err(), context.Canceled) {
		again := hint.Run("erase", "--all")
		if e.localOnly {
			again = hint.Run("erase", "--all", "--local-only")
		}
		return &hint.Error{
			Kind: errInterrupted, Detail: fmt.Sprintf("erase: interrupted after %d of %d accounts", reached, len(accounts)),
			Remedy: hint.Do(hint.Words("to go on with the others: "), again.For(profile, "")),
		}
	}
	return eraseError(all)
}

// eraseError is the first failure and how many there were.
func eraseError(all []outcome) error {
	var first *outcome
	failed := 0
	for i := range all {
		if all[i].err == nil {
			continue
		}
		if failed++; first == nil {
			first = &all[i]
		}
	}
	if failed == 0 {
		return nil
	}
	return fmt.Errorf("erase: %d of %d accounts not erased, the first %s: %w", failed, len(all), named(first.account.Note), first.err)
}

// warnOfSiblings names the other accounts whose grants end too, once for each group.
func (e *eraser) warnOfSiblings(ctx context.Context, notes []store.Note, erased func(store.Key) bool) {
	if e.localOnly {
		return
	}
	siblings := e.helper.Siblings(ctx, e.request.Profile, notes, erased)
	warned := map[string]bool{}
	for _, n := range notes {
		if !erased(n.Key) {
			continue
		}
		others, group := siblings.Of(n)
		if len(others) == 0 || warned[group] {
			continue
		}
		warned[group] = true
		if siblings.Together {
			e.warn(fmt.Sprintf("revoking %s also ends %s: this Keycloak (before 26.1) ends all offline grants of a user and client; --local-only does not", named(n), namesOf(others)))
			continue
		}
		e.warn(fmt.Sprintf("%s comes from the same login session as %s, which revoking may end too (--local-only does not)", named(n), namesOf(others)))
	}
}

// maxNames is how many accounts one line names.
const maxNames = 20

func namesOf(notes []store.Note) string {
	var names []string
	for _, n := range notes[:min(len(notes), maxNames)] {
		names = append(names, named(n))
	}
	if more := len(notes) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}
