package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/store"
)

// checkConfig reads the configuration and settles the profile. A configuration that
// cannot be read leaves an empty one, so that the rest is looked at all the same.
func (d *doctor) checkConfig() []finding {
	const name = "config"
	files, err := d.configFiles()
	if err != nil {
		d.unprofiled = err
		return []finding{failing(name, err)}
	}
	d.request.Account = d.flags.account
	c, err := d.loadConfig()
	if err != nil {
		d.unprofiled = err
		if d.config, _ = d.readConfig(); d.config == nil && d.flags.store != "" {
			d.config = &config{path: files.hand, files: files, Profiles: map[string]profileConfig{}, guided: d.guided()}
		}
		return []finding{failing(name, err)} // which store is meant may not be known
	}
	d.config = c
	names := slices.Sorted(maps.Keys(c.Profiles))
	p, err := c.profile(d.flags.profile)
	if err != nil {
		d.unprofiled = err
		if d.flags.profile != "" {
			return []finding{failing(name, err)}
		}
		return []finding{warning(name, d.hintFor(err), "%v, so no issuer is checked", err)}
	}
	d.request.Profile, d.profiled = p, true
	shown := names[:min(len(names), 8)]
	text := fmt.Sprintf("%s, profile %s", files.hand, p.Name)
	if len(names) > 1 {
		text += fmt.Sprintf(" of %d: %s", len(names), strings.Join(shown, " "))
		if len(names) > len(shown) {
			text += " …"
		}
	}
	return []finding{fine(name, "%s", text)}
}

// checkVariables names the variables that somebody has set for t2-cred in vain.
func (d *doctor) checkVariables() (found []finding) {
	for _, u := range d.unread(d.root) {
		found = append(found, advice("variable", hint.Do(hint.Words("those that it reads: "), hint.Run("help", "environment")), "%s", u.what()))
	}
	return found
}

// checkStore proves the store, without the keyring's own dialog: a locked one is a
// finding and not a question.
func (d *doctor) checkStore(ctx context.Context) []finding {
	const name = "store"
	if d.config == nil {
		return nil
	}
	unattended := *d.app
	unattended.Attended = false
	s, err := unattended.openStore(d.config)
	if err != nil {
		return []finding{failing(name, err)}
	}
	d.store = s
	if err := s.CheckWritable(ctx); err != nil {
		return []finding{failing(name, fmt.Errorf("%s: %w", s.Name(), err))}
	}
	found := []finding{fine(name, "%s: it can be read, and has room for a renewed credential", s.Name())}
	_, noted := s.HasOther(store.Key{Profile: d.request.Profile.Name, Account: d.request.Account})
	if n, where := d.othersAlone(s); n > 0 && !noted { // checkAccount tells of the account itself
		found = append(found, advice(name, hint.Do(hint.Words("if the home or the configuration was moved, move it back; see "), hint.Run("config", "path")),
			"nothing is kept for this configuration; %s has notes of accounts for configurations at other paths (%d)", where, n))
	}
	for _, f := range s.Probe(ctx) {
		switch {
		case f.Err != nil:
			found = append(found, failing("engine", f.Err))
		case f.Warn:
			found = append(found, warning("engine", "", "%s", clean(f.What)))
		default:
			found = append(found, fine("engine", "%s", clean(f.What)))
		}
	}
	return found
}

// othersAlone counts the accounts of other configurations where this one has none.
func (a *app) othersAlone(s *store.Store) (n int, where string) {
	where, err := a.stateDir()
	if own, ownErr := s.LocalNotes(); err != nil || ownErr != nil || len(own) > 0 {
		return 0, ""
	}
	return s.OtherAccounts(), where
}

