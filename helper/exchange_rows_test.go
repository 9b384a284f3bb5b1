package helper

import (
	"errors"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
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
