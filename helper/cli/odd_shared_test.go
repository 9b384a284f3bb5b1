package cli

import (
	macs "crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"hash"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// signedByShared has a secret sign a token.
func signedByShared(alg string, key []byte) func(d *oidctest.Draft) {
	return func(d *oidctest.Draft) {
		d.Header["alg"] = alg
		delete(d.Header, "kid")
		d.Sign = func(input []byte) []byte {
			mac := macs.New(map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New}[alg], key)
			mac.Write(input)
			return mac.Sum(nil)
		}
	}
}

// TestOddIssuers_idTokenByShared: ID tokens are signed with the client's secret, as Auth0 and
// Authentik can be set to. Beside an opaque access token, such a one is compared, and
// nothing is taken from it.
func TestOddIssuers_idTokenByShared(t *testing.T) {
	for _, alg := range []string{"HS256", "HS384", "HS512"} {
		h := newHomeWith(t, oidctest.Neutral(), oidctest.AccessTokens(oidctest.Opaque), oidctest.Refresh(oidctest.Revoke))
		h.addProfile(allScopes)
		shared := signedByShared(alg, []byte(h.issuer.ClientSecret()))
		h.issuer.Inject(inIDTokens("", shared))
		h.works("exchange", "--token-file", h.userToken("alice"))
		h.works("get", "--fresh")
		h.advance(time.Hour)
		h.works("get")
		remove := h.issuer.Inject(inIDTokens("", ended))
		h.works("get", "--fresh")
		remove()
		for claim, says := range map[string]string{"iss": "iss is", "aud": "it is for somebody else", "exp": "exp", "iat": "iat"} {
			remove := h.issuer.Inject(inIDTokens("", func(d *oidctest.Draft) { d.Claims[claim] = "https://evil.example/" }))
			h.fails(exitVerify, says, "", "get", "--fresh")
			remove()
		}
		remove = h.issuer.Inject(inIDTokens("", func(d *oidctest.Draft) { d.Header["crit"] = []string{"exp"} }))
		h.fails(exitVerify, "its header demands extensions", "", "get", "--fresh")
		remove()
		h.works("get", "--fresh")
		if got := h.statusOf(); got.Subject != h.issuer.Sub("alice") || got.Kind != "offline" {
			t.Errorf("status: %+v", got)
		}
		h.works("erase")
		h.check()
	}
}

// TestOddIssuers_sharedProvesNothing: no subject and no name is taken from an ID token whose
// signature was not checked, whoever made it.
func TestOddIssuers_sharedProvesNothing(t *testing.T) {
	h := newHomeWith(t, oidctest.Neutral(), oidctest.AccessTokens(oidctest.Opaque), oidctest.OpaqueRefreshTokens())
	h.addProfile(allScopes)
	h.issuer.Inject(inIDTokens("", func(d *oidctest.Draft) {
		d.Claims["preferred_username"] = "mallory"
		signedByShared("HS256", []byte("a key of somebody else's: Yc8LdPj3sHf6uEg1"))(d)
	}))
	h.works("exchange", "--token-file", h.userToken("alice"))
	h.works("status")
	if out := h.stdout.String(); strings.Contains(out, "mallory") || h.statusOf().Subject != "" {
		t.Errorf("status says %s", out)
	}
	h.check()
}

// publishedKey is the issuer's signing key as anybody can read it, in the forms that a
// careless verifier may take for a shared secret.
func publishedKey(t *testing.T, h *home) map[string][]byte {
	t.Helper()
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(fetchText(t, h.issuer.URL()+"/keys")), &set); err != nil {
		t.Fatal(err)
	}
	for _, key := range set.Keys {
		if key["use"] != "sig" {
			continue
		}
		n, err := base64.RawURLEncoding.DecodeString(key["n"].(string))
		if err != nil {
			t.Fatal(err)
		}
		public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(key)
		if err != nil {
			t.Fatal(err)
		}
		return map[string][]byte{
			"modulus": n, "modulus text": []byte(key["n"].(string)), "JWK": text, "DER": der, "PKCS #1": x509.MarshalPKCS1PublicKey(public),
			"PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "kid": []byte(key["kid"].(string)),
		}
	}
	t.Fatal("no key for signatures")
	return nil
}

