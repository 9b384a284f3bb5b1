package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/store"
)

// A keptReport says what became of each account: a line each as it comes or, for --json,
// one value at the end.
type keptReport struct {
	*app
	all []outcome
}

func (r *keptReport) add(one outcome) {
	r.all = append(r.all, one)
	if !r.flags.json {
		fmt.Fprintf(r.people(), "%-9s  %s  %s\n", one.state, named(one.account.Note), one.words(r.Now()))
	}
}

func (r *keptReport) end() error {
	if !r.flags.json {
		return nil
	}
	return r.printJSON(map[string]any{"accounts": keptJSON(r.all)})
}

// comeBack is what an account needs whose grant is over. An exchange is left out where the
// issuer is known to have none.
func (a *app) comeBack(issuer, profile, account string) hint.Remedy {
	return comeBackBy(oidc.New(issuer, a.issuerOptions(helper.Profile{Issuer: issuer})).MayExchange(), profile, account)
}

func comeBackBy(exchange bool, profile, account string) hint.Remedy {
	if !exchange {
		return hint.Do(hint.Run("login").For(profile, account))
	}
	return hint.Do(hint.Run("exchange").For(profile, account).With("--token-file", "FILE"),
		hint.Words(", or "), hint.Run("login").For(profile, account))
}

// comeBackOrAsk is comeBack for a grant that the issuer has refused, perhaps for a while
// only.
func (a *app) comeBackOrAsk(issuer, profile, account string) hint.Remedy {
	return orAsk(a.comeBack(issuer, profile, account), profile, account)
}

func orAsk(again hint.Remedy, profile, account string) hint.Remedy {
	return append(again, hint.Words("; or, if the user was only disabled temporarily: "),
		hint.Run("get", "--fresh").For(profile, account))
}

func named(n store.Note) string { return n.Key.Profile + "/" + clean(n.Key.Account) }

func (o outcome) words(now time.Time) string {
	n := o.account.Note
	switch {
	case o.err != nil:
		return oneLine(o.err.Error())
	case n.Refreshed.Sub(now) > time.Second:
		return "last refresh " + ago(n.Refreshed, now)
	case o.state == keptRefreshed && lastUse(n, now).IsZero():
		return "never used before"
	case o.state == keptRefreshed:
		return "not used for " + span(now.Sub(lastUse(n, now)))
	}
	return "refreshed " + ago(lastUse(n, now), now)
}

func keptJSON(all []outcome) []map[string]any {
	list := make([]map[string]any, len(all))
	for i, o := range all {
		list[i] = map[string]any{
			"profile": o.account.Key.Profile, "account": o.account.Key.Account, "state": strings.ReplaceAll(o.state, " ", "_"),
			"last_use_before": jsonTime(latest(o.account.Note)),
		}
		if o.err != nil {
			code, name := classify(o.err)
			list[i]["error"] = map[string]any{"code": name, "exit": code, "message": oneLine(o.err.Error())}
		}
	}
	return list
}

// latest is the last use as it was written down, also when it is a time to come.
func latest(n store.Note) time.Time {
	if n.Refreshed.After(n.Created) {
		return n.Refreshed
	}
	return n.Created
}

// keptError is the error of the whole: the dead come first, since a person has to do
// something about them.
func (r *keptReport) keptError() error {
	all := r.all
	var dead, failed []outcome
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
		n := dead[0].account.Note
		remedy := r.comeBack(n.Issuer, n.Key.Profile, n.Key.Account)
		if n.RefreshExpiry.IsZero() {
			remedy = r.comeBackOrAsk(n.Issuer, n.Key.Profile, n.Key.Account)
		}
		return &hint.Error{
			Kind: helper.ErrLoginRequired, Detail: fmt.Sprintf("keepalive: %d of %d dead, the first %s: %v", len(dead), len(all), named(n), dead[0].err),
			Remedy: append(hint.Say("its user has to come back: "), remedy...),
		}
	case len(failed) > 0:
		return fmt.Errorf("keepalive: %d of %d not refreshed, the first %s: %w", len(failed), len(all), named(failed[0].account.Note), failed[0].err)
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
