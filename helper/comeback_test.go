package helper

import (
	"errors"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// TestComeBack: after a dead grant the hint is an exchange only where the issuer may have
// one.
func TestComeBack(t *testing.T) {
	const code, exchange = "authorization_code", "urn:ietf:params:oauth:grant-type:token-exchange"
	for name, tt := range map[string]struct {
		keycloak, entra bool
		grants          any
		exchange        bool
	}{
		"lists it":                 {grants: []string{code, exchange}, exchange: true},
		"lists others":             {grants: []string{code, "refresh_token"}},
		"lists nothing":            {exchange: true},
		"a list of nothing":        {grants: []string{}, exchange: true},
		"no list":                  {grants: "refresh_token", exchange: true},
		"Keycloak does not say it": {keycloak: true, grants: []string{code, "refresh_token"}, exchange: true},
		"Entra lists nothing":      {entra: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, oidctest.Neutral())
			if tt.keycloak {
				b = newBench(t)
			}
			_, err := b.exchange("alice")
			b.must(err)
			b.issuer.Inject(oidctest.Fault{Name: "grants", Endpoint: oidctest.Discovery, Edit: func(_ *oidctest.Call, o map[string]any) {
				delete(o, "grant_types_supported")
				if tt.grants != nil {
					o["grant_types_supported"] = tt.grants
				}
				if tt.entra {
					host := strings.TrimSuffix(b.issuer.URL(), "/realms/test")
					o["authorization_endpoint"], o["jwks_uri"] = host+"/t/oauth2/v2.0/authorize", host+"/t/discovery/v2.0/keys"
					o["token_endpoint"] = host + "/t/oauth2/v2.0/token"
				}
			}})
			issuer := b.Issuer(b.req.Profile)
			_, err = issuer.Metadata(t.Context())
			b.must(err)
			if issuer.MayExchange() != tt.exchange {
				t.Errorf("it may exchange: %t", issuer.MayExchange())
			}
		})
	}
	b := newBench(t)
	missing := b.loginRequired(b.req, "nothing is stored", nil)
	if todo := hint.Of(missing).String(); !errors.Is(missing, ErrLoginRequired) || !strings.Contains(todo, "t2-cred exchange --profile p") {
		t.Errorf("an issuer that was never asked: %q", todo)
	}
}
