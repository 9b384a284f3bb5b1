package cli

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// inIDTokens changes the ID tokens of the answers to one grant, or to all.
func inIDTokens(grant string, change func(d *oidctest.Draft)) oidctest.Fault {
	return oidctest.Fault{Name: "ID token", Endpoint: oidctest.Token, Grant: grant, Token: func(_ *oidctest.Call, d *oidctest.Draft) {
		if d.Kind == "id_token" {
			change(d)
		}
	}}
}

// ended has an ID token be one of two hours ago.
func ended(d *oidctest.Draft) {
	for _, name := range []string{"iat", "auth_time", "exp"} {
		d.Claims[name] = d.Claims[name].(int64) - 7200
	}
}

// repeatsIDToken gives the first answer's ID token again in all later ones.
func repeatsIDToken() oidctest.Fault {
	var first any
	return inTokens(func(answer map[string]any) {
		if first == nil {
			first = answer["id_token"]
		}
		answer["id_token"] = first
	})
}

// anotherReader has access tokens be signed for another reader.
var anotherReader = oidctest.Fault{Name: "another reader", Endpoint: oidctest.Token, Token: func(_ *oidctest.Call, d *oidctest.Draft) {
	access(func(c map[string]any) { c["aud"] = "another-reader"; delete(c, "azp") })(d)
}}

// TestOddIssuers_idTokenAgain: each refresh brings the first ID token again, which has ended
// by then. It is optional there (OpenID Connect Core §12.2), so the user gets the token,
// whose end is by expires_in. Subject and name stay those of the first answer. The key
// that signed the ID token may be gone.
func TestOddIssuers_idTokenAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		opts  []oidctest.Option
		lines string
		fault oidctest.Fault
		keys  bool
	}{
		"opaque":                            {opts: []oidctest.Option{oidctest.AccessTokens(oidctest.Opaque)}},
		"opaque, rotating":                  {opts: []oidctest.Option{oidctest.AccessTokens(oidctest.Opaque), oidctest.Refresh(oidctest.Revoke)}},
		"opaque, the key is gone":           {opts: []oidctest.Option{oidctest.AccessTokens(oidctest.Opaque)}, keys: true},
		"a JWT that the profile has opaque": {lines: `access_token = "opaque"`, keys: true},
		"a JWT for another reader":          {fault: anotherReader},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHomeWith(t, append(tt.opts, oidctest.Neutral())...)
			h.addProfile(allScopes)
			h.setInProfile(tt.lines)
			h.issuer.Inject(tt.fault)
			h.issuer.Inject(repeatsIDToken())
			h.works("exchange", "--token-file", h.userToken("alice"))
			for range 2 {
				h.advance(3 * time.Hour)
				if tt.keys {
					h.issuer.ReplaceKeys()
				}
				before := h.issuer.Refreshes()
				h.works("--account", "default", "get", "--format", "json")
				var got struct {
					Subject string
					Expires int `json:"expires_in"`
				}
				if err := json.Unmarshal(h.stdout.Bytes(), &got); err != nil || got.Subject != h.issuer.Sub("alice") || got.Expires < 240 || got.Expires > 300 {
					t.Errorf("%+v, %v", got, err)
				}
				h.advance(4 * time.Minute)
				h.works("get")
				if n := h.issuer.Refreshes() - before; n != 1 {
					t.Errorf("%d refreshes in four minutes", n)
				}
			}
			h.works("status")
			if out := h.stdout.String(); !strings.Contains(out, "alice") {
				t.Errorf("status says %s", out)
			}
		})
	}
}

// TestOddIssuers_idTokenAgain_import: an import begins with a refresh. An ID token that has
// ended says nothing there: no subject is taken from it.
func TestOddIssuers_idTokenAgain_import(t *testing.T) {
	for name, change := range map[string]func(d *oidctest.Draft){"good": func(*oidctest.Draft) {}, "ended": ended} {
		h := newHomeWith(t, oidctest.Neutral(), oidctest.AccessTokens(oidctest.Opaque), oidctest.OpaqueRefreshTokens())
		h.addProfile(allScopes)
		spent, _ := h.issuer.Watch()
		h.works("exchange", "--token-file", h.userToken("alice"))
		h.works("get", "--fresh")
		h.works("erase", "--local-only")
		h.issuer.Inject(inIDTokens("", change))
		file := filepath.Join(h.dir, "refresh")
		if err := os.WriteFile(file, []byte(spent.All()[0].Given), 0o600); err != nil {
			t.Fatal(err)
		}
		h.works("import", "--token-file", file)
		_ = os.Remove(file)
		if got := h.statusOf().Subject; (got != "") != (name == "good") {
			t.Errorf("%s: the subject is %q", name, got)
		}
		h.check()
	}
}

