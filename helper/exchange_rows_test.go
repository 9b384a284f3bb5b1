package helper

import (
	"errors"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
	"github.com/terradue/t2-cred/store"
)

// TestExchange_bothAnswersAreSaid: an exchange that gives no refresh token, and refuses to
// be asked for one (Spring, Keycloak's standard exchange).
func TestExchange_bothAnswersAreSaid(t *testing.T) {
	b := newBench(t, oidctest.Exchange(oidctest.StandardNoRefresh))
	_, err := b.exchange("alice")
	if err == nil || !strings.Contains(err.Error(), "the issuer gave an access token but no refresh token") || !strings.Contains(err.Error(), "requested_token_type unsupported") {
		t.Fatal(err)
	}
	var refused *oidc.Error
	if !errors.As(err, &refused) || len(refused.Hint()) == 0 {
		t.Error("the issuer's refusal has lost its remedy")
	}
	// A second answer that decides nothing stays one.
	b = newBench(t, oidctest.Exchange(oidctest.StandardNoRefresh))
	b.issuer.Inject(oidctest.FaultNamed("status-503"), oidctest.Nth(2))
	if _, err := b.exchange("alice"); err == nil || strings.Contains(err.Error(), "asked for one") || !isTrouble(err) {
		t.Errorf("503: %v", err)
	}
}

// TestLogin_onlyOneGrant: who logs in at Dex is told which account has just ended.
func TestLogin_onlyOneGrant(t *testing.T) {
	b := newBench(t)
	_, err := b.exchange("alice")
	b.must(err)
	other := b.req
	other.Account = "other"
	for _, tt := range []struct {
		change func(*store.Record)
		want   int
	}{
		{func(*store.Record) {}, 1},
		{func(r *store.Record) { r.Subject = "somebody-else" }, 0},
		{func(r *store.Record) { r.ClientID = "another-client" }, 0},
		{func(r *store.Record) { r.Issuer = "https://other.example.org" }, 0},
	} {
		kept := b.stored()
		tt.change(&kept)
		b.warned = nil
		b.warnOnlyOne(t.Context(), other, kept)
		if len(b.warned) != tt.want || tt.want == 1 && !strings.Contains(b.warned[0], "has ended the grant of p/default") {
			t.Errorf("%q", b.warned)
		}
	}
	b.warned = nil
	b.warnOnlyOne(t.Context(), b.req, b.stored())
	if len(b.warned) != 0 {
		t.Errorf("of its own account: %q", b.warned)
	}
}
