package helper

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
	"github.com/terradue/t2-cred/helper/secret"
)

// newNarrowBench has a grant with a whole token for the client and account, at an issuer
// that narrows as Keycloak's standard exchange does.
func newNarrowBench(t *testing.T, opts ...oidctest.Option) *bench {
	t.Helper()
	b := newBench(t, opts...)
	b.req.Profile.Audience = []string{oidctest.ClientID}
	_, err := b.exchange("alice")
	b.must(err)
	b.issuer.Set(oidctest.Exchange(oidctest.Standard))
	return b
}

func (b *bench) narrow(scopes string, audience ...string) Request {
	r := b.req
	r.Narrow = Narrow{Scopes: strings.Fields(scopes), Audience: audience}
	return r
}

// onNarrow changes the answers to exchanges from now on.
func (b *bench) onNarrow(token func(d *oidctest.Draft), edit func(o map[string]any)) {
	b.t.Cleanup(b.issuer.Inject(oidctest.Fault{
		Endpoint: oidctest.Token, Grant: "token-exchange",
		Token: func(_ *oidctest.Call, d *oidctest.Draft) {
			if token != nil {
				token(d)
			}
		},
		Edit: func(_ *oidctest.Call, o map[string]any) {
			if edit != nil && o["error"] == nil {
				edit(o)
			}
		},
	}))
}

// TestNarrow_broaderIsRefused: whatever the issuer answers, a token that opens more than
// was asked for, or that cannot be compared, is not handed out, and neither is the whole.
func TestNarrow_broaderIsRefused(t *testing.T) {
	const whole = "openid email profile offline_access ellip gep"
	for name, tt := range map[string]struct {
		scopes, audience string
		token            func(d *oidctest.Draft)
		edit             func(o map[string]any)
		want             string // in the error; empty: it is taken
	}{
		"as asked":                    {"email profile gep", "account", nil, nil, ""},
		"all scopes":                  {"email profile gep", "", func(d *oidctest.Draft) { d.Claims["scope"] = whole }, func(o map[string]any) { o["scope"] = whole }, "gave these scopes too: ellip offline_access openid"},
		"all scopes, in the token":    {"email profile gep", "", func(d *oidctest.Draft) { d.Claims["scope"] = whole }, nil, "gave these scopes too"},
		"all scopes, in a list":       {"email profile gep", "", func(d *oidctest.Draft) { d.Claims["scope"] = strings.Fields(whole) }, nil, "gave these scopes too"},
		"all scopes, in scp":          {"email profile gep", "", func(d *oidctest.Draft) { delete(d.Claims, "scope"); d.Claims["scp"] = strings.Fields(whole) }, nil, "gave these scopes too"},
		"all scopes, in scp, a text":  {"email profile gep", "", func(d *oidctest.Draft) { d.Claims["scp"] = whole }, nil, "gave these scopes too"},
		"the same scopes in scp":      {"email profile gep", "", func(d *oidctest.Draft) { d.Claims["scp"] = d.Claims["scope"] }, nil, ""},
		"scopes in an object":         {"email profile gep", "", func(d *oidctest.Draft) { d.Claims["scope"] = map[string]bool{"admin": true} }, nil, "gave these scopes too"},
		"all scopes, in the answer":   {"email profile gep", "", nil, func(o map[string]any) { o["scope"] = whole }, "gave these scopes too"},
		"the answer does not say":     {"email profile gep", "", nil, func(o map[string]any) { delete(o, "scope") }, ""},
		"nobody names scopes":         {"email profile gep", "", func(d *oidctest.Draft) { delete(d.Claims, "scope") }, func(o map[string]any) { delete(o, "scope") }, "cannot be compared"},
		"fewer scopes":                {"email profile gep", "", func(d *oidctest.Draft) { d.Claims["scope"] = "email" }, func(o map[string]any) { o["scope"] = "email" }, "left out these scopes: gep profile"},
		"audience alone, more scopes": {"", "account", nil, func(o map[string]any) { o["scope"] = "email admin" }, "gave these scopes too: admin"},
		"another audience":            {"", "account", func(d *oidctest.Draft) { d.Claims["aud"] = oidctest.ClientID }, nil, "the token is not for account; its aud is [" + oidctest.ClientID + "]"},
		"an audience more":            {"", "account", func(d *oidctest.Draft) { d.Claims["aud"] = []string{"account", "admin-api"} }, nil, "the token is also for admin-api"},
		"no audience":                 {"", "account", func(d *oidctest.Draft) { delete(d.Claims, "aud") }, nil, "the token is not for account"},
		"scopes alone, more audience": {"email profile", "", func(d *oidctest.Draft) { d.Claims["aud"] = []string{"account", "admin-api"} }, nil, "the token is also for admin-api"},
		"another user":                {"email profile", "", func(d *oidctest.Draft) { d.Claims["sub"] = "mallory" }, nil, "it is for another subject"},
		"a token that is none":        {"email profile", "", nil, func(o map[string]any) { o["access_token"] = "opaque-" + strings.Repeat("x9Kq", 10) }, "earlier tokens of this grant could be verified"},
		"another issuer":              {"email profile", "", func(d *oidctest.Draft) { d.Claims["iss"] = "https://evil.example.org" }, nil, "iss is"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newNarrowBench(t)
			b.onNarrow(tt.token, tt.edit)
			c, err := b.Get(t.Context(), b.narrow(tt.scopes, strings.Fields(tt.audience)...))
			if tt.want == "" {
				if err != nil || c.Token == "" || c.Token == b.stored().Token.AccessToken {
					t.Fatalf("%v", err)
				}
				return
			}
			var refused *oidc.VerifyError
			if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.Is(err, ErrNotGranted) && !errors.As(err, &refused) {
				t.Fatalf("%v", err)
			}
			if c.Token != "" {
				t.Error("a token came along")
			}
			if b.issuer.Refreshes() != 0 {
				t.Error("the refresh token was spent")
			}
		})
	}
}

