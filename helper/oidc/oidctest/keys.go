package oidctest

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"sync"
)

// A key is one that an issuer publishes.
type key struct {
	id      string
	use     string // "sig" or "enc"
	alg     string
	private any
	cert    []byte // published beside an RSA key, as Keycloak does
}

func (k *key) jwk() map[string]any {
	j := publicJWK(k.private)
	maps.Copy(j, map[string]any{"kid": k.id, "use": k.use, "alg": k.alg})
	if k.cert != nil {
		sum := sha256.Sum256(k.cert)
		j["x5c"] = []string{base64.StdEncoding.EncodeToString(k.cert)}
		j["x5t#S256"] = b64(sum[:])
	}
	return j
}

// A keyring is an issuer's keys. Its fields are read and written under the
// issuer's mu.
type keyring struct {
	enc    *key
	active *key
	old    []*key // still published, newest first
	hmac   []byte // signs refresh tokens
}

// spareRSA are keys shared by all issuers of a process, because an RSA key takes
// 70 ms to make: what is never to be believed needs none of its own, and neither
// does an issuer's first key, which has an id of its own.
var spareRSA = [...]func() *rsa.PrivateKey{sync.OnceValue(makeRSA), sync.OnceValue(makeRSA), sync.OnceValue(makeRSA)}

// encryptionRSA is the key that is published for encryption.
func encryptionRSA() *rsa.PrivateKey { return spareRSA[0]() }

// attackerRSA is a key that no issuer publishes.
func attackerRSA() *rsa.PrivateKey { return spareRSA[1]() }

// firstRSA is what an issuer signs with until its keys are rotated.
func firstRSA() *rsa.PrivateKey { return spareRSA[2]() }

// encryptionCert is the certificate of encryptionRSA.
var encryptionCert = sync.OnceValue(func() []byte { return selfSigned(encryptionRSA(), "test") })

func makeRSA() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic("oidctest: " + err.Error())
	}
	return k
}

func newKeyring(alg string) (*keyring, error) {
	r := &keyring{
		enc:  &key{id: randomText(43), use: "enc", alg: "RSA-OAEP", private: encryptionRSA(), cert: encryptionCert()},
		hmac: []byte(randomText(128)),
	}
	return r, r.rotate(alg, false)
}

func newKey(alg string, first bool) (*key, error) {
	k := &key{id: randomText(43), use: "sig", alg: alg}
	var err error
	switch alg {
	case "RS256", "PS256":
		made := firstRSA()
		if !first {
			made = makeRSA()
		}
		k.private, k.cert = made, selfSigned(made, "test")
	case "ES256":
		k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, k.private, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = fmt.Errorf("no algorithm %q", alg)
	}
	return k, err
}

func (r *keyring) rotate(alg string, keep bool) error {
	k, err := newKey(alg, r.active == nil)
	if err != nil {
		return err
	}
	switch {
	case !keep:
		r.old = nil
	case r.active != nil:
		r.old = append([]*key{r.active}, r.old...)
	}
	r.active = k
	return nil
}

// signer is the active key, of the algorithm that is asked for now.
func (r *keyring) signer(alg string) (*key, error) {
	if r.active.alg != alg {
		if err := r.rotate(alg, true); err != nil {
			return nil, err
		}
	}
	return r.active, nil
}

// published is the key set, with the key first that is of no use for tokens.
func (r *keyring) published() []map[string]any {
	keys := []map[string]any{r.enc.jwk(), r.active.jwk()}
	for _, k := range r.old {
		keys = append(keys, k.jwk())
	}
	return keys
}
