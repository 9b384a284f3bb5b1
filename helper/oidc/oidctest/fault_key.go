package oidctest

import (
	"fmt"
	"maps"
	"strings"
	"sync"
)

// keySet changes the published key set. keys[0] is the encryption key, keys[1]
// the one that signs.
func keySet(name, about string, f func(c *Call, keys []map[string]any) []map[string]any) Fault {
	return Fault{
		Name: name, Endpoint: JWKS, About: about,
		Edit: func(c *Call, object map[string]any) {
			if keys, ok := object["keys"].([]map[string]any); ok {
				object["keys"] = f(c, keys)
			}
		},
	}
}

// signing changes the signing key's JWK.
func signing(name, about string, f func(k map[string]any)) Fault {
	return keySet(name, about, func(_ *Call, keys []map[string]any) []map[string]any {
		f(keys[1])
		return keys
	})
}

type keys = []map[string]any

// signingKeyFaults are key sets whose signing key is not what it should be.
func signingKeyFaults() []Fault {
	without := func(names ...string) func(k map[string]any) {
		return func(k map[string]any) {
			for _, name := range names {
				delete(k, name)
			}
		}
	}
	return []Fault{
		signing("jwks-private", "the signing key with its private part", func(k map[string]any) {
			k["d"] = b64([]byte(randomText(256)))
		}),
		signing("jwks-oct", "a symmetric key in place of the signing key", func(k map[string]any) {
			kid := k["kid"]
			clear(k)
			maps.Copy(k, map[string]any{"kty": "oct", "k": b64([]byte("a shared secret that all the world knows")), "kid": kid, "use": "sig", "alg": "HS256"})
		}),
		signing("jwks-modulus-huge", "a modulus of 65,536 bits in place of the signing key's", func(k map[string]any) { k["n"] = b64([]byte(randomText(8192))) }),
		signing("jwks-exponent-1", "a public exponent of 1", func(k map[string]any) { k["e"] = "AQ" }),
		signing("jwks-kid-missing", "the signing key has no kid", without("kid")),
		signing("jwks-kid-number", "the signing key's kid is a number", func(k map[string]any) { k["kid"] = 7 }),
		signing("jwks-use-missing", "the signing key has no use and no alg", without("use", "alg")).harmless(),
		signing("jwks-use-enc", "the signing key is said to be for encryption", func(k map[string]any) { k["use"] = "enc" }),
		signing("jwks-key-ops", "the signing key may only wrap keys", func(k map[string]any) { delete(k, "use"); k["key_ops"] = []string{"wrapKey"} }),
		signing("jwks-alg-other", "the signing key's alg is another", func(k map[string]any) { k["alg"] = "ES256" }),
		signing("jwks-alg-none", "the signing key's alg is none", func(k map[string]any) { k["alg"] = "none" }),
		signing("jwks-broken", "the signing key's n is not base64", func(k map[string]any) { k["n"] = "!!!" }),
		signing("jwks-kid-ansi", "a further key with ANSI escapes", func(k map[string]any) { k["x_note"] = "\x1b[31m" }).harmless(),
	}
}