// checkAccount says how the account's grant is, as far as its record tells.
func (d *doctor) checkAccount(ctx context.Context) []finding {
	const name = "account"
	if d.store == nil || !d.profiled {
		return nil
	}
	who := d.request.Profile.Name + "/" + clean(d.request.Account)
	again := comeBackBy(d.meta == nil || d.meta.Exchanges(), d.request.Profile.Name, d.request.Account)
	key := store.Key{Profile: d.request.Profile.Name, Account: d.request.Account}
	n, err := d.store.Account(ctx, key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		switch moved := d.elsewhere(d.config, d.store)(ctx, key); {
		case errors.Is(moved, helper.ErrLoginRequired): // it may as well be that nothing was kept yet
			return []finding{advice(name, hint.Of(moved), "%v", moved)}
		case moved != nil:
			return []finding{failing(name, moved)}
		}
		return []finding{advice(name, again, "%s: nothing is kept yet", who)}
	case err != nil:
		return []finding{failing(name, err)}
	case n.Err != nil:
		return []finding{failing(name, fmt.Errorf("%s: %w", who, n.Err))}
	}
	seen := fmt.Sprintf("%s: %s, of %s, refreshed %s", who, kindWord(n.Note), clean(or(n.Username, n.Subject, "an unnamed subject")), ago(latest(n.Note), d.Now()))
	fresh := hint.Do(hint.Run("get", "--fresh").For(key.Profile, key.Account))
	switch state := d.state(n.Note); {
	case state == stateDead:
		why := fmt.Sprintf("%s: the issuer ended the grant %s: %s", who, ago(n.RevokedAt, d.Now()), clean(n.RevokedBy))
		return []finding{failing(name, &hint.Error{Kind: helper.ErrLoginRequired, Detail: why, Remedy: orAsk(again, key.Profile, key.Account)})}
	case state == stateExpired:
		why := fmt.Sprintf("%s: the grant %s", who, ahead(n.RefreshExpiry, d.Now()))
		return []finding{failing(name, &hint.Error{Kind: helper.ErrLoginRequired, Detail: why, Remedy: again})}
	case n.Issuer != d.request.Profile.Issuer || n.ClientID != d.request.Profile.ClientID:
		why := fmt.Sprintf("%s: the grant belongs to client %s at %s; the profile now uses another", who, clean(n.ClientID), clean(n.Issuer))
		return []finding{failing(name, &hint.Error{Kind: helper.ErrLoginRequired, Detail: why, Remedy: again})}
	case n.Doubt != nil:
		return []finding{advice(name, fresh, "%s: %s", who, doubtWords(n.Doubt))}
	case d.store.Shared() && !n.Introspects:
		return []finding{advice(name, hint.Say("ask the issuer's admin to let client "+clean(n.ClientID)+" introspect its own tokens (RFC 7662), then exchange again"),
			"%s; the issuer does not tell whether its refresh token was spent, so when a machine dies a person has to decide", seen)}
	case n.Offline && d.Now().Sub(lastUse(n.Note, d.Now())) > 20*day:
		return []finding{advice(name, hint.Do(hint.Run("keepalive")), "%s; many issuers end a grant that is idle for 30 days", seen)}
	case !n.Offline:
		return []finding{advice(name, append(hint.Say("an offline one outlives the user's session: "), again...), "%s", seen)}
	case len(missingScopes(n.Note)) > 0:
		return []finding{advice(name, hint.Say("ask the issuer's admin to allow them, or take them out of the profile's scopes"),
			"%s; not granted: %s", seen, clean(strings.Join(missingScopes(n.Note), " ")))}
	}
	return []finding{fine(name, "%s", seen)}
}

// maxHosts is how many hosts one line names.
const maxHosts = 8

// checkHosts says where hooks may send the profile's token. One without hosts serves get
// alone, which is no mistake.
func (d *doctor) checkHosts(context.Context) []finding {
	const name = "hosts"
	if !d.profiled {
		return nil
	}
	hosts := d.request.Profile.Hosts
	if first := d.servedBefore(); first != nil {
		return []finding{*first}
	}
	switch more := len(hosts) - maxHosts; {
	case len(hosts) == 0:
		return []finding{fine(name, "none, so that no hook gives this profile's token; profile edit %s --host HOST adds one", d.request.Profile.Name)}
	case more > 0:
		return []finding{fine(name, "hooks give the token for %s, and %d more", clean(strings.Join(hosts[:maxHosts], ", ")), more)}
	}
	return []finding{fine(name, "hooks give the token for %s", clean(strings.Join(hosts, ", ")))}
}

// servedBefore is the finding of a host that two profiles have: a hook that names no
// profile takes the first by name.
func (d *doctor) servedBefore() *finding {
	p := d.request.Profile
	for _, other := range slices.Sorted(maps.Keys(d.config.Profiles)) {
		if other >= p.Name {
			break
		}
		for _, host := range d.config.Profiles[other].Hosts {
			if slices.Contains(p.Hosts, host) {
				f := advice("hosts", hint.Do(hint.Words("name the profile in the tool's configuration; or take the host out of one: "), hint.Run("profile", "edit", other)),
					"%s: profile %s has it too, and a hook without --profile takes that one, the first by name", clean(host), other)
				return &f
			}
		}
	}
	return nil
}

// checkProxy says which proxy stands between us and the issuer.
func (d *doctor) checkProxy(context.Context) []finding {
	const name = "proxy"
	if !d.profiled {
		return nil
	}
	d.issuer = oidc.New(d.request.Profile.Issuer, d.issuerOptions(d.request.Profile))
	proxy, err := d.issuer.Proxy()
	switch {
	case err != nil:
		return []finding{failing(name, err)}
	case proxy == nil:
		return []finding{fine(name, "none on the way to the issuer")}
	}
	return []finding{fine(name, "%s", clean(proxy.Redacted()))}
}

// checkCA reads the file of private CAs.
func (d *doctor) checkCA(context.Context) []finding {
	const name = "ca"
	if !d.profiled {
		return nil
	}
	file := or(d.request.Profile.CAFile, d.Getenv("T2_CRED_CA_FILE"))
	roots, err := d.issuer.Roots()
	switch {
	case err != nil:
		f := failing(name, err)
		f.hint = "name a PEM file that can be read: ca_file in the profile, or T2_CRED_CA_FILE"
		return []finding{f}
	case file == "":
		return []finding{fine(name, "the system's")}
	}
	for _, root := range roots {
		if root.NotAfter.Before(d.Now().Add(30 * day)) {
			return []finding{warning(name, "ask for a newer one", "%s: %s, %s", file, clean(root.Subject.String()), ahead(root.NotAfter, d.Now()))}
		}
	}
	return []finding{fine(name, "the system's, and %d of %s", len(roots), file)}
}
