package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/secret"
)

// assertionLife is how long an assertion is good: it is made for one request that is
// sent at once. Keycloak takes no longer one by default.
const assertionLife = 60 * time.Second

// assertion is the JWT by which a client proves itself (RFC 7523 §2.2 and §3,
// OpenID Connect Core §9), signed with its key or keyed with its secret.
//
// Its aud is the issuer's identifier, one string, at every endpoint. RFC 7523 allows
// the token endpoint's address too and Core recommends it, but an address comes from
// the issuer's own document: a hostile issuer may name an honest one's there and then
// use at that one what it was sent (the audience injection of 2025). The identifier
// was compared with the configured one. draft-ietf-oauth-rfc7523bis and FAPI 2.0
// §5.3.2.1 therefore allow nothing else; Keycloak since 26.2 takes one audience only,
// and it, as node's oidc-provider, takes this one at all endpoints. The same draft has
// the explicit type, which keeps the assertion from being taken for another JWT.
func (i *Issuer) assertion(meta *Metadata, c Client) (secret.Secret, error) {
	key, err := c.signingKey(meta)
	if err != nil {
		return "", err
	}
	now := i.opt.Now()
	head := map[string]any{"alg": key.alg, "typ": "client-authentication+jwt"}
	if key.id != "" {
		head["kid"] = key.id
	}
	input := encodeJSON(head) + "." + encodeJSON(map[string]any{
		"iss": c.ID, "sub": c.ID, "aud": i.id, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	})
	signature, err := key.sign([]byte(input))
	if err != nil {
		return "", &ConfigError{Detail: fmt.Sprintf("client_auth %s: cannot sign with %s: %s", c.Auth, key.alg, Clean(err.Error()))}
	}
	return secret.Secret(input + "." + base64.RawURLEncoding.EncodeToString(signature)), nil
}

func encodeJSON(object map[string]any) string {
	b, err := json.Marshal(object)
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// signingKey is the client's key with an algorithm that both it and the issuer know.
func (c Client) signingKey(meta *Metadata) (clientKey, error) {
	key := clientKey{private: []byte(c.Secret.Reveal())} // keys a HMAC, and does not leave
	if c.Auth == AuthKeyJWT {
		var err error
		if key, err = parseClientKey(c.Key); err != nil {
			return clientKey{}, err
		}
		if c.KeyID != "" {
			key.id = c.KeyID
		}
	}
	can := key.algorithms()
	for _, alg := range can {
		if len(meta.AuthAlgorithms) == 0 || slices.Contains(meta.AuthAlgorithms, alg) {
			key.alg = alg
			return key, nil
		}
	}
	return clientKey{}, &ConfigError{
		Detail: fmt.Sprintf("client_auth %s: the key signs with %s, and the issuer takes %s only", c.Auth, strings.Join(can, ", "), Clean(strings.Join(meta.AuthAlgorithms, ", "))),
		Remedy: hint.Say("use a key of another kind (RSA of 2048 bits serves everywhere), or another --client-auth"),
	}
}

// algorithms are those that the key signs with, the best to try first. A JWK may name
// its one. For RSA that is RS256, which every issuer has to know (OpenID Connect
// Discovery §3) and which a key that was registered without an algorithm is taken to
// be for, by Keycloak for one: PS256 would be the better signature, but one that a
// client is refused with is worth nothing. An elliptic curve has one (RFC 7518 §3.4).
func (k clientKey) algorithms() []string {
	if k.alg != "" {
		return []string{k.alg}
	}
	switch private := k.private.(type) {
	case *rsa.PrivateKey:
		return []string{"RS256", "PS256", "RS384", "PS384", "RS512", "PS512"}
	case *ecdsa.PrivateKey:
		switch private.Params().BitSize {
		case 384:
			return []string{"ES384"}
		case 521:
			return []string{"ES512"}
		}
		return []string{"ES256"}
	case ed25519.PrivateKey:
		return []string{"EdDSA", "Ed25519"} // the second is RFC 9864's name for it
	}
	return []string{"HS256", "HS384", "HS512"}
}

// sign makes a JWS signature (RFC 7515 §5.1, RFC 7518 §3, RFC 8037 §3.1).
func (k clientKey) sign(input []byte) ([]byte, error) {
	hash := crypto.SHA256
	switch k.alg[len(k.alg)-3:] {
	case "384":
		hash = crypto.SHA384
	case "512":
		hash = crypto.SHA512
	}
	h := hash.New()
	h.Write(input)
	switch private := k.private.(type) {
	case *rsa.PrivateKey:
		if k.alg[0] == 'P' {
			return rsa.SignPSS(rand.Reader, private, hash, h.Sum(nil), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.SignPKCS1v15(rand.Reader, private, hash, h.Sum(nil))
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, private, h.Sum(nil))
		if err != nil {
			return nil, err
		}
		size := (private.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...), nil
	case ed25519.PrivateKey:
		return ed25519.Sign(private, input), nil
	case []byte:
		mac := hmac.New(hash.New, private)
		mac.Write(input)
		return mac.Sum(nil), nil
	}
	return nil, fmt.Errorf("a %T signs nothing", k.private)
}
