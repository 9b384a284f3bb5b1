package helper

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store"
)

// answers edits all that the token endpoint gives out.
func answers(edit func(object map[string]any)) oidctest.Fault {
	return oidctest.Fault{Name: "edited", Endpoint: oidctest.Token, Edit: func(_ *oidctest.Call, object map[string]any) {
		if object["access_token"] != nil {
			edit(object)
		}
	}}
}

// withoutKeys has the discovery document name no jwks_uri, as RFC 8414 allows.
var withoutKeys = oidctest.Fault{Name: "no keys", Endpoint: oidctest.Discovery, Edit: func(_ *oidctest.Call, object map[string]any) {
	delete(object, "jwks_uri")
}}

func refusedToken(t *testing.T, err error) *oidc.VerifyError {
	t.Helper()
	var refused *oidc.VerifyError
	if !errors.As(err, &refused) {
		t.Fatalf("not a refused token: %v", err)
	}
	return refused
}

// TestAccept_tokenForAnotherReader: beside a valid ID token it is opaque. On Keycloak,
// which gives none, and without an ID token it is refused.
func TestAccept_tokenForAnotherReader(t *testing.T) {
	below := oidctest.Fault{Name: "iss below", Endpoint: oidctest.Token, Token: func(_ *oidctest.Call, d *oidctest.Draft) {
		if d.Kind == "access_token" {
			d.Claims["iss"] = d.Claims["iss"].(string) + "/origin"
		}
	}}
	for _, fault := range []oidctest.Fault{oidctest.FaultNamed("aud-other"), oidctest.FaultNamed("aud-near"), below} {
		name := fault.Name
		b := newBench(t, oidctest.Neutral())
		b.issuer.Inject(fault)
		rec, err := b.exchange("alice")
		b.must(err)
		if rec.Verified || rec.Subject != b.issuer.Sub("alice") || !rec.Offline {
			t.Errorf("%s: %+v", name, rec.GrantInfo)
		}
		if len(b.warned) != 1 || !strings.Contains(b.warned[0], "another reader") {
			t.Errorf("%s: said %q, not once what was seen", name, b.warned)
		}
		fresh := b.req
		fresh.Fresh = true
		_, err = b.Get(t.Context(), fresh)
		b.must(err)
		if len(b.warned) != 1 {
			t.Errorf("%s: said again: %q", name, b.warned)
		}

		b = newBench(t)
		b.issuer.Inject(fault)
		_, err = b.exchange("alice")
		_ = refusedToken(t, err)

		b = newBench(t, oidctest.Neutral())
		b.req.Profile.Scopes = []string{"offline_access"}
		b.issuer.Inject(fault)
		_, err = b.exchange("alice")
		_ = refusedToken(t, err)
	}
}

// TestAccept_profileSaysOpaque: nothing in the access token is looked at, and the ID
// token still decides.
func TestAccept_profileSaysOpaque(t *testing.T) {
	b := newBench(t)
	b.req.Profile.AccessToken = "opaque"
	b.issuer.Inject(oidctest.FaultNamed("iss-other"))
	_, err := b.exchange("alice")
	b.must(err)
	b.issuer.Clear()
	b.issuer.Inject(oidctest.FaultNamed("id-iss-other"))
	_, err = b.exchange("alice")
	_ = refusedToken(t, err)
	if _, err := b.Claims(t.Context(), b.req); !errors.Is(err, oidc.ErrOpaque) {
		t.Errorf("claims of an opaque token: %v", err)
	}

	b = newBench(t, oidctest.AccessTokens(oidctest.Opaque))
	b.req.Profile.AccessToken = "jwt"
	_, err = b.exchange("alice")
	_ = refusedToken(t, err)
}

// TestAccept_verifiedGrantTakesNoOpaqueToken: an answer or a discovery document that
// leaves the check out is refused once tokens were verified.
func TestAccept_verifiedGrantTakesNoOpaqueToken(t *testing.T) {
	for name, change := range map[string]func(*bench){
		"opaque token": func(b *bench) { b.issuer.Set(oidctest.AccessTokens(oidctest.Opaque)) },
		"no keys":      func(b *bench) { b.issuer.Inject(withoutKeys) },
		"other reader": func(b *bench) { b.issuer.Inject(oidctest.FaultNamed("aud-other")) },
	} {
		b := newBench(t, oidctest.Neutral())
		_, err := b.exchange("alice")
		b.must(err)
		change(b)
		fresh := b.req
		fresh.Fresh = true
		_, err = b.Get(t.Context(), fresh)
		if refused := refusedToken(t, err); !strings.Contains(refused.Why, "earlier tokens of this grant could be verified") {
			t.Errorf("%s: %v", name, err)
		}
		fresh.Profile.AccessToken = "opaque"
		_, err = b.Get(t.Context(), fresh)
		b.must(err)
	}
}