// TestOddIssuers_noAccessTokenByShared: an access token that is a JWT is refused with a
// signature by any shared secret: the client's, or the published key in the place of one.
// An ID token that is signed so does not help.
func TestOddIssuers_noAccessTokenByShared(t *testing.T) {
	h := newHomeWith(t, oidctest.Neutral(), oidctest.Refresh(oidctest.Revoke))
	h.addProfile(allScopes)
	user := h.userToken("alice")
	h.works("exchange", "--token-file", user)
	keys := publishedKey(t, h)
	keys["client secret"], keys["nothing"] = []byte(h.issuer.ClientSecret()), nil
	for name, key := range keys {
		for _, alg := range []string{"HS256", "HS384", "HS512"} {
			for _, both := range []bool{false, true} {
				sign := signedByShared(alg, key)
				remove := h.issuer.Inject(oidctest.Fault{Name: "by shared", Endpoint: oidctest.Token, Token: func(_ *oidctest.Call, d *oidctest.Draft) {
					if both || d.Kind == "access_token" {
						sign(d)
					}
				}})
				says := `access_token refused: its signature algorithm "` + alg + `" is not one that is accepted`
				h.fails(exitVerify, says, "sign this client's tokens with a key pair", "get", "--fresh")
				if alg == "HS256" && both {
					h.fails(exitVerify, says, "sign this client's tokens with a key pair", "--account", "second", "exchange", "--token-file", user)
				}
				remove()
				if t.Failed() {
					t.Fatalf("%s, %s, both: %t", name, alg, both)
				}
			}
		}
	}
	h.works("get", "--fresh")
	h.check()
}

// TestOddIssuers_sharedProvesNoReader: an access token for another reader needs an ID token
// that proves whose it is.
func TestOddIssuers_sharedProvesNoReader(t *testing.T) {
	h := newHomeWith(t, oidctest.Neutral())
	h.addProfile(allScopes)
	user := h.userToken("alice")
	h.issuer.Inject(anotherReader)
	remove := h.issuer.Inject(inIDTokens("", signedByShared("HS256", []byte(h.issuer.ClientSecret()))))
	h.fails(exitVerify, `id_token refused: its signature algorithm "HS256"`, "sign this client's tokens with a key pair", "exchange", "--token-file", user)
	remove()
	h.works("exchange", "--token-file", user)
	remove = h.issuer.Inject(inIDTokens("", signedByShared("HS256", []byte(h.issuer.ClientSecret()))))
	h.fails(exitVerify, `id_token refused: its signature algorithm "HS256"`, "", "get", "--fresh")
	remove()
	gone := func(d *oidctest.Draft) { ended(d); d.Header["kid"] = "no-such-key" }
	remove = h.issuer.Inject(inIDTokens("", gone))
	h.fails(exitVerify, "the issuer publishes no signing key", "", "get", "--fresh")
	remove()
	h.works("get", "--fresh")
	h.check()
}

// TestOddIssuers_loginByShared: a login in a browser compares the nonce of such an ID token
// too, beside an opaque access token and beside a JWT.
func TestOddIssuers_loginByShared(t *testing.T) {
	for _, name := range []string{"GitLab", "AD FS"} {
		preset := oidctest.PresetNamed(name)
		h := newHomeWith(t, oidctest.As(preset))
		h.addProfile("openid email profile")
		sign := signedByShared("HS256", []byte(h.issuer.ClientSecret()))
		h.issuer.Inject(inIDTokens("", sign))
		remove := h.issuer.Inject(inIDTokens("", func(d *oidctest.Draft) { d.Claims["nonce"] = "of-another-login-Yc8LdPj3sHf6uEg1" }))
		if code := h.logIn(); code != exitVerify || !strings.Contains(h.stderr.String(), "its nonce is another") {
			t.Errorf("%s: a nonce of another login ends with %d: %s", name, code, h.stderr.String())
		}
		remove()
		if code := h.logIn(); code != exitOK {
			t.Errorf("%s: login ends with %d: %s", name, code, h.stderr.String())
			continue
		}
		h.works("get", "--fresh")
		h.check()
	}
}