// TestNarrow_askForAllIsACommand: the remedy is the request that the issuer would grant.
func TestNarrow_askForAllIsACommand(t *testing.T) {
	b := newNarrowBench(t)
	_, err := b.Get(t.Context(), b.narrow("gep", "account"))
	commands := hint.Of(err).Commands(hint.Globals{})
	if len(commands) != 1 || commands[0] != "t2-cred get --profile p --scope 'email gep profile' --audience account" {
		t.Fatalf("%v: %q", err, commands)
	}
	if _, err := b.Get(t.Context(), b.narrow("email gep profile", "account")); err != nil {
		t.Error(err)
	}
}

// TestNarrow_opaque: the audience of an opaque token cannot be compared, its scopes can.
func TestNarrow_opaque(t *testing.T) {
	b := newNarrowBench(t, oidctest.AccessTokens(oidctest.Opaque))
	if _, err := b.Get(t.Context(), b.narrow("", "account")); err == nil || !strings.Contains(err.Error(), "the token is opaque, so its audience cannot be compared") {
		t.Error(err)
	}
	c, err := b.Get(t.Context(), b.narrow("email profile"))
	if err != nil || !slices.Equal(c.Scopes, []string{"email", "profile"}) {
		t.Errorf("%v, %v", c.Scopes, err)
	}
}

// TestNarrow_neverMixes: each request has its own token, whatever its lists look like
// joined, and none is another configuration's or another grant's.
func TestNarrow_neverMixes(t *testing.T) {
	seen := map[string]string{}
	other := Profile{Issuer: "i", ClientID: "c", Scopes: []string{"x"}}
	for name, n := range map[string]Narrow{
		"a b": {Scopes: []string{"a", "b"}}, "ab": {Scopes: []string{"ab"}}, "a": {Scopes: []string{"a"}}, "aud a": {Audience: []string{"a"}},
		"a aud b": {Scopes: []string{"a"}, Audience: []string{"b"}}, "aud a b": {Audience: []string{"a", "b"}},
		"quoted": {Audience: []string{`a" "b`}}, "none": {},
	} {
		for _, p := range []Profile{{Issuer: "i", ClientID: "c"}, other} {
			at := n.name(p)
			if before, ok := seen[at]; ok {
				t.Errorf("%s and %s have one place", before, name)
			}
			seen[at] = name
		}
	}
	p := other
	if (Narrow{Scopes: []string{"b", "a", "b"}}).name(p) != (Narrow{Scopes: []string{"a", "b"}}).name(p) {
		t.Error("the order counts")
	}

	b := newNarrowBench(t)
	get := func(r Request) secret.Secret {
		t.Helper()
		c, err := b.Get(t.Context(), r)
		b.must(err)
		return c.Token
	}
	first, second := get(b.narrow("email profile")), get(b.narrow("email profile gep"))
	asked := len(b.issuer.Requests())
	if first == second || get(b.narrow("profile email")) != first || get(b.narrow("gep email profile")) != second || len(b.issuer.Requests()) != asked {
		t.Error("two requests share a token, or a cached one was asked for again")
	}
	// A new grant of the same account.
	b.issuer.Set(oidctest.Exchange(oidctest.LegacyOffline))
	_, err := b.exchange("alice")
	b.must(err)
	b.issuer.Set(oidctest.Exchange(oidctest.Standard))
	if get(b.narrow("email profile")) == first {
		t.Error("the old grant's token is served")
	}
	// Erased, and the same account begins again.
	last := get(b.narrow("email profile"))
	_, err = b.Erase(t.Context(), b.req, false)
	b.must(err)
	if _, err := b.Get(t.Context(), b.narrow("email profile")); !errors.Is(err, ErrLoginRequired) {
		t.Errorf("after erase: %v", err)
	}
	b.issuer.Set(oidctest.Exchange(oidctest.LegacyOffline))
	_, err = b.exchange("alice")
	b.must(err)
	b.issuer.Set(oidctest.Exchange(oidctest.Standard))
	if get(b.narrow("email profile")) == last {
		t.Error("the erased grant's token is served")
	}
}

