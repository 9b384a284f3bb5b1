package cli

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/store"
)

const (
	day = 24 * time.Hour
	// keepaliveEach bounds one refresh.
	keepaliveEach = 30 * time.Second
	// keepaliveRate is how often one issuer is asked in a second.
	keepaliveRate = 20
	// askAgain is after how long an issuer is asked again about a grant that it has
	// refused: the user may have been disabled for a while only.
	askAgain = day
)

// What keepalive says of an account, beside stateDead.
const (
	keptRefreshed = "refreshed"
	keptInUse     = "in use"
	keptFailed    = "failed"
)

func (a *app) keepaliveCommand() *cobra.Command {
	older, rate := days(7*day), float64(keepaliveRate)
	cmd := &cobra.Command{
		Use: "keepalive", Short: "Refresh the accounts that were not used for a while", Args: noArgs,
		Annotations: map[string]string{ownTimeout: "15m"}, // it may have ten thousand accounts to see to
		Long: `Refresh each account that was last refreshed longer ago than --older-than, the longest
unused first. --profile and --account choose among all accounts. An issuer ends an offline
session that lies idle and tells nobody; Keycloak does so after 30 days. Run this once a
day from a timer or cron.

Up to 8 accounts are refreshed at once. One issuer is asked --rate times a second, and
less often while it asks to slow down (429, Retry-After). A client whose requests fail
three times in a row is not used again until the next run. A failure does not stop the other
accounts. The issuer is asked about an ended grant again once a day. Run it again after an
interruption: it goes on with the accounts that are left. Several machines of a shared store
may run it at once. They share the work.

The report always goes to standard output. The exit code is 0 when all grants are alive,
and 4 when one has ended and its user has to come back. Otherwise it is that of the first
failure.`,
		Example: `  t2-cred keepalive
  t2-cred keepalive --profile gep --older-than 12h`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if rate <= 0 {
				return usageError(errors.New("--rate must be positive"))
			}
			c, s, err := a.openConfig()
			if err != nil {
				return err
			}
			account := ""
			if a.namesAccount(cmd) {
				account = a.flags.account
			}
			accounts, err := a.toKeep(cmd.Context(), c, s, account)
			if err != nil {
				return err
			}
			again := hint.Run("keepalive").For(a.flags.profile, "")
			if account != "" { // the default one, too: without the flag all are meant
				again = again.With("--account", account)
			}
			for _, name := range []string{"older-than", "rate"} {
				if f := cmd.Flags().Lookup(name); f.Changed {
					again = again.With("--"+name, f.Value.String())
				}
			}
			k := &keeper{app: a, config: c, store: s, olderThan: time.Duration(older), rate: rate, again: again}
			return k.keepAll(cmd.Context(), accounts)
		},
	}
	cmd.Flags().Var(&older, "older-than", "refresh what was last refreshed longer ago than this, such as 7d or 12h")
	cmd.Flags().Float64Var(&rate, "rate", rate, "how often one issuer is asked in a second")
	return cmd
}

// toKeep are the accounts that are meant, the longest unused first.
func (a *app) toKeep(ctx context.Context, c *config, s *store.Store, account string) ([]store.Account, error) {
	accounts, err := s.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	a.warnOfMoved(c, s, accounts)
	accounts = slices.DeleteFunc(accounts, func(n store.Account) bool {
		return a.flags.profile != "" && n.Key.Profile != a.flags.profile || account != "" && n.Key.Account != account
	})
	if len(accounts) == 0 && a.flags.profile != "" {
		if _, err := c.profile(a.flags.profile); err != nil {
			return nil, err
		}
	}
	if len(accounts) == 0 && (a.flags.profile != "" || account != "") {
		return nil, &hint.Error{Kind: helper.ErrLoginRequired, Detail: "keepalive: nothing is stored for the chosen accounts", Remedy: hint.Do(hint.Run("list"))}
	}
	now := a.Now()
	used := func(n store.Account) time.Time { return lastUse(n.Note, now) }
	if s.Shared() { // machines that run this at once begin with different accounts
		rand.Shuffle(len(accounts), func(i, j int) { accounts[i], accounts[j] = accounts[j], accounts[i] })
		used = func(n store.Account) time.Time { return lastUse(n.Note, now).Truncate(day) }
	}
	sort.SliceStable(accounts, func(i, j int) bool { return used(accounts[i]).Before(used(accounts[j])) })
	return accounts, nil
}

