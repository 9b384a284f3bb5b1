package oidc

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
	"github.com/terradue/t2-cred/helper/secret"
)

// TestWellKnown_keepsTheSpelling: the path is asked for as it is written, and a letter beyond
// ASCII as RFC 3986 encodes it.
func TestWellKnown_keepsTheSpelling(t *testing.T) {
	for issuer, want := range map[string]string{
		"https://h.example/a%20b":         "/a%20b",
		"https://h.example/a%2Fb/":        "/a%2Fb",
		"https://h.example/a%2fb":         "/a%2fb",
		"https://h.example/%7Et":          "/%7Et",
		"https://h.example/Größe":         "/Gr%C3%B6%C3%9Fe",
		"https://h.example/a b":           "/a%20b",
		"https://h.example/a;v=1/(b),c:@": "/a;v=1/(b),c:@",
		"https://h.example//a//":          "//a/",
	} {
		got, err := wellKnown(issuer)
		if err != nil || !slices.Equal(got, []string{"https://h.example" + want + oidcSuffix, "https://h.example" + oauthSuffix + want}) {
			t.Errorf("%s: %q, %v", issuer, got, err)
		}
		for _, place := range got {
			if req, err := http.NewRequest(http.MethodGet, place, nil); err != nil || !strings.HasSuffix(place, req.URL.RequestURI()) {
				t.Errorf("%s is asked for as %s, %v", place, req.URL.RequestURI(), err)
			}
		}
	}
	for issuer, host := range map[string]string{
		"https://H.Example:8443/a": "H.Example:8443", "https://[2001:db8::1]:8443": "[2001:db8::1]:8443", "https://h.example:443": "h.example:443",
	} {
		if got, err := wellKnown(issuer); err != nil || !strings.HasPrefix(got[0], "https://"+host+"/") {
			t.Errorf("%s: %q, %v", issuer, got, err)
		}
	}
}

// TestInternationalHost: a host beyond ASCII is asked by its xn-- name, and its certificate
// must be for that name. The connection that is begun ahead is the one that is used.
func TestInternationalHost(t *testing.T) {
	issuer := oidctest.New(oidctest.TLS(), oidctest.Neutral(), oidctest.Path("/Größe"))
	defer issuer.Close()
	at, err := url.Parse(issuer.URL())
	if err != nil {
		t.Fatal(err)
	}
	issuer.Behind("https://Bücher.example:8443")
	i := New(issuer.URL(), Options{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	var dialed, named []string
	transport := must(i.client()).Transport.(*guard).next.(*http.Transport)
	transport.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		dialed = append(dialed, address)
		return (&net.Dialer{}).DialContext(ctx, network, at.Host)
	}
	transport.TLSClientConfig.InsecureSkipVerify = true // what the certificate would have to be for is seen here
	transport.TLSClientConfig.VerifyConnection = func(s tls.ConnectionState) error {
		named = append(named, s.ServerName)
		return nil
	}
	client := Client{ID: oidctest.ClientID, Secret: secret.Secret(issuer.ClientSecret()), Auth: AuthBasic}
	if err := i.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := len(dialed)
	i.Connect(t.Context(), client)
	answer, err := i.Exchange(t.Context(), client, ExchangeRequest{SubjectToken: secret.Secret(issuer.UserToken("alice")), Scopes: []string{"openid", "offline_access"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.Verify(t.Context(), answer.AccessToken, Expect{What: "access_token", ClientID: oidctest.ClientID}); err != nil {
		t.Error(err)
	}
	if len(dialed) != before+1 || slices.ContainsFunc(dialed, func(a string) bool { return a != "xn--bcher-kva.example:8443" }) {
		t.Errorf("%d connections for one request: %q", len(dialed)-before, dialed)
	}
	if len(named) == 0 || slices.ContainsFunc(named, func(n string) bool { return n != "xn--bcher-kva.example" }) {
		t.Errorf("the certificate is to be for %q", named)
	}
}