// TestOddIssuers_idTokenContradicts: an ID token that has ended is refused for all else, and
// one that has ended is refused in the answer that begins a grant.
func TestOddIssuers_idTokenContradicts(t *testing.T) {
	h := newHomeWith(t, oidctest.Neutral(), oidctest.AccessTokens(oidctest.Opaque))
	h.addProfile(allScopes)
	remove := h.issuer.Inject(inIDTokens("", ended))
	h.fails(exitVerify, "id_token refused: it expired at", "", "exchange", "--token-file", h.userToken("alice"))
	remove()
	h.works("exchange", "--token-file", h.userToken("alice"))
	for _, tt := range []struct {
		fault, says string
	}{
		{"id-aud-other", "it is for somebody else"},
		{"id-azp-other", "it is for somebody else"},
		{"id-iss-other", "iss is"},
		{"id-sub-other", "another subject"},
		{"id-sub-missing", "it has no sub"},
		{"id-alg-none", `its signature algorithm "none"`},
		{"id-signature-foreign", "it was not made by the issuer's key"},
		{"id-signature-stripped", "it was not made by the issuer's key"},
	} {
		remove := []func(){h.issuer.Inject(inIDTokens("", ended)), h.issuer.Inject(oidctest.FaultNamed(tt.fault))}
		h.fails(exitVerify, tt.says, "", "get", "--fresh")
		for _, r := range remove {
			r()
		}
		h.works("get", "--fresh")
	}
	// A key that is not published says nothing of an ID token that is new.
	remove = h.issuer.Inject(inIDTokens("", func(d *oidctest.Draft) { d.Header["kid"] = "no-such-key" }))
	h.fails(exitVerify, "the issuer publishes no signing key", "", "get", "--fresh")
	remove()
	// One that has ended may have outlived its key. What it says is compared.
	gone := func(d *oidctest.Draft) { ended(d); d.Header["kid"] = "no-such-key" }
	remove = h.issuer.Inject(inIDTokens("", gone))
	h.works("get", "--fresh")
	remove()
	remove = h.issuer.Inject(inIDTokens("", func(d *oidctest.Draft) { gone(d); d.Claims["aud"] = "somebody-else" }))
	h.fails(exitVerify, "it is for somebody else", "", "get", "--fresh")
	remove()
	remove = h.issuer.Inject(inIDTokens("", func(d *oidctest.Draft) { gone(d); d.Header["jku"] = "https://evil.example/keys" }))
	h.fails(exitVerify, "the issuer publishes no signing key", "", "get", "--fresh")
	remove()
	h.works("get", "--fresh")
	h.check()
}

// TestOddIssuers_otherAlgorithm: tokens with a signature of a kind that is not accepted are
// refused, and the hint says which kinds are.
func TestOddIssuers_otherAlgorithm(t *testing.T) {
	h := newHomeWith(t, oidctest.Neutral())
	h.addProfile(allScopes)
	user := h.userToken("alice")
	for _, alg := range []string{"ES256K", "Ed448", "ML-DSA-65", "none"} {
		remove := h.issuer.Inject(oidctest.Fault{Name: alg, Endpoint: oidctest.Token, Token: func(_ *oidctest.Call, d *oidctest.Draft) { d.Header["alg"] = alg }})
		h.fails(exitVerify, `its signature algorithm "`+alg+`" is not one that is accepted`, "ask the issuer's admin: sign this client's tokens with RS256, PS256, ES256 or EdDSA", "exchange", "--token-file", user)
		remove()
	}
	h.works("exchange", "--token-file", user)
	h.check()
}

// TestOddIssuers_audience: the audience is a list of one, or null beside the client's name.
// Null names nobody.
func TestOddIssuers_audience(t *testing.T) {
	for name, tt := range map[string]struct {
		aud  any
		code int
	}{"a list of one": {[]string{oidctest.ClientID}, exitOK}, "null": {nil, exitOK}, "another's": {[]string{"another"}, exitVerify}} {
		h := newHomeWith(t, oidctest.Neutral())
		h.addProfile("offline_access ellip gep")
		h.issuer.Inject(oidctest.Fault{Name: name, Endpoint: oidctest.Token, Token: func(_ *oidctest.Call, d *oidctest.Draft) {
			access(func(c map[string]any) { c["aud"] = tt.aud; delete(c, "azp") })(d)
		}})
		if code := h.run("exchange", "--token-file", h.userToken("alice")); code != tt.code || strings.Contains(h.stderr.String(), "another reader") {
			t.Errorf("%s: exchange ends with %d: %s", name, code, h.stderr.String())
		}
		h.check()
	}
}