// A keeper goes through accounts.
type keeper struct {
	*app
	config    *config
	store     *store.Store
	olderThan time.Duration
	rate      float64
	again     hint.Command // this one

	mu      sync.Mutex
	stopped error // the store cannot be read at all
}

func (k *keeper) keepAll(ctx context.Context, accounts []store.Account) error {
	report := &keptReport{app: k.app}
	c := &crowd{
		app: k.app, what: "keepalive", rate: k.rate, ready: k.ready, ask: k.ask,
		tell: func(one outcome) {
			if one.state == "" {
				one.state = keptFailed
			}
			report.add(one)
		},
	}
	_, reached := c.run(ctx, k.store, accounts)
	if err := report.end(); err != nil {
		return err
	}
	if len(accounts) == 0 {
		if !k.flags.json {
			fmt.Fprintln(k.Stderr, "no accounts are kept; t2-cred exchange makes one")
		}
		return nil
	}
	if reached < len(accounts) && errors.Is(ctx.Err(), context.Canceled) {
		return &hint.Error{
			Kind: errInterrupted, Detail: fmt.Sprintf("keepalive: interrupted after %d of %d accounts", reached, len(accounts)),
			Remedy: hint.Do(hint.Words("to go on with the others: "), k.again),
		}
	}
	return report.keptError()
}

// ready decides on an account without asking the issuer, if it can.
func (k *keeper) ready(ctx context.Context, one *outcome) bool {
	one.state = keptFailed
	if err := k.readable(ctx, one.account.Err); err != nil {
		one.err = err
		return false
	}
	n, now := one.account.Note, k.Now()
	dead := func(why string) bool {
		one.state, one.err = stateDead, &hint.Error{Kind: helper.ErrLoginRequired, Detail: why}
		return false
	}
	switch state := k.state(n); {
	case state == stateDead:
		if since := now.Sub(n.RevokedAt); since >= 0 && since < askAgain {
			return dead(fmt.Sprintf("the issuer ended the grant %s: %s", ago(n.RevokedAt, now), clean(n.RevokedBy)))
		}
		return true
	case state == stateExpired:
		return dead("the grant " + ahead(n.RefreshExpiry, now))
	case now.Sub(lastUse(n, now)) < k.olderThan:
		one.state = keptInUse
		return false
	}
	return true
}

// readable is the error of a record that cannot be read. Once the store as a whole
// cannot be read, no further account is tried.
func (k *keeper) readable(ctx context.Context, err error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped != nil {
		return k.stopped
	}
	if codeOf(err) == exitStore {
		if storeErr := k.store.Check(ctx); storeErr != nil {
			k.stopped = fmt.Errorf("not asked, as the store cannot be read: %w", storeErr)
		}
	}
	return err
}

// newest is what is known of an account by now. Of a shared store the item is read, since
// another machine may have refreshed it.
func (k *keeper) newest(ctx context.Context, key store.Key) (store.Note, error) {
	if !k.store.Shared() {
		return k.store.Note(key)
	}
	account, err := k.store.Account(ctx, key)
	return account.Note, err
}

// ask refreshes one account, unless it was used or erased while the others had their
// turn.
func (k *keeper) ask(ctx context.Context, h *helper.Helper, one *outcome) error {
	n, now := one.account.Note, k.Now()
	if note, err := k.newest(ctx, n.Key); err == nil && note.Refreshed.After(n.Refreshed) && now.Sub(lastUse(note, now)) < k.olderThan {
		one.account.Note, one.state = note, keptInUse
		return nil
	}
	p, err := k.config.profile(n.Key.Profile)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, keepaliveEach)
	defer cancel()
	_, err = h.Get(ctx, helper.Request{Profile: p, Account: n.Key.Account, Fresh: true})
	switch code := codeOf(err); {
	case err == nil:
		one.state = keptRefreshed
	case code == exitLogin:
		if _, gone := k.newest(ctx, n.Key); errors.Is(gone, store.ErrNotFound) {
			one.state = keptInUse // it was erased meanwhile
			return nil
		}
		one.state = stateDead
	case code == exitStore:
		_ = k.readable(ctx, err)
	}
	return err
}
