package oidctest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"time"
)

// Mutate changes the JWTs of one kind, "access_token" or "id_token", in the
// token endpoint's answers.
func Mutate(kind, name, about string, f func(d *Draft)) Fault {
	return Fault{
		Name: name, Endpoint: Token, About: about,
		Token: func(_ *Call, d *Draft) {
			if d.Kind == kind && !d.opaque {
				f(d)
			}
		},
	}
}

// signedBy has another key sign.
func (d *Draft) signedBy(alg string, key any) {
	d.Header["alg"] = alg
	d.Sign = func(input []byte) []byte { return mustSign(alg, key, input) }
}

// parts changes the finished token's parts.
func (d *Draft) parts(f func(p []string) []string) {
	before := d.Finish
	d.Finish = func(token string) string {
		if before != nil {
			token = before(token)
		}
		return strings.Join(f(strings.Split(token, ".")), ".")
	}
}

// encryptionKey is the issuer's key that is not for signatures.
func (i *Issuer) encryptionKey() *key {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keys.enc
}

// onAccess and onID are faults of one kind of token.
func onAccess(name, about string, f func(d *Draft)) Fault {
	return Mutate("access_token", name, about, f)
}
func onID(name, about string, f func(d *Draft)) Fault { return Mutate("id_token", name, about, f) }

// stripped takes the signature off.
func stripped(d *Draft) { d.parts(func(p []string) []string { p[2] = ""; return p }) }

// foreign has an attacker's key sign.
func foreign(d *Draft) { d.signedBy("RS256", attackerRSA()) }

// none is an unsecured token, however alg spells it.
func none(alg string) func(d *Draft) {
	return func(d *Draft) { d.Header["alg"] = alg; stripped(d) }
}

// algorithmFaults are access tokens under another algorithm than the key's.
func algorithmFaults() []Fault {
	return []Fault{
		onAccess("alg-none", "alg none, no signature", none("none")),
		onAccess("alg-none-case", "alg nOnE, no signature", none("nOnE")),
		onAccess("alg-none-kept", "alg none, with a signature", func(d *Draft) { d.Header["alg"] = "none" }),
		onAccess("alg-empty", "alg is empty", none("")),
		onAccess("alg-missing", "no alg", func(d *Draft) { delete(d.Header, "alg") }),
		onAccess("alg-number", "alg is a number", func(d *Draft) { d.Header["alg"] = 256 }),
		onAccess("alg-unknown", "alg RS1", func(d *Draft) { d.Header["alg"] = "RS1" }),
		onAccess("alg-hs256-pem", "HS256, keyed with the PEM of the public key", func(d *Draft) { d.signedBy("HS256", publicPEM(d.key)) }),
		onAccess("alg-hs256-der", "HS256, keyed with the DER of the public key", func(d *Draft) { d.signedBy("HS256", publicDER(d.key)) }),
		onAccess("alg-hs256-modulus", "HS256, keyed with the bytes of n", func(d *Draft) { d.signedBy("HS256", []byte(b64(publicN(d.key)))) }),
		onAccess("alg-hs256-empty", "HS256, keyed with nothing", func(d *Draft) { d.signedBy("HS256", []byte{}) }),
		onAccess("alg-other", "signed PS256 by the right key, whose alg is RS256", func(d *Draft) { d.signedBy("PS256", d.key.private) }),
		onAccess("alg-es256-kid", "ES256 by an attacker's key, under the kid of the RSA key", func(d *Draft) { d.signedBy("ES256", makeEC()) }),
	}
}

// signatureFaults are tokens with a signature that is not the issuer's word,
// though a careless verifier may take it for that.
func signatureFaults() []Fault {
	return []Fault{
		onAccess("signature-stripped", "no signature", stripped),
		onAccess("signature-foreign", "signed by an attacker's key under the right kid", foreign),
		onAccess("signature-truncated", "half of the signature", func(d *Draft) {
			d.parts(func(p []string) []string { p[2] = p[2][:len(p[2])/2]; return p })
		}),
		onAccess("signature-flipped", "one bit of the signature changed", func(d *Draft) {
			d.parts(func(p []string) []string { p[2] = flip(p[2]); return p })
		}),
		onAccess("signature-zero", "a signature of zeros", func(d *Draft) { d.Sign = func([]byte) []byte { return make([]byte, 256) } }),
		onAccess("signature-other-token", "the signature of another good token", func(d *Draft) {
			d.Sign = func(input []byte) []byte { return mustSign(d.key.alg, d.key.private, append(input, 'x')) }
		}),
		onAccess("payload-changed", "sub changed after signing", func(d *Draft) {
			d.parts(func(p []string) []string {
				d.Claims["sub"] = namedID("mallory")
				p[1] = encode(d.Claims)
				return p
			})
		}),
		onID("id-alg-none", "an ID token with alg none", none("none")),
		onID("id-signature-foreign", "an ID token signed by an attacker's key", foreign),
		onID("id-signature-stripped", "an ID token without a signature", stripped),
	}
}