// TestAccept_withoutKeys: tokens are opaque and the ID token is ignored, whoever it names.
func TestAccept_withoutKeys(t *testing.T) {
	b := newBench(t)
	b.issuer.Inject(withoutKeys)
	b.issuer.Inject(oidctest.FaultNamed("id-aud-other"))
	rec, err := b.exchange("alice")
	b.must(err)
	if rec.Verified || len(b.warned) != 1 {
		t.Errorf("verified %v, said %q", rec.Verified, b.warned)
	}
}

// TestExchange_pairwiseSubjects: the two clients know the user by different subjects.
func TestExchange_pairwiseSubjects(t *testing.T) {
	b := newBench(t, oidctest.OpaqueRefreshTokens())
	b.req.Profile.Scopes = []string{"offline_access"}
	b.issuer.Inject(oidctest.FaultNamed("sub-other"))
	rec, err := b.exchange("alice")
	b.must(err)
	if rec.Subject == b.issuer.Sub("alice") || len(b.warned) != 1 || !strings.Contains(b.warned[0], "pairwise") {
		t.Errorf("subject %s, said %q", rec.Subject, b.warned)
	}
	// It is said once.
	_, err = b.exchange("alice")
	b.must(err)
	if len(b.warned) != 1 {
		t.Errorf("said again: %q", b.warned)
	}
	// Within our own client it is another user.
	b.req.Account = "second"
	_, err = b.Exchange(t.Context(), ExchangeRequest{Request: b.req, SubjectToken: secret.Secret(b.issuer.UserToken("alice", oidctest.IssuedTo(oidctest.ClientID)))})
	if refused := refusedToken(t, err); !refused.OtherSubject {
		t.Errorf("another user's answer: %v", err)
	}
}

// TestNewcomer: before an exchange, the subjects of two clients tell nothing, and user names
// do where both are known. Within our own client the subjects tell.
func TestNewcomer(t *testing.T) {
	alice := store.Record{GrantInfo: store.GrantInfo{Grant: "g", Subject: "ours-alice", Username: "alice"}}
	nameless := alice
	nameless.Username = ""
	for name, tt := range map[string]struct {
		who     newcomer
		old     store.Record
		another bool
	}{
		"nothing stored":                           {newcomer{subject: "portal-bob", username: "bob", elsewhere: true}, store.Record{}, false},
		"the same subject, renamed":                {newcomer{subject: "ours-alice", username: "alicia", elsewhere: true}, alice, false},
		"pairwise, the same name":                  {newcomer{subject: "portal-alice", username: "alice", elsewhere: true}, alice, false},
		"pairwise, another name":                   {newcomer{subject: "portal-bob", username: "bob", elsewhere: true}, alice, true},
		"pairwise, the token has no name":          {newcomer{subject: "portal-alice", elsewhere: true}, alice, false},
		"pairwise, the stored grant has no name":   {newcomer{subject: "portal-alice", username: "alice", elsewhere: true}, nameless, false},
		"our client's, the name of somebody else":  {newcomer{subject: "ours-bob", username: "alice"}, alice, true},
		"our client's, without a name":             {newcomer{subject: "ours-bob"}, alice, true},
		"a token that names nobody":                {newcomer{username: "bob", elsewhere: true}, alice, false},
		"a stored grant that names nobody is open": {newcomer{subject: "ours-bob"}, store.Record{GrantInfo: store.GrantInfo{Grant: "g"}}, false},
	} {
		if got := tt.who.isAnother(tt.old); got != tt.another {
			t.Errorf("%s: another: %t", name, got)
		}
	}
}

// TestExchange_namelessTokens: the user's token and the stored grant have no common name for
// the user. The answer's subject decides: the same user's grant is replaced, and another
// user's is not.
func TestExchange_namelessTokens(t *testing.T) {
	b := newBench(t)
	b.issuer.Inject(oidctest.Fault{Name: "pairwise, nameless", Endpoint: oidctest.Token, Token: func(_ *oidctest.Call, d *oidctest.Draft) {
		delete(d.Claims, "preferred_username")
	}})
	first, err := b.exchange("alice")
	b.must(err)
	again, err := b.exchange("alice")
	b.must(err)
	if again.Subject != first.Subject || again.Grant == first.Grant {
		t.Errorf("first %+v, again %+v", first.GrantInfo, again.GrantInfo)
	}
	if _, err = b.exchange("bob"); !errors.Is(err, ErrOtherUser) {
		t.Errorf("another user's exchange: %v", err)
	}
	kept, err := b.Store.Load(t.Context(), b.req.key())
	b.must(err)
	if kept.Grant != again.Grant {
		t.Error("the grant was replaced")
	}
}

