package oidc_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
	"github.com/terradue/t2-cred/helper/secret"
)

// TestCheckup_readsRefusals has the answers of several issuers to a request with what
// is no token: which of them say that the client, or the exchange, is all right.
func TestCheckup_readsRefusals(t *testing.T) {
	for _, c := range []struct {
		status           int
		code, words      string
		client, exchange bool // proven, offered
	}{
		{400, "invalid_grant", "Invalid refresh token", true, true},             // Keycloak
		{400, "invalid_grant", "refresh token not found", true, true},           // node's oidc-provider
		{400, "invalid_request", "Invalid token", false, true},                  // Keycloak, of a subject token
		{401, "unauthorized_client", "Invalid client or …", false, false},       // Keycloak, wrong secret
		{401, "invalid_client", "client authentication failed", false, false},   // RFC 6749
		{400, "unauthorized_client", "requested grant type …", false, false},    // RFC 6749
		{400, "unsupported_grant_type", "Unsupported grant_type", false, false}, // Keycloak, feature off
		{400, "invalid_request", "Standard token exchange is not enabled for the requested client", false, false},
		{400, "invalid_request", "requested grant type is not allowed for this client", false, false}, // oidc-provider 9
		{403, "access_denied", "Client not allowed to exchange", false, false},
		{503, "temporarily_unavailable", "", false, false},
	} {
		server := oidctest.New()
		t.Cleanup(server.Close)
		server.Inject(oidctest.Refuse(c.status, c.code, c.words).On(oidctest.Token))
		i := oidc.New(server.URL(), oidc.Options{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		client := oidc.Client{ID: oidctest.ClientID, Secret: secret.Secret(server.ClientSecret()), Auth: "basic"}
		prove := func(ctx context.Context, c oidc.Client) error { _, err := i.ProveClient(ctx, c); return err }
		for name, probe := range map[string]struct {
			ask  func(context.Context, oidc.Client) error
			want bool
		}{"client": {prove, c.client}, "exchange": {i.ProbeExchange, c.exchange}} {
			err := probe.ask(t.Context(), client)
			var said *oidc.Error
			if (err == nil) != probe.want || err != nil && (!errors.As(err, &said) || said.Code != c.code) {
				t.Errorf("%s: %d %s %q: %v", name, c.status, c.code, c.words, err)
			}
		}
	}
}
