package oidc

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lestrrat-go/jwx/v2/jwk"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/secret"
)

// A clientKey is what a client signs with.
type clientKey struct {
	private any    // *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey, or a secret's bytes
	id      string // kid, or empty
	alg     string // the one it is for, or empty for what its kind can
}

// parseClientKey reads a private key: PEM with PKCS #8 (RFC 5958), PKCS #1 or SEC 1
// in it, or a JWK (RFC 7517).
func parseClientKey(text secret.Secret) (clientKey, error) {
	raw := strings.TrimSpace(text.Reveal()) // taken apart, not passed on
	var k clientKey
	var err error
	if strings.HasPrefix(raw, "{") {
		k, err = parseJWK(raw)
	} else {
		k.private, err = parsePEM(raw)
	}
	if err == nil {
		err = k.check()
	}
	if err != nil {
		return clientKey{}, &ConfigError{
			Detail: "the client's key cannot be used: " + err.Error(),
			Remedy: hint.Say("openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out FILE makes one; its public half goes to the issuer's admin"),
		}
	}
	return k, nil
}

// The parsers' own words may quote the key, so they are not passed on.
var (
	errNotPrivate = errors.New("it is no private key (PEM: PKCS #8, PKCS #1 or SEC 1; or one JWK)")
	errEncrypted  = errors.New("it is encrypted, and there is nobody to ask for a passphrase; openssl pkey -in FILE takes that off, and the store keeps it safe: t2-cred profile set-secret")
)

func parsePEM(text string) (any, error) {
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errNotPrivate
		}
		var key any
		var err error
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, errEncrypted
		default:
			continue // a certificate or the curve's parameters, as openssl writes before a key
		}
		switch {
		case block.Headers["DEK-Info"] != "":
			return nil, errEncrypted
		case err != nil:
			return nil, errNotPrivate
		}
		return key, nil
	}
}

func parseJWK(text string) (clientKey, error) {
	parsed, err := jwk.ParseKey([]byte(text))
	if err != nil {
		return clientKey{}, errNotPrivate
	}
	k := clientKey{id: parsed.KeyID(), alg: parsed.Algorithm().String()}
	if err := parsed.Raw(&k.private); err != nil {
		return clientKey{}, errNotPrivate
	}
	return k, nil
}

// check wants a key that is strong enough (RFC 7518 §3.3, §3.5) and of a kind that
// its own algorithm signs with.
func (k clientKey) check() error {
	switch private := k.private.(type) {
	case *rsa.PrivateKey:
		if private.N.BitLen() < 2048 {
			return fmt.Errorf("it has %d bits, too few", private.N.BitLen())
		}
	case *ecdsa.PrivateKey:
		if c := private.Curve; c != elliptic.P256() && c != elliptic.P384() && c != elliptic.P521() {
			return errors.New("its curve is not P-256, P-384 or P-521")
		}
	case ed25519.PrivateKey:
	default:
		return errNotPrivate // a public or a symmetric one, or one for encryption
	}
	if k.alg != "" && !slices.Contains((clientKey{private: k.private}).algorithms(), k.alg) {
		return fmt.Errorf("it says that it is for %s, which its kind does not sign with", Clean(k.alg))
	}
	return nil
}