// keySetFaults are key sets that are wrong, hostile, or only unusual.
func keySetFaults() []Fault {
	return []Fault{
		keySet("jwks-empty", "no keys", func(*Call, keys) keys { return keys{} }),
		keySet("jwks-only-encryption", "only the encryption key", func(_ *Call, k keys) keys { return k[:1] }),
		keySet("jwks-signing-first", "the signing key before the encryption key", func(_ *Call, k keys) keys { return keys{k[1], k[0]} }).harmless(),
		keySet("jwks-same-kid", "an attacker's key first, under the same kid", func(_ *Call, k keys) keys {
			other := attackerJWK()
			other["kid"] = k[1]["kid"]
			return keys{other, k[0], k[1]}
		}),
		keySet("jwks-same-kid-encryption", "the encryption key under the kid of the signing key", func(_ *Call, k keys) keys {
			k[0]["kid"] = k[1]["kid"]
			return k
		}).harmless(),
		octFault(),
		keySet("jwks-thousands", "5,000 keys, ours last", func(_ *Call, k keys) keys {
			var many keys
			for n := range 5000 {
				x := b64([]byte(randomText(32)))
				many = append(many, map[string]any{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": fmt.Sprintf("key-%d", n), "use": "sig"})
			}
			return append(many, k...)
		}),
		weakFault(),
		keySet("jwks-broken-first", "a key that cannot be read before the others", func(_ *Call, k keys) keys {
			return append(keys{{"kty": "RSA", "kid": "broken", "n": "!!!", "e": 3}}, k...)
		}).harmless(),
		keySet("jwks-unknown-kty", "a key of a type yet to come before the others", func(_ *Call, k keys) keys {
			return append(keys{{"kty": "AKP", "kid": "ml-dsa", "alg": "ML-DSA-65", "pub": b64([]byte("x"))}}, k...)
		}).harmless(),
		keySet("jwks-off-curve", "an EC key whose point is not on the curve, before the others", func(_ *Call, k keys) keys {
			return append(keys{{"kty": "EC", "crv": "P-256", "kid": "off", "use": "sig", "x": b64(make([]byte, 32)), "y": b64(make([]byte, 32))}}, k...)
		}).harmless(),
		keySet("jwks-null", "null among the keys", func(_ *Call, k keys) keys { return append(keys{nil}, k...) }).harmless(),
		{
			Name: "jwks-no-keys", Endpoint: JWKS, About: "an object without keys",
			Edit: func(_ *Call, object map[string]any) { delete(object, "keys") },
		},
		{
			Name: "jwks-keys-object", Endpoint: JWKS, About: "keys is an object",
			Edit: func(_ *Call, object map[string]any) { object["keys"] = map[string]any{"0": "key"} },
		},
		{
			Name: "jwks-bare-key", Endpoint: JWKS, About: "a single key in place of a set",
			Edit: func(_ *Call, object map[string]any) {
				if keys, ok := object["keys"].([]map[string]any); ok {
					delete(object, "keys")
					maps.Copy(object, keys[1])
				}
			},
		},
	}
}

// octFault publishes a symmetric key and signs with it.
func octFault() Fault {
	secret := []byte(strings.Repeat("a shared secret ", 4))
	return Fault{
		Name: "jwks-oct-signed", Endpoint: Any, About: "a symmetric key is published, and access tokens are signed with it (HS256)",
		Edit: func(c *Call, object map[string]any) {
			if keys, ok := object["keys"].([]map[string]any); ok && c.Endpoint == JWKS {
				object["keys"] = append(keys, map[string]any{"kty": "oct", "k": b64(secret), "kid": "shared", "use": "sig", "alg": "HS256"})
			}
		},
		Token: func(_ *Call, d *Draft) {
			d.Header["kid"] = "shared"
			d.signedBy("HS256", secret)
		},
	}
}

// weakFault publishes an RSA key of 512 bits and signs with it.
func weakFault() Fault {
	weak := sync.OnceValue(func() *weakRSA {
		k, err := newWeakRSA(512)
		if err != nil {
			panic("oidctest: " + err.Error())
		}
		return k
	})
	return Fault{
		Name: "jwks-rsa-512", Endpoint: Any, About: "an RSA key of 512 bits is published, and access tokens are signed with it",
		Edit: func(c *Call, object map[string]any) {
			if keys, ok := object["keys"].([]map[string]any); ok && c.Endpoint == JWKS {
				object["keys"] = append(keys, (&key{id: "weak", use: "sig", alg: "RS256", private: weak()}).jwk())
			}
		},
		Token: func(_ *Call, d *Draft) {
			d.Header["kid"] = "weak"
			d.signedBy("RS256", weak())
		},
	}
}
