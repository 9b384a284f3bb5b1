package oidctest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
)

// sign makes a JWS signature (RFC 7515 §5.1, RFC 7518 §3, RFC 8037 §3.1) of
// input. key is a crypto.Signer, or the bytes of an HMAC key.
func sign(alg string, key any, input []byte) ([]byte, error) {
	digest := sha256.Sum256(input)
	switch k := key.(type) {
	case []byte:
		h := hmac.New(sha256.New, k)
		if alg == "HS512" {
			h = hmac.New(sha512.New, k)
		}
		h.Write(input)
		return h.Sum(nil), nil
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, k, digest[:])
		if err != nil {
			return nil, err
		}
		size := (k.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...), nil
	case ed25519.PrivateKey:
		return ed25519.Sign(k, input), nil
	case *rsa.PrivateKey:
		if alg == "PS256" {
			return rsa.SignPSS(rand.Reader, k, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, digest[:])
	case *weakRSA:
		return k.sign(digest), nil
	}
	return nil, fmt.Errorf("oidctest: cannot sign with a %T", key)
}

// publicJWK is a public key as a JWK (RFC 7517, RFC 7518 §6, RFC 8037 §2),
// without kid, use and alg.
func publicJWK(key any) map[string]any {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return rsaJWK(k.N, k.E)
	case *weakRSA:
		return rsaJWK(k.n, 65537)
	case *ecdsa.PrivateKey:
		point, err := k.PublicKey.Bytes()
		if err != nil {
			panic("oidctest: " + err.Error())
		}
		half := (len(point) - 1) / 2
		return map[string]any{"kty": "EC", "crv": "P-256", "x": b64(point[1 : 1+half]), "y": b64(point[1+half:])}
	case ed25519.PrivateKey:
		return map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(k.Public().(ed25519.PublicKey))}
	}
	panic(fmt.Sprintf("oidctest: no JWK of a %T", key))
}

func rsaJWK(n *big.Int, e int) map[string]any {
	return map[string]any{"kty": "RSA", "n": b64(n.Bytes()), "e": b64(big.NewInt(int64(e)).Bytes())}
}

// weakRSA is a key that crypto/rsa rightly refuses to make or to use.
type weakRSA struct{ n, d *big.Int }

func newWeakRSA(bits int) (*weakRSA, error) {
	one, e := big.NewInt(1), big.NewInt(65537)
	for {
		p, err := rand.Prime(rand.Reader, bits/2)
		if err != nil {
			return nil, err
		}
		q, err := rand.Prime(rand.Reader, bits/2)
		if err != nil {
			return nil, err
		}
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		if d := new(big.Int).ModInverse(e, phi); d != nil && p.Cmp(q) != 0 {
			return &weakRSA{n: new(big.Int).Mul(p, q), d: d}, nil
		}
	}
}

// sign is RSASSA-PKCS1-v1_5 (RFC 8017 §8.2.1) of a SHA-256 digest.
func (k *weakRSA) sign(digest [sha256.Size]byte) []byte {
	info, _ := hex.DecodeString("3031300d060960864801650304020105000420") // DigestInfo of SHA-256
	tail := append(info, digest[:]...)
	size := (k.n.BitLen() + 7) / 8
	em := make([]byte, size)
	em[1] = 1
	for i := 2; i < size-len(tail)-1; i++ {
		em[i] = 0xff
	}
	copy(em[size-len(tail):], tail)
	return new(big.Int).Exp(new(big.Int).SetBytes(em), k.d, k.n).FillBytes(make([]byte, size))
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// encode is compact JSON in base64url.
func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("oidctest: " + err.Error())
	}
	return b64(b)
}

// randomText is n characters that cannot be guessed.
func randomText(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b64(b)[:n]
}

// newID is a random UUID.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return formatID(b)
}

// namedID is the UUID that belongs to a name, the same in every run.
func namedID(name string) string {
	sum := sha256.Sum256([]byte("oidctest:" + name))
	return formatID([16]byte(sum[:16]))
}

func formatID(b [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
