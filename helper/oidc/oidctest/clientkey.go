package oidctest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"strings"
)

// NewClientKey makes a private key for a client and gives it as a file holds it. kind
// is rsa, p256, p384, p521 or ed25519, then the form: nothing for PEM with PKCS #8,
// -pkcs1 (RSA), -sec1 (curves), -jwk. members are added to a JWK.
func NewClientKey(kind string, members map[string]any) (text string, public crypto.PublicKey) {
	kind, form, _ := strings.Cut(kind, "-")
	var key crypto.Signer
	var err error
	switch kind {
	case "rsa":
		key = spareRSA[0]() // 70 ms are saved; what it is published for is another thing
	case "p256", "p384", "p521":
		curve := map[string]elliptic.Curve{"p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521()}[kind]
		key, err = ecdsa.GenerateKey(curve, rand.Reader)
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = fmt.Errorf("no kind of key is called %q", kind)
	}
	if err != nil {
		panic("oidctest: " + err.Error())
	}
	return writeKey(key, form, members), key.Public()
}

func writeKey(key crypto.Signer, form string, members map[string]any) string {
	var block pem.Block
	var err error
	switch form {
	case "":
		block.Type = "PRIVATE KEY"
		block.Bytes, err = x509.MarshalPKCS8PrivateKey(key)
	case "pkcs1":
		block = pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key.(*rsa.PrivateKey))}
	case "sec1":
		block.Type = "EC PRIVATE KEY"
		block.Bytes, err = x509.MarshalECPrivateKey(key.(*ecdsa.PrivateKey))
	case "jwk":
		object := privateJWK(key)
		maps.Copy(object, members)
		b, jsonErr := json.Marshal(object)
		if jsonErr != nil {
			panic("oidctest: " + jsonErr.Error())
		}
		return string(b) + "\n"
	default:
		err = fmt.Errorf("no form of key is called %q", form)
	}
	if err != nil {
		panic("oidctest: " + err.Error())
	}
	return string(pem.EncodeToMemory(&block))
}

// privateJWK is a key as a JWK (RFC 7518 §6.2.2 and §6.3.2, RFC 8037 §2).
func privateJWK(key crypto.Signer) map[string]any {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		object := rsaJWK(k.N, k.E)
		maps.Copy(object, map[string]any{
			"d": b64(k.D.Bytes()), "p": b64(k.Primes[0].Bytes()), "q": b64(k.Primes[1].Bytes()),
			"dp": b64(k.Precomputed.Dp.Bytes()), "dq": b64(k.Precomputed.Dq.Bytes()), "qi": b64(k.Precomputed.Qinv.Bytes()),
		})
		return object
	case *ecdsa.PrivateKey:
		point, err := k.PublicKey.Bytes()
		if err != nil {
			panic("oidctest: " + err.Error())
		}
		d, err := k.Bytes()
		if err != nil {
			panic("oidctest: " + err.Error())
		}
		half := (len(point) - 1) / 2
		return map[string]any{"kty": "EC", "crv": k.Params().Name, "x": b64(point[1 : 1+half]), "y": b64(point[1+half:]), "d": b64(d)}
	case ed25519.PrivateKey:
		return map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(k.Public().(ed25519.PublicKey)), "d": b64(k.Seed())}
	}
	panic(fmt.Sprintf("oidctest: no JWK of a %T", key))
}