// headerFaults are access tokens whose header names the wrong key, brings its
// own, or asks for what a client does not know.
func headerFaults() []Fault {
	return []Fault{
		onAccess("kid-unknown", "a kid that is not in the key set", func(d *Draft) { d.Header["kid"] = "no-such-key" }),
		onAccess("kid-missing", "no kid, signed by the right key", func(d *Draft) { delete(d.Header, "kid") }),
		onAccess("kid-missing-foreign", "no kid, signed by an attacker's key", func(d *Draft) { delete(d.Header, "kid"); foreign(d) }),
		onAccess("kid-encryption", "signed with the encryption key, under its kid", func(d *Draft) {
			k := d.issuer.encryptionKey()
			d.Header["kid"] = k.id
			d.signedBy("RS256", k.private)
		}),
		onAccess("kid-path", "a kid that is a path", func(d *Draft) { d.Header["kid"] = "../../../../dev/null"; foreign(d) }),
		onAccess("kid-ansi", "a kid with ANSI escapes", func(d *Draft) { d.Header["kid"] = "\x1b[31mkid\n" }),
		onAccess("kid-number", "a kid that is a number", func(d *Draft) { d.Header["kid"] = 7 }),
		onAccess("header-jwk", "an attacker's key in the header jwk", func(d *Draft) {
			foreign(d)
			d.Header["jwk"], d.Header["kid"] = attackerJWK(), "attacker"
		}),
		onAccess("header-jku", "an attacker's key set in the header jku", func(d *Draft) {
			foreign(d)
			d.Header["jku"], d.Header["kid"] = d.issuer.other.url+"/jwks", "attacker"
		}),
		onAccess("header-jku-kid", "an attacker's key set in jku, under the right kid", func(d *Draft) {
			foreign(d)
			d.Header["jku"] = d.issuer.other.url + "/jwks"
		}),
		onAccess("header-x5u", "an attacker's certificate in the header x5u", func(d *Draft) {
			foreign(d)
			d.Header["x5u"], d.Header["kid"] = d.issuer.other.url+"/cert.pem", "attacker"
		}),
		onAccess("header-x5c", "an attacker's certificate in the header x5c", func(d *Draft) {
			foreign(d)
			d.Header["x5c"] = []string{base64.StdEncoding.EncodeToString(selfSigned(attackerRSA(), "attacker"))}
		}),
		onAccess("header-crit", "a critical extension that nobody knows", func(d *Draft) {
			d.Header["crit"], d.Header["exp-policy"] = []string{"exp-policy"}, "strict"
		}),
		onAccess("header-crit-empty", "an empty crit", func(d *Draft) { d.Header["crit"] = []string{} }),
		onAccess("header-b64", "b64 false (RFC 7797), critical", func(d *Draft) {
			d.Header["b64"], d.Header["crit"] = false, []string{"b64"}
		}),
		onAccess("header-b64-silent", "b64 false (RFC 7797), not said to be critical", func(d *Draft) { d.Header["b64"] = false }),
	}
}

func flip(part string) string {
	b, _ := base64.RawURLEncoding.DecodeString(part)
	if len(b) > 0 {
		b[len(b)/2] ^= 1
	}
	return b64(b)
}

func makeEC() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic("oidctest: " + err.Error())
	}
	return k
}

func publicDER(k *key) []byte {
	signer, ok := k.private.(crypto.Signer)
	if !ok {
		return []byte(k.id)
	}
	der, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		panic("oidctest: " + err.Error())
	}
	return der
}

func publicPEM(k *key) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicDER(k)})
}

func publicN(k *key) []byte {
	if r, ok := k.private.(*rsa.PrivateKey); ok {
		return r.N.Bytes()
	}
	return []byte(k.id)
}

func selfSigned(k *rsa.PrivateKey, name string) []byte {
	t := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(10 * 365 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &k.PublicKey, k)
	if err != nil {
		panic("oidctest: " + err.Error())
	}
	return der
}

// withDuplicate is the claims as JSON, with one more at the end, of a name that
// is already there.
func withDuplicate(claims map[string]any, name string, value any) []byte {
	b, _ := json.Marshal(claims)
	v, _ := json.Marshal(value)
	return slicesJoin(b[:len(b)-1], []byte(`,"`+name+`":`), v, []byte("}"))
}
