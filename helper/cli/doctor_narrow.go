package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/terradue/t2-cred/helper/hint"
)

// checkNarrow says whether the issuer gives the narrower tokens that the profile's tables
// name. Hooks fail for the hosts of a table for which it does not.
func (d *doctor) checkNarrow(ctx context.Context) []finding {
	const name = "narrow"
	if d.meta == nil || !d.client {
		return nil
	}
	var found []finding
	for _, rule := range d.request.Profile.Narrow {
		r := d.request
		r.Narrow = rule.Canonical()
		hosts := strings.Join(rule.Hosts, " ")
		switch tried, err := d.asked().ProveNarrow(ctx, r); {
		case err != nil:
			found = append(found, failing(name, fmt.Errorf("for %s: %w", hosts, err)))
		case tried:
			found = append(found, fine(name, "%s: the issuer gave such a token for %s", r.Narrow, hosts))
		case d.meta.Product.NarrowsAtRefresh() && !d.meta.ListsExchange():
			found = append(found, fine(name, "%s for %s: this server narrows at a refresh; not tried, as that spends the refresh token", r.Narrow, hosts))
		default:
			found = append(found, advice(name, hint.Do(hint.Run("get").For(r.Profile.Name, r.Account), hint.Words("; then doctor can try it")),
				"%s for %s: not tried, as no access token is cached", r.Narrow, hosts))
		}
	}
	return found
}