// TestOddIssuers_noKeys: Authentik signs all tokens of a provider without a signing key with
// the client's secret, and its key set is an empty object. With access_token = "opaque" in the
// profile the access tokens are taken.
func TestOddIssuers_noKeys(t *testing.T) {
	for name, set := range map[string]string{"Authentik": `{}`, "an empty list": `{"keys":[]}`} {
		h := newHomeWith(t, oidctest.Neutral())
		h.addProfile(allScopes)
		h.issuer.Inject(answers(oidctest.JWKS, "", 200, "application/json", set))
		shared := signedByShared("HS256", []byte(h.issuer.ClientSecret()))
		h.issuer.Inject(oidctest.Fault{Name: name, Endpoint: oidctest.Token, Token: func(_ *oidctest.Call, d *oidctest.Draft) { shared(d) }})
		user := h.userToken("alice")
		h.fails(exitVerify, `access_token refused: its signature algorithm "HS256"`, "sign this client's tokens with a key pair", "exchange", "--token-file", user)
		h.setInProfile(`access_token = "opaque"`)
		h.works("exchange", "--token-file", user)
		h.works("get", "--fresh")
		h.advance(time.Hour)
		h.works("get")
		if h.works("doctor"); !strings.Contains(h.stdout.String(), "none for signatures, and none is needed") {
			t.Errorf("%s: doctor says %s", name, h.stdout.String())
		}
		h.works("erase")
		h.check()
	}
	// Without that line, and where the set is none at all, doctor fails.
	h := newHomeWith(t, oidctest.Neutral())
	h.addProfile(allScopes)
	doctor := func(code int, says string) {
		t.Helper()
		if got := h.run("doctor"); got != code || !strings.Contains(strings.Join(strings.Fields(h.stdout.String()), " "), says) {
			t.Errorf("doctor ends with %d, want %d and %q: %s", got, code, says, h.stdout.String())
		}
	}
	remove := h.issuer.Inject(answers(oidctest.JWKS, "", 200, "application/json", `{}`))
	doctor(exitConfig, "fail keys jwks: none of the issuer's 0 keys")
	h.setInProfile(`access_token = "opaque"`)
	remove()
	remove = h.issuer.Inject(answers(oidctest.JWKS, "", 200, "application/json", `{"keys":{}}`))
	doctor(exitConfig, "fail keys jwks: the document is not a JWK set")
	remove()
	h.forgetDocuments()
	h.issuer.Inject(editDiscovery(func(o map[string]any) { delete(o, "jwks_uri") }))
	doctor(exitOK, "warn keys the issuer names none")
}

// TestOddIssuers_loginUnreadable: an ID token at a login that cannot be read: encrypted, no JWT, or
// of an issuer that publishes no keys. State and PKCE bind the answer, as without an ID token. One
// that can be read needs this login's nonce.
func TestOddIssuers_loginUnreadable(t *testing.T) {
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	encrypted := inIDTokens("", func(d *oidctest.Draft) {
		d.Finish = func(string) string {
			return strings.Join([]string{part(`{"alg":"RSA-OAEP","enc":"A256GCM","cty":"JWT"}`), part("key"), part("an iv"), part("what nobody here can read"), part("tag")}, ".")
		}
	})
	for name, tt := range map[string]struct {
		fault oidctest.Fault
		code  int
		says  string
	}{
		"encrypted":       {encrypted, exitOK, ""},
		"no JWT":          {inTokens(setMember("id_token", "Yc8LdPj3sHf6uEg1aVbNmKq")), exitOK, ""},
		"no keys":         {editDiscovery(func(o map[string]any) { delete(o, "jwks_uri") }), exitOK, ""},
		"no nonce":        {inIDTokens("", func(d *oidctest.Draft) { delete(d.Claims, "nonce") }), exitVerify, "it has no nonce"},
		"a nonce of null": {inIDTokens("", func(d *oidctest.Draft) { d.Claims["nonce"] = nil }), exitVerify, "it has no nonce"},
		"no signature":    {oidctest.FaultNamed("id-signature-stripped"), exitVerify, "it was not made by the issuer's key"},
	} {
		h := newHomeWith(t, oidctest.As(oidctest.PresetNamed("GitLab")))
		h.issuer.Inject(tt.fault)
		h.addProfile("openid email profile")
		if code := h.logIn(); code != tt.code || !strings.Contains(h.stderr.String(), tt.says) {
			t.Errorf("%s: login ends with %d, want %d and %q: %s", name, code, tt.code, tt.says, h.stderr.String())
			continue
		}
		if tt.code == exitOK {
			h.works("get", "--fresh")
		}
		h.check()
	}
}
