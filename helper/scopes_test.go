package helper

import (
	"errors"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
	"github.com/terradue/t2-cred/helper/secret"
)

// userTokenWith exchanges a token of the portal that has these scopes only: Keycloak
// grants optional scopes of our client only if the user's token has them too.
func (b *bench) userTokenWith(scopes string) error {
	_, err := b.Exchange(b.t.Context(), ExchangeRequest{Request: b.req, SubjectToken: secret.Secret(b.issuer.UserToken("alice", oidctest.Scope(scopes)))})
	return err
}

// TestScopes_optionalOnesTheUserLacks: the exchange succeeds with less than was asked.
func TestScopes_optionalOnesTheUserLacks(t *testing.T) {
	b := newBench(t, oidctest.Exchange(oidctest.LegacyOnline))
	b.must(b.userTokenWith("openid email profile offline_access"))
	if len(b.warned) != 1 || !strings.Contains(b.warned[0], "did not grant these scopes: ellip gep;") {
		t.Fatalf("said %q, not once by name", b.warned)
	}
	if rec := b.stored(); strings.Join(NotGranted(rec.Asked, rec.Scopes), " ") != "ellip gep" {
		t.Errorf("asked %v, granted %v", rec.Asked, rec.Scopes)
	}
	fresh := b.req
	fresh.Fresh = true
	_, err := b.Get(t.Context(), fresh)
	b.must(err)
	if len(b.warned) != 1 {
		t.Errorf("said again at a refresh: %q", b.warned)
	}

	// Required, it fails by name and nothing is kept.
	_, err = b.Erase(t.Context(), b.req, false)
	b.must(err)
	b.req.Profile.RequiredScopes = []string{"gep"}
	err = b.userTokenWith("openid email profile offline_access")
	if !errors.Is(err, ErrNotGranted) || !strings.Contains(err.Error(), "required_scopes of the profile names: gep;") {
		t.Errorf("a required scope is missing: %v", err)
	}
	if _, err := b.Get(t.Context(), b.req); !errors.Is(err, ErrLoginRequired) {
		t.Errorf("something was kept: %v", err)
	}
	b.must(b.userTokenWith("openid email profile offline_access ellip gep"))
}

// TestScopes_withdrawnByTheAdmin is seen at the next refresh, and said once.
func TestScopes_withdrawnByTheAdmin(t *testing.T) {
	b := newBench(t)
	_, err := b.exchange("alice")
	b.must(err)
	b.issuer.Inject(answers(func(o map[string]any) { o["scope"] = "openid email profile offline_access ellip" }))
	fresh := b.req
	fresh.Fresh = true
	for range 2 {
		_, err = b.Get(t.Context(), fresh)
		b.must(err)
	}
	if len(b.warned) != 1 || !strings.Contains(b.warned[0], "did not grant these scopes: gep;") {
		t.Errorf("said %q", b.warned)
	}
	grant := b.stored().RefreshToken
	fresh.Profile.RequiredScopes = []string{"gep"}
	_, err = b.Get(t.Context(), fresh)
	if !errors.Is(err, ErrNotGranted) || !strings.Contains(err.Error(), "the grant is kept") {
		t.Errorf("a required scope was withdrawn: %v", err)
	}
	if after := b.stored(); after.RefreshToken == "" || after.RefreshToken == grant {
		t.Error("the refresh token of the answer was not kept")
	}
}