// TestNarrow_atOnce: many that ask for the same cause one exchange, also with Fresh.
func TestNarrow_atOnce(t *testing.T) {
	for _, how := range []struct {
		opts    []oidctest.Option
		counted string
	}{{nil, "token-exchange"}, {[]oidctest.Option{oidctest.OIDCProvider(), oidctest.UnlistedExchange(), oidctest.Refresh(oidctest.Revoke)}, "refresh_token"}} {
		b := newNarrowBench(t, how.opts...)
		for _, fresh := range []bool{false, true} {
			r := b.narrow("email profile")
			r.Fresh = fresh
			before := b.issuer.Count(how.counted)
			var all sync.Map
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					c, err := b.Get(t.Context(), r)
					if err != nil {
						t.Error(err)
					}
					all.Store(c.Token, true)
				})
			}
			wg.Wait()
			different := 0
			all.Range(func(any, any) bool { different++; return true })
			// With Fresh one that begins when the first has ended rightly asks again.
			if n := b.issuer.Count(how.counted) - before; n != different || n < 1 || n > 1 && !fresh || n > 5 {
				t.Errorf("%s, fresh %t: %d requests, %d tokens", how.counted, fresh, n, different)
			}
		}
	}
}

// TestNarrow_ofAClockThatWasAhead: a cached token of the future is not served.
func TestNarrow_ofAClockThatWasAhead(t *testing.T) {
	b := newNarrowBench(t)
	first, err := b.Get(t.Context(), b.narrow("email profile"))
	b.must(err)
	b.ahead = -30 * time.Second
	second, err := b.Get(t.Context(), b.narrow("email profile"))
	if err != nil || second.Token == first.Token {
		t.Errorf("%v", err)
	}
}

// TestNarrow_aRefreshTokenBeside: nobody asked for it. It is not kept and not revoked, and
// named as alive; our own grant goes on.
func TestNarrow_aRefreshTokenBeside(t *testing.T) {
	b := newNarrowBench(t)
	before := b.stored().RefreshToken
	b.onNarrow(nil, func(o map[string]any) { o["refresh_token"] = "unasked-" + strings.Repeat("Zq7w", 10) })
	_, err := b.Get(t.Context(), b.narrow("email profile"))
	b.must(err)
	if len(b.warned) != 1 || !strings.Contains(b.warned[0], "is not kept, and lives on") {
		t.Errorf("said: %q", b.warned)
	}
	if b.stored().RefreshToken != before || b.issuer.Count("revocation") != 0 {
		t.Error("our own grant was touched")
	}
}

// TestNarrow_revokedIsAskedOnce: with Fresh a grant that was refused is tried again.
func TestNarrow_revokedIsAskedOnce(t *testing.T) {
	b := newNarrowBench(t)
	b.issuer.Disable("alice")
	r := b.narrow("email profile")
	if _, err := b.Get(t.Context(), r); !errors.Is(err, ErrLoginRequired) {
		t.Fatalf("disabled: %v", err)
	}
	b.issuer.Enable("alice")
	b.advance(10 * time.Minute)
	asked := len(b.issuer.Requests())
	if _, err := b.Get(t.Context(), r); !errors.Is(err, ErrLoginRequired) || len(b.issuer.Requests()) != asked {
		t.Fatalf("a grant that was refused: %v", err)
	}
	r.Fresh = true
	if _, err := b.Get(t.Context(), r); err != nil {
		t.Errorf("asked again: %v", err)
	}
}

