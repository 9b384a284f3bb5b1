package oidctest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// authAlgorithms are those an issuer lists if it is not told others.
func authAlgorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512"}
}

// RegisterKey makes public the key by which the client proves itself, as an
// administrator does; kid may be empty.
func (i *Issuer) RegisterKey(public crypto.PublicKey, kid string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.clientKey, i.clientKeyID = public, kid
}

// RegisterCertificate makes a certificate (DER) the client's own
// (self_signed_tls_client_auth). Only an issuer made with [TLS] sees any.
func (i *Issuer) RegisterCertificate(der []byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.clientCert = der
}

// SawSecret has the search for secrets look for one more.
func (i *Issuer) SawSecret(s string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.saw(s)
}

// checkAssertion is stricter than any issuer is: RFC 7523 §3 as its draft of 2025
// (rfc7523bis) and FAPI 2.0 §5.3.2.1 have it, each jti once, a minute of life. The
// caller holds mu.
func (i *Issuer) checkAssertion(a clientAuth) error {
	parts := strings.Split(a.assertion, ".")
	if len(parts) != 3 {
		return errors.New("it has not three parts")
	}
	var raw [3][]byte
	for n, part := range parts {
		b, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil {
			return err
		}
		raw[n] = b
	}
	var head struct{ Alg, Typ, Kid string }
	if err := json.Unmarshal(raw[0], &head); err != nil {
		return err
	}
	switch {
	case a.kind != assertionType:
		return errors.New("the client_assertion_type is another")
	case !slices.Contains(i.conf.authAlgs, head.Alg):
		return errors.New("invalid signature algorithm " + head.Alg)
	case head.Typ != "" && head.Typ != "JWT" && head.Typ != "client-authentication+jwt":
		return errors.New("it is another kind of JWT: " + head.Typ)
	case a.method == "private_key_jwt" && head.Kid != "" && head.Kid != i.clientKeyID:
		return errors.New("unable to load public key " + head.Kid)
	}
	var key any = []byte(i.conf.secret)
	if a.method == "private_key_jwt" {
		key = i.clientKey
	}
	if !verifies(head.Alg, key, []byte(parts[0]+"."+parts[1]), raw[2]) {
		return errors.New("signature verification failed")
	}
	return i.checkAssertionClaims(raw[1])
}

func (i *Issuer) checkAssertionClaims(raw []byte) error {
	var c struct {
		Iss, Sub, Aud, Jti string // an aud that is a list is refused
		Iat, Exp           int64
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return err
	}
	now := i.Clock.Now()
	switch {
	case c.Iss != ClientID || c.Sub != ClientID:
		return errors.New("iss and sub are not the client's id")
	case c.Aud != i.url:
		return errors.New("invalid token audience")
	case len(c.Jti) < 16:
		return errors.New("jti is missing or can be guessed")
	case i.jtis[c.Jti]:
		return errors.New("token reuse detected")
	case c.Iat == 0 || c.Exp == 0:
		return errors.New("iat or exp is missing")
	case c.Exp-c.Iat > 60:
		return errors.New("it lives too long")
	case time.Unix(c.Iat, 0).After(now.Add(15 * time.Second)):
		return errors.New("token was issued in the future")
	case now.After(time.Unix(c.Exp, 0).Add(15 * time.Second)):
		return errors.New("token is not active")
	}
	i.jtis[c.Jti] = true
	return nil
}

// verifies checks a JWS signature (RFC 7518 §3, RFC 8037 §3.1) against a public key,
// or the bytes of a HMAC key.
func verifies(alg string, key any, input, signature []byte) bool {
	family, hash := alg[:2], map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[alg[2:]]
	if !hash.Available() && alg != "EdDSA" {
		return false
	}
	var digest []byte
	if alg != "EdDSA" {
		h := hash.New()
		h.Write(input)
		digest = h.Sum(nil)
	}
	switch k := key.(type) {
	case []byte:
		if family != "HS" {
			return false
		}
		mac := hmac.New(hash.New, k)
		mac.Write(input)
		return hmac.Equal(mac.Sum(nil), signature)
	case *rsa.PublicKey:
		if family == "PS" {
			return rsa.VerifyPSS(k, hash, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return family == "RS" && rsa.VerifyPKCS1v15(k, hash, digest, signature) == nil
	case *ecdsa.PublicKey:
		size := (k.Params().BitSize + 7) / 8
		curve := map[string]string{"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[alg]
		return curve == k.Params().Name && len(signature) == 2*size &&
			ecdsa.Verify(k, digest, new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:]))
	case ed25519.PublicKey:
		return alg == "EdDSA" && ed25519.Verify(k, input, signature)
	}
	return false
}

// proofError is what is answered to an assertion or a certificate that does not prove
// the client.
func proofError(method string, err error) string {
	return fmt.Sprintf("Client authentication with %s failed: %v", method, err)
}