func TestKind(t *testing.T) {
	now := time.Now()
	month := 30 * 24 * time.Hour
	none := time.Duration(0)
	jwt := func(payload string) secret.Secret {
		return secret.Secret("eyJhbGciOiJub25lIn0." + b64url(payload) + ".")
	}
	ends := jwt(`{"exp":4102444800}`)
	both := strings.Fields("openid offline_access")
	for name, c := range map[string]struct {
		answer  oidc.Response
		product oidc.Product
		asked   []string
		offline bool
		end     bool
	}{
		"Keycloak, offline":             {oidc.Response{RefreshToken: jwt(`{"typ":"Offline"}`), Scopes: both}, oidc.Keycloak, both, true, false},
		"Keycloak, online":              {oidc.Response{RefreshToken: jwt(`{"typ":"Refresh","exp":4102444800}`), Scopes: both}, oidc.Keycloak, both, false, true},
		"Keycloak, opaque, online":      {oidc.Response{RefreshToken: "opaque-refresh-token", RefreshExpiresIn: &month, Scopes: both[:1]}, oidc.Keycloak, both, false, true},
		"IAM: a JWT with an end":        {oidc.Response{RefreshToken: ends, Scopes: both}, "", both, true, true},
		"IAM, scope not said":           {oidc.Response{RefreshToken: ends}, "", both, true, true},
		"typ means nothing elsewhere":   {oidc.Response{RefreshToken: jwt(`{"typ":"Refresh","exp":4102444800}`), Scopes: both}, "", both, true, true},
		"asked and not granted, an end": {oidc.Response{RefreshToken: ends, Scopes: both[:1]}, "", both, false, true},
		"never asked, an end":           {oidc.Response{RefreshToken: ends, Scopes: both[:1]}, "", both[:1], true, true},
		"Spring: opaque, no end":        {oidc.Response{RefreshToken: "opaque-refresh-token", Scopes: both[:1]}, oidc.Spring, both, true, false},
		"ADFS: an end beside it":        {oidc.Response{RefreshToken: "opaque-refresh-token", RefreshExpiresIn: &month}, "", both, true, true},
		"an end of zero is none":        {oidc.Response{RefreshToken: "opaque-refresh-token", RefreshExpiresIn: &none}, "", both, true, false},
	} {
		c.answer.Received = now
		offline, end := kind(c.answer, c.product, c.asked, c.asked)
		if offline != c.offline || end.IsZero() == c.end {
			t.Errorf("%s: offline %v, ends %v", name, offline, end)
		}
	}
	// At a refresh, of a grant whose answers have never named a scope.
	for _, asked := range [][]string{both, both[:1]} {
		if offline, _ := kind(oidc.Response{RefreshToken: ends, Scopes: []string{}}, "", asked, nil); !offline {
			t.Errorf("asked for %v, and no answer names scopes: it is called online", asked)
		}
	}
}

// TestExchange_refreshTokenExpiresIn reads the end by ADFS's name for it.
func TestExchange_refreshTokenExpiresIn(t *testing.T) {
	b := newBench(t, oidctest.Neutral(), oidctest.OpaqueRefreshTokens())
	b.issuer.Inject(answers(func(o map[string]any) {
		delete(o, "refresh_expires_in")
		o["refresh_token_expires_in"] = 7776000
	}))
	rec, err := b.exchange("alice")
	b.must(err)
	if left := rec.RefreshExpiry.Sub(b.Now()); !rec.Offline || left < 89*24*time.Hour || left > 91*24*time.Hour {
		t.Errorf("offline %v, ends in %s", rec.Offline, left)
	}
	if !slices.Contains(rec.Scopes, "offline_access") {
		t.Errorf("scopes %v", rec.Scopes)
	}
}

func b64url(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// TestExchange_noSubject: the ID token beside an access token that names no subject says
// whose the grant is. One that cannot be verified says nothing.
func TestExchange_noSubject(t *testing.T) {
	for _, good := range []bool{true, false} {
		b := newBench(t, oidctest.OpaqueRefreshTokens())
		b.issuer.Inject(oidctest.Fault{Name: "no subject", Endpoint: oidctest.Token, Token: func(_ *oidctest.Call, d *oidctest.Draft) {
			switch {
			case d.Kind == "access_token":
				delete(d.Claims, "sub")
			case !good:
				d.Claims["aud"] = "somebody-else"
			}
		}})
		rec, err := b.exchange("alice")
		if err != nil || (rec.Subject != "") != good {
			t.Errorf("an ID token that is good: %v; subject %q, %v", good, rec.Subject, err)
		}
	}
}