// TestNarrow_refreshThatIsRefusedKeepsTheGrant: at a server that narrows at a refresh the
// new refresh token is stored whatever the access token is.
func TestNarrow_refreshThatIsRefusedKeepsTheGrant(t *testing.T) {
	b := newNarrowBench(t, oidctest.OIDCProvider(), oidctest.UnlistedExchange(), oidctest.Refresh(oidctest.Revoke))
	whole, err := b.Get(t.Context(), b.req)
	b.must(err)
	before := b.stored()
	remove := b.issuer.Inject(oidctest.Fault{Endpoint: oidctest.Token, Grant: "refresh_token", Edit: func(_ *oidctest.Call, o map[string]any) { o["scope"] = "email profile admin" }})
	if _, err := b.Get(t.Context(), b.narrow("email profile")); !errors.Is(err, ErrNotGranted) || !strings.Contains(err.Error(), "the grant is kept") {
		t.Fatalf("a broader one: %v", err)
	}
	remove()
	after := b.stored()
	if after.RefreshToken == before.RefreshToken || after.Grant != before.Grant || !after.Offline || !slices.Equal(after.Scopes, before.Scopes) {
		t.Errorf("the record is %+v", after.GrantInfo)
	}
	if c, err := b.Get(t.Context(), b.req); err != nil || c.Token != whole.Token {
		t.Errorf("the whole token: %v", err)
	}
	if _, err := b.Get(t.Context(), b.narrow("email profile")); err != nil {
		t.Error(err)
	}
}

// TestNarrow_derive: what a hook got for a narrower token is not served for the whole one.
func TestNarrow_derive(t *testing.T) {
	b := newNarrowBench(t)
	b.req.Profile.Hosts = []string{"sts.example.org", "api.example.org"}
	b.req.Profile.Narrow = []NarrowRule{{Hosts: []string{"sts.example.org"}, Narrow: Narrow{Scopes: []string{"email", "profile"}}}}
	derive := func(host string) (scopes string) {
		r := b.req
		r.URL = &url.URL{Scheme: "https", Host: host}
		_, err := b.Derive(t.Context(), r, Derivation{Name: "one", Make: func(_ context.Context, c Credential) (Derived, error) {
			scopes = strings.Join(c.Scopes, " ")
			return Derived{Value: "keys", Obtained: b.Now(), Expiry: b.Now().Add(time.Hour)}, nil
		}})
		b.must(err)
		return scopes
	}
	if got := derive("api.example.org"); !strings.Contains(got, "gep") {
		t.Errorf("the whole: %q", got)
	}
	if got := derive("sts.example.org"); got != "email profile" {
		t.Errorf("the narrow one: %q", got)
	}
	if got := derive("sts.example.org"); got != "" {
		t.Errorf("made again: %q", got)
	}
}

// TestNarrowFor: the first rule that has the host; other spellings of a place are the
// same place.
func TestNarrowFor(t *testing.T) {
	rule := func(scope string, hosts ...string) NarrowRule {
		return NarrowRule{Narrow{Scopes: []string{scope}}, hosts}
	}
	p := Profile{Narrow: []NarrowRule{rule("exact", "a.example.org", "[2001:db8::1]:8443"), rule("wild", "*.example.org"), rule("port", "b.example.net:444")}}
	for place, want := range map[string]string{
		"https://a.example.org/x": "exact", "https://A.EXAMPLE.org:443": "exact", "https://c.example.org": "wild", "https://[2001:DB8:0::1]:8443": "exact",
		"https://b.example.net:444": "port", "https://b.example.net": "", "https://example.org": "", "http://a.example.org": "", "https://a.example.org.evil.org": "",
	} {
		u, err := url.Parse(place)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(p.NarrowFor(u).Scopes, " "); got != want {
			t.Errorf("%s: %q, not %q", place, got, want)
		}
	}
	one, two := &url.URL{Scheme: "https", Host: "a.example.org"}, &url.URL{Scheme: "https", Host: "c.example.org"}
	if p.SameToken(one, two) || !p.SameToken(two, &url.URL{Scheme: "https", Host: "d.example.org"}) {
		t.Error("places of two rules get the same token, or of one rule do not")
	}
}

func TestHostWithin(t *testing.T) {
	hosts := []string{"a.example.org", "*.wild.example.org:8443", "*.example.net"}
	for entry, want := range map[string]bool{
		"a.example.org": true, "b.example.org": false, "a.example.org:8443": false, "x.wild.example.org:8443": true, "*.y.wild.example.org:8443": true,
		"x.wild.example.org": false, "wild.example.org:8443": false, "*.wild.example.org:8443": true, "x.example.net": true, "*.net": false, "xexample.net": false,
	} {
		if got := HostWithin(entry, hosts); got != want {
			t.Errorf("%s: %t", entry, got)
		}
	}
}
