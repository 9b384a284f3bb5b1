package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/store"
)

const (
	day = 24 * time.Hour
	// keepalivePause is between two refreshes at one issuer: a thousand accounts are
	// no reason to take it by storm.
	keepalivePause = 500 * time.Millisecond
	// keepaliveTries is after how many failures in a row an issuer is left alone.
	keepaliveTries = 3
	// keepaliveEach bounds one refresh.
	keepaliveEach = 30 * time.Second
)

// What keepalive says of an account, beside stateDead.
const (
	keptRefreshed = "refreshed"
	keptInUse     = "in use"
	keptFailed    = "failed"
)

func (a *app) keepaliveCommand() *cobra.Command {
	older := days(7 * day)
	cmd := &cobra.Command{
		Use: "keepalive", Short: "Refresh the accounts that were not used for a while", Args: noArgs,
		Annotations: map[string]string{ownTimeout: "15m"}, // it may have a thousand accounts to see to
		Long: `Refresh each account that was last refreshed longer ago than --older-than, the longest
unused first. --profile and --account choose among all accounts. An issuer ends an offline
session that lies idle and tells nobody; Keycloak does so after 30 days. Run this once a
day from a timer or cron.

One account is refreshed at a time, with a pause between two at one issuer. An issuer that
fails three times in a row is not asked again until the next run. A failure does not stop
the other accounts. The report always goes to standard output. The exit code is 0 when all
grants are alive, and 4 when one has ended and its user has to come back. Otherwise it is
that of the first failure.`,
		Example: `  t2-cred keepalive
  t2-cred keepalive --profile gep --older-than 12h`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, s, err := a.openConfig()
			if err != nil {
				return err
			}
			account := ""
			if cmd.Flags().Changed("account") || a.Getenv("T2_CRED_ACCOUNT") != "" {
				account = a.flags.account
			}
			notes, err := a.toKeep(cmd.Context(), s, account)
			if err != nil {
				return err
			}
			k := &keeper{app: a, config: c, helper: a.newHelper(s), olderThan: time.Duration(older), last: map[string]time.Time{}, failed: map[string][]error{}}
			return k.keepAll(cmd.Context(), notes)
		},
	}
	cmd.Flags().Var(&older, "older-than", "refresh what was last refreshed longer ago than this, such as 7d or 12h")
	return cmd
}

// toKeep are the accounts that are meant, the longest unused first.
func (a *app) toKeep(ctx context.Context, s *store.Store, account string) ([]store.Account, error) {
	notes, err := s.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	notes = slices.DeleteFunc(notes, func(n store.Account) bool {
		return a.flags.profile != "" && n.Key.Profile != a.flags.profile || account != "" && n.Key.Account != account
	})
	if len(notes) == 0 && (a.flags.profile != "" || account != "") {
		return nil, &hint.Error{Kind: helper.ErrLoginRequired, Detail: "keepalive: nothing is stored for what was chosen", Remedy: hint.Do(hint.Run("list"))}
	}
	slices.SortStableFunc(notes, func(x, y store.Account) int { return lastUse(x.Note).Compare(lastUse(y.Note)) })
	return notes, nil
}

// A keeper goes through accounts.
type keeper struct {
	*app
	config    *config
	helper    *helper.Helper
	olderThan time.Duration
	last      map[string]time.Time // by issuer, when it was last asked
	failed    map[string][]error   // by client, in a row
}

// kept is what became of one account.
type kept struct {
	note  store.Note
	state string
	err   error
}

func (k *keeper) keepAll(ctx context.Context, notes []store.Account) error {
	var all []kept
	var stopped error
	for _, n := range notes {
		one := kept{n.Note, keptFailed, cmp.Or(n.Err, stopped)}
		if one.err == nil {
			one = k.keep(ctx, n.Note)
		}
		if errors.Is(one.err, context.Canceled) {
			return one.err
		}
		all = append(all, one)
		if !k.flags.json {
			fmt.Fprintf(k.people(), "%-9s  %s  %s\n", one.state, named(n.Note), one.words(k.Now()))
		}
		if stopped == nil && one.storeFailed() { // for all, or for this one record?
			if err := k.helper.Store.Check(ctx); err != nil {
				stopped = fmt.Errorf("not asked, as the store cannot be read: %w", err)
			}
		}
	}
	if k.flags.json {
		if err := k.printJSON(map[string]any{"accounts": keptJSON(all)}); err != nil {
			return err
		}
	} else if len(notes) == 0 {
		fmt.Fprintln(k.Stderr, "no accounts are kept; t2-cred exchange makes one")
	}
	return keptError(all)
}

