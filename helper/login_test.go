package helper

import (
	"errors"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
	"github.com/terradue/t2-cred/store"
)

// without has a discovery document with a device endpoint, but for these members.
func discoveryLacks(members ...string) oidctest.Fault {
	return oidctest.Fault{Name: "without", Endpoint: oidctest.Discovery, Edit: func(_ *oidctest.Call, o map[string]any) {
		o["device_authorization_endpoint"] = o["token_endpoint"]
		for _, m := range members {
			delete(o, m)
		}
	}}
}

// TestLogin_notOffered: the hint names the way to log in that the issuer does offer.
func TestLogin_notOffered(t *testing.T) {
	for name, tt := range map[string]struct {
		without []string
		device  bool
		want    string
	}{
		"device":                {[]string{"device_authorization_endpoint"}, true, "t2-cred login --browser --profile p"},
		"neither":               {[]string{"device_authorization_endpoint", "authorization_endpoint"}, true, "t2-cred exchange --token-file FILE --profile p"},
		"no browser, no device": {[]string{"device_authorization_endpoint", "authorization_endpoint"}, false, "t2-cred exchange --token-file FILE --profile p"},
		"browser":               {[]string{"authorization_endpoint"}, false, "t2-cred login --device --profile p"},
	} {
		b := newBench(t)
		b.issuer.Inject(discoveryLacks(tt.without...))
		r := LoginRequest{Request: b.req, Browser: func(string, string) {}}
		if tt.device {
			r.Device = func(*oidc.Device) func() { return func() {} }
		}
		_, err := b.Login(t.Context(), r)
		if !errors.Is(err, oidc.ErrNoSuchFlow) || !strings.Contains(hint.Of(err).String(), tt.want) {
			t.Errorf("%s: %v; hint %q", name, err, hint.Of(err))
		}
	}
}

// TestExchange_withoutRefreshToken: the answer that came is what the message is about,
// not the refusal of the second try.
func TestExchange_withoutRefreshToken(t *testing.T) {
	b := newBench(t, oidctest.Neutral(), oidctest.Exchange(oidctest.StandardNoRefresh))
	_, err := b.exchange("alice")
	if !errors.Is(err, ErrNotGranted) || !strings.Contains(err.Error(), "an access token but no refresh token") || !strings.Contains(err.Error(), "requested_token_type unsupported") {
		t.Errorf("it ends with %v", err)
	}
	if todo := hint.Of(err).String(); !strings.Contains(todo, "t2-cred login --profile p") || strings.Contains(todo, "Keycloak") {
		t.Errorf("the hint is %q", todo)
	}
}

// TestLogin_endsTheOtherAccount: Dex keeps one refresh token for each user and client, so
// that a new login ends the other account's grant. Its name is said, once.
func TestLogin_endsTheOtherAccount(t *testing.T) {
	for _, dex := range []bool{true, false} {
		b := newBench(t, oidctest.Neutral())
		b.issuer.Inject(oidctest.Fault{Name: "as Dex", Endpoint: oidctest.Discovery, Edit: func(_ *oidctest.Call, o map[string]any) {
			if dex {
				o["device_authorization_endpoint"] = b.issuer.URL() + "/device/code"
			}
		}})
		_, err := b.exchange("alice")
		b.must(err)
		issuer := b.Issuer(b.req.Profile)
		other := b.req
		other.Account = "other"
		said := func(r Request, change func(*store.Record)) string {
			now := b.stored()
			change(&now)
			b.warned = nil
			b.warnEnded(t.Context(), r, issuer, now)
			return strings.Join(b.warned, "\n")
		}
		for name, words := range map[string]string{
			"the same account": said(b.req, func(*store.Record) {}),
			"another user":     said(other, func(r *store.Record) { r.Subject = "bob" }),
			"another client":   said(other, func(r *store.Record) { r.ClientID = "another-client" }),
			"another issuer":   said(other, func(r *store.Record) { r.Issuer = "https://other.example.org" }),
			"nobody":           said(other, func(r *store.Record) { r.Subject = "" }),
		} {
			if words != "" {
				t.Errorf("Dex: %v, %s: said %q", dex, name, words)
			}
		}
		if words := said(other, func(*store.Record) {}); dex != (strings.Count(words, "this ended the grant of p/default: Dex keeps one") == 1) || !dex && words != "" {
			t.Errorf("Dex: %v, said %q", dex, words)
		}
		// One that the issuer has ended before is not ended by this.
		b.issuer.EndGrants("alice")
		fresh := b.req
		fresh.Fresh = true
		if _, err := b.Get(t.Context(), fresh); !errors.Is(err, ErrLoginRequired) {
			t.Fatalf("after its end: %v", err)
		}
		if words := said(other, func(*store.Record) {}); words != "" {
			t.Errorf("Dex: %v, of a dead grant: said %q", dex, words)
		}
	}
}
