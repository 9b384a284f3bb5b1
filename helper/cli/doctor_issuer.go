package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/oidc"
)

// skewWarn is from where on a clock is worth a word: half of what tokens are allowed.
const skewWarn = 30 * time.Second

// checkDiscovery fetches the discovery document, whose issuer must be the profile's.
func (d *doctor) checkDiscovery(ctx context.Context) []finding {
	const name = "discovery"
	if !d.profiled {
		return nil
	}
	unchecked := warning("issuer", "", "clock, keys, client, exchange and login are not checked without it")
	if slices.ContainsFunc(d.found, func(f finding) bool { return f.level == levelFail && (f.name == "ca" || f.name == "proxy") }) {
		return []finding{unchecked} // it would fail for the same reason
	}
	started := time.Now()
	meta, err := d.issuer.Discover(ctx)
	if err != nil {
		return []finding{failing(name, err), unchecked}
	}
	d.meta = meta
	return []finding{fine(name, "%s, in %d ms", clean(d.issuer.ID()), time.Since(started).Milliseconds())}
}

// checkClock compares this machine's clock with the Date of the issuer's answer.
func (d *doctor) checkClock(context.Context) []finding {
	const name = "clock"
	if d.meta == nil {
		return nil
	}
	skew, known := d.issuer.Skew()
	if !known {
		return []finding{warning(name, "", "the issuer's answers have no Date to compare with")}
	}
	seconds := int(skew.Abs().Round(time.Second) / time.Second)
	apart := fmt.Sprintf("%d s behind the issuer's", seconds)
	if skew < 0 {
		apart = fmt.Sprintf("%d s ahead of the issuer's", seconds)
	}
	const hint = "set this machine's clock, by NTP best (timedatectl set-ntp true)"
	switch {
	case skew.Abs() > oidc.Leeway():
		f := failing(name, fmt.Errorf("%w: %s; tokens are refused from %d s on", errClock, apart, int(oidc.Leeway().Seconds())))
		f.hint = hint
		return []finding{f}
	case skew.Abs() > skewWarn:
		return []finding{warning(name, hint, "%s; tokens are refused from %d s on", apart, int(oidc.Leeway().Seconds()))}
	case seconds <= 1:
		return []finding{fine(name, "as the issuer's")}
	}
	return []finding{fine(name, "%s", apart)}
}

// checkKeys fetches the issuer's keys.
func (d *doctor) checkKeys(ctx context.Context) []finding {
	const name = "keys"
	if d.meta == nil {
		return nil
	}
	algs, err := d.issuer.SigningAlgorithms(ctx)
	switch {
	case errors.Is(err, oidc.ErrOpaque):
		return []finding{warning(name, "", "the issuer names none, so its tokens are taken without a look into them")}
	case errors.Is(err, oidc.ErrNoSigningKey) && d.request.Profile.AccessToken == "opaque":
		return []finding{fine(name, "none for signatures, and none is needed: the profile calls access tokens opaque")}
	case err != nil:
		return []finding{failing(name, err)}
	}
	return []finding{fine(name, "signing keys for %s", strings.Join(algs, " "))}
}

// loginByHint begins the part of an issuer's remedy that names the login.
const loginByHint = "; or log the user in"

const loginInstead = "; or use t2-cred login, which needs none"

// asked is the profile's client, with the one issuer of this run.
func (d *doctor) asked() *helper.Helper {
	h := d.newHelper(d.store)
	h.Issuer = func(helper.Profile) *oidc.Issuer { return d.issuer }
	return h
}

// checkClient has the client prove itself.
func (d *doctor) checkClient(ctx context.Context) []finding {
	const name = "client"
	if d.meta == nil || d.store == nil {
		return nil
	}
	p := d.request.Profile
	way, err := d.asked().ProveClient(ctx, d.request)
	if err != nil {
		return []finding{failing(name, fmt.Errorf("%s, by %s: %w", clean(p.ClientID), or(way, p.ClientAuth, "auto"), err))}
	}
	d.client = true
	if way == oidc.AuthNone {
		return []finding{fine(name, "%s is known, and has nothing to prove", clean(p.ClientID))}
	}
	return []finding{fine(name, "%s proved itself by %s", clean(p.ClientID), way)}
}

// checkExchange says what can be told of token exchange without a user's token. None
// is no failure: there is login. The issuer is asked even if it lists none: Keycloak
// before 26.2 exchanges and does not say so.
func (d *doctor) checkExchange(ctx context.Context) []finding {
	const name = "exchange"
	if d.meta == nil || !d.client {
		return nil
	}
	err := d.asked().ProbeExchange(ctx, d.request)
	var refused *oidc.Error
	isRefused := errors.As(err, &refused) && !refused.Temporary()
	switch {
	case err == nil:
		text := "there is one; whether it gives offline tokens shows with a user's token"
		if !d.meta.ListsExchange() {
			text = "there is one, though the issuer does not list it; whether it gives offline tokens shows with a user's token"
		}
		if d.isKeycloak() {
			text += " (Keycloak's legacy exchange does, its standard one never)"
		}
		return []finding{fine(name, "%s", text)}
	case isRefused && !d.meta.ListsExchange() && !d.isKeycloak():
		return []finding{warning(name, "t2-cred login needs none", "the issuer lists no token exchange (RFC 8693) among its grants")}
	case isRefused:
		instead := d.hintFor(err)
		if !strings.Contains(instead, loginByHint) {
			instead += loginInstead
		}
		return []finding{warning(name, instead, "%v", err)}
	}
	return []finding{warning(name, d.hintFor(err), "%v", err)}
}

// checkLogin says which ways to log in the issuer offers.
func (d *doctor) checkLogin(context.Context) []finding {
	const name = "login"
	if d.meta == nil {
		return nil
	}
	var ways []string
	if d.meta.AuthorizationEndpoint != "" {
		ways = append(ways, "--browser")
	}
	if d.meta.DeviceEndpoint != "" {
		ways = append(ways, "--device")
	}
	if len(ways) == 0 {
		return []finding{warning(name, "", "the issuer offers neither a browser's login nor a device's")}
	}
	return []finding{fine(name, "the issuer offers t2-cred login %s", strings.Join(ways, " and "))}
}

// isKeycloak goes by the discovery document. Without it nothing is known.
func (d *doctor) isKeycloak() bool { return d.meta != nil && d.meta.Product == oidc.Keycloak }