// keep sees to one account.
func (k *keeper) keep(ctx context.Context, n store.Note) kept {
	// The others took their time: it may have been used, or erased, by now.
	now, err := k.helper.Store.Note(n.Key)
	if err == nil {
		n = now
	}
	dead := func(why string) kept {
		return kept{n, stateDead, &hint.Error{Kind: helper.ErrLoginRequired, Detail: why}}
	}
	switch state := k.state(n); {
	case errors.Is(err, store.ErrNotFound):
		return kept{n, keptInUse, nil}
	case state == stateDead:
		return dead(fmt.Sprintf("the issuer ended the grant %s: %s", ago(n.RevokedAt, k.Now()), clean(n.RevokedBy)))
	case state == stateExpired:
		return dead("the grant " + ahead(n.RefreshExpiry, k.Now()))
	case k.Now().Sub(lastUse(n)) < k.olderThan:
		return kept{n, keptInUse, nil}
	case len(k.failed[clientOf(n)]) >= keepaliveTries:
		return kept{n, keptFailed, fmt.Errorf("not asked, as it has just failed %d times in a row: %w", keepaliveTries, k.failed[clientOf(n)][keepaliveTries-1])}
	}
	if err := k.pause(ctx, n.Issuer); err != nil {
		return kept{n, keptFailed, err}
	}
	err = k.refresh(ctx, n.Key)
	k.last[n.Issuer] = time.Now()
	if err == nil {
		delete(k.failed, clientOf(n))
		return kept{n, keptRefreshed, nil}
	}
	switch code, _ := classify(err); code {
	case exitLogin:
		return kept{n, stateDead, err}
	case exitUnreachable, exitRefused: // also a client that is refused is not sent a thousand times
		k.failed[clientOf(n)] = append(k.failed[clientOf(n)], err)
	}
	return kept{n, keptFailed, err}
}

// clientOf names the client at its issuer.
func clientOf(n store.Note) string { return n.ClientID + " at " + n.Issuer }

func (k *keeper) refresh(ctx context.Context, key store.Key) error {
	p, err := k.config.profile(key.Profile)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, keepaliveEach)
	defer cancel()
	_, err = k.helper.Get(ctx, helper.Request{Profile: p, Account: key.Account, Fresh: true})
	return err
}

// pause waits until the issuer may be asked again.
func (k *keeper) pause(ctx context.Context, issuer string) error {
	timer := time.NewTimer(time.Until(k.last[issuer].Add(keepalivePause)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return fmt.Errorf("not reached within --timeout: %w", ctx.Err())
		}
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// comeBack is what an account needs whose grant is over.
func comeBack(profile, account string) hint.Remedy {
	return hint.Do(hint.Run("exchange").For(profile, account).With("--token-file", "FILE"),
		hint.Words(", or "), hint.Run("login").For(profile, account))
}

func named(n store.Note) string { return n.Key.Profile + "/" + clean(n.Key.Account) }

func (o kept) storeFailed() bool {
	if o.err == nil {
		return false
	}
	code, _ := classify(o.err)
	return code == exitStore
}

func (o kept) words(now time.Time) string {
	switch {
	case o.err != nil:
		return oneLine(o.err.Error())
	case o.state == keptRefreshed:
		return "not used for " + span(now.Sub(lastUse(o.note)))
	}
	return "refreshed " + ago(lastUse(o.note), now)
}

func keptJSON(all []kept) []map[string]any {
	list := make([]map[string]any, len(all))
	for i, o := range all {
		list[i] = map[string]any{
			"profile": o.note.Key.Profile, "account": o.note.Key.Account, "state": strings.ReplaceAll(o.state, " ", "_"),
			"last_use_before": jsonTime(lastUse(o.note)),
		}
		if o.err != nil {
			code, name := classify(o.err)
			list[i]["error"] = map[string]any{"code": name, "exit": code, "message": oneLine(o.err.Error())}
		}
	}
	return list
}

// keptError is the error of the whole: the dead come first, since a person has to do
// something about them.
func keptError(all []kept) error {
	var dead, failed []kept
	for _, o := range all {
		switch o.state {
		case stateDead:
			dead = append(dead, o)
		case keptFailed:
			failed = append(failed, o)
		}
	}
	switch {
	case len(dead) > 0:
		key := dead[0].note.Key
		return &hint.Error{
			Kind: helper.ErrLoginRequired, Detail: fmt.Sprintf("keepalive: %d of %d dead, the first %s: %v", len(dead), len(all), named(dead[0].note), dead[0].err),
			Remedy: append(hint.Say("its user has to come back: "), comeBack(key.Profile, key.Account)...),
		}
	case len(failed) > 0:
		return fmt.Errorf("keepalive: %d of %d not refreshed, the first %s: %w", len(failed), len(all), named(failed[0].note), failed[0].err)
	}
	return nil
}

// days is a duration that may be given in days.
type days time.Duration

// Set implements pflag.Value.
func (d *days) Set(s string) error {
	if n, ok := strings.CutSuffix(s, "d"); ok {
		if whole, err := strconv.Atoi(n); err == nil && whole >= 0 && whole <= 3650 {
			*d = days(time.Duration(whole) * day)
			return nil
		}
	}
	parsed, err := time.ParseDuration(s)
	if err != nil || parsed < 0 {
		return errors.New("not a duration such as 7d or 12h")
	}
	*d = days(parsed)
	return nil
}

func (d *days) String() string {
	if *d > 0 && time.Duration(*d)%day == 0 {
		return fmt.Sprintf("%dd", time.Duration(*d)/day)
	}
	return time.Duration(*d).String()
}

// Type implements pflag.Value; it is what help calls a value.
func (*days) Type() string { return "duration" }
