package cli

import (
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
