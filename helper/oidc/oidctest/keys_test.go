package oidctest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
)

func raw(v any) []byte {
	s, _ := v.(string)
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}

// check verifies a token by the book against a key set: the key by its kid, for
// signatures, of the header's algorithm; nothing in the header that is not
// understood.
func check(token string, set []any) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errors.New("not three parts")
	}
	head, err := decode(parts[0])
	if err != nil {
		return err
	}
	for name := range head {
		if !slices.Contains([]string{"alg", "kid", "typ"}, name) {
			return fmt.Errorf("header %s", name)
		}
	}
	alg, _ := head["alg"].(string)
	kid, _ := head["kid"].(string)
	if kid == "" || raw(parts[2]) == nil {
		return errors.New("no kid or no signature")
	}
	for _, one := range set {
		k, _ := one.(map[string]any)
		if k["kid"] != kid || k["use"] != "sig" || k["alg"] != alg {
			continue
		}
		if !verify(alg, k, []byte(parts[0]+"."+parts[1]), raw(parts[2])) {
			return errors.New("the signature is wrong")
		}
		return nil
	}
	return errors.New("no key for it")
}

func verify(alg string, k map[string]any, input, signature []byte) bool {
	sum := sha256.Sum256(input)
	number := func(name string) *big.Int { return new(big.Int).SetBytes(raw(k[name])) }
	switch alg {
	case "RS256":
		return rsa.VerifyPKCS1v15(&rsa.PublicKey{N: number("n"), E: int(number("e").Int64())}, crypto.SHA256, sum[:], signature) == nil
	case "PS256":
		return rsa.VerifyPSS(&rsa.PublicKey{N: number("n"), E: int(number("e").Int64())}, crypto.SHA256, sum[:], signature, nil) == nil
	case "ES256":
		pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, raw(k["x"]), raw(k["y"])))
		return err == nil && len(signature) == 64 &&
			ecdsa.Verify(pub, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	case "EdDSA":
		return ed25519.Verify(raw(k["x"]), input, signature)
	}
	return false
}

func keysOf(t *testing.T, i *Issuer) []any {
	t.Helper()
	keys, _ := get(t, i, JWKS)["keys"].([]any)
	return keys
}

func TestKeys_algorithms(t *testing.T) {
	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			i := start(t, Algorithm(alg))
			keys := keysOf(t, i)
			if first := keys[0].(map[string]any); first["use"] != "enc" || first["alg"] != "RSA-OAEP" || first["kty"] != "RSA" {
				t.Errorf("first key: %v", first)
			}
			a := grantFor(t, i, "alice")
			for _, name := range []string{"access_token", "id_token"} {
				if err := check(a[name].(string), keys); err != nil || claims(t, a[name], 0)["alg"] != alg {
					t.Errorf("%s: %v", name, err)
				}
			}
			if c := claims(t, a["refresh_token"], 0); c["alg"] != "HS512" {
				t.Errorf("refresh token: %v", c)
			}
		})
	}
}

func TestKeys_rotation(t *testing.T) {
	i := start(t)
	old := grantFor(t, i, "alice")["access_token"].(string)
	i.RotateKeys()
	fresh := grantFor(t, i, "alice")["access_token"].(string)
	keys := keysOf(t, i)
	if len(keys) != 3 || check(old, keys) != nil || check(fresh, keys) != nil || claims(t, old, 0)["kid"] == claims(t, fresh, 0)["kid"] {
		t.Errorf("%d keys: %v, %v", len(keys), check(old, keys), check(fresh, keys))
	}
	i.ReplaceKeys()
	if keys = keysOf(t, i); len(keys) != 2 || check(fresh, keys) == nil {
		t.Errorf("%d keys, old token good", len(keys))
	}
	i.Set(Algorithm("ES256"))
	if token := grantFor(t, i, "alice")["access_token"].(string); check(token, keysOf(t, i)) != nil {
		t.Error("after a change of algorithm")
	}
}

func TestShapes(t *testing.T) {
	for name, test := range map[string]struct {
		shape   Shape
		typ     string
		has     []string
		without []string
	}{
		"keycloak":    {JWT, "JWT", []string{"exp", "iat", "jti", "iss", "aud", "sub", "typ", "azp", "sid", "scope", "preferred_username", "email", "realm_access"}, nil},
		"RFC 9068":    {RFC9068, "at+jwt", []string{"client_id", "aud", "sub"}, nil},
		"lightweight": {Lightweight, "JWT", []string{"iss", "exp", "azp", "sid", "scope"}, []string{"aud", "sub", "email"}},
	} {
		t.Run(name, func(t *testing.T) {
			i := start(t, AccessTokens(test.shape), OpaqueRefreshTokens())
			a := grantFor(t, i, "alice")
			c := claims(t, a["access_token"], 1)
			for _, name := range test.has {
				if _, ok := c[name]; !ok {
					t.Errorf("no %s", name)
				}
			}
			for _, name := range test.without {
				if _, ok := c[name]; ok {
					t.Errorf("has %s", name)
				}
			}
			if head := claims(t, a["access_token"], 0); head["typ"] != test.typ {
				t.Errorf("header: %v", head)
			}
			if strings.Contains(a["refresh_token"].(string), ".") {
				t.Error("the refresh token is not opaque")
			}
			if status, b := ask(t, i, Token, refreshForm(a["refresh_token"])); status != 200 {
				t.Errorf("refresh: %d %v", status, b)
			}
		})
	}
	i := start(t, AccessTokens(Opaque))
	if token := grantFor(t, i, "alice")["access_token"].(string); strings.Contains(token, ".") {
		t.Error("the access token is not opaque")
	}
}

func decode(part string) (map[string]any, error) {
	var v map[string]any
	b := raw(part)
	if b == nil {
		return nil, errors.New("not base64")
	}
	err := json.Unmarshal(b, &v)
	return v, err
}
