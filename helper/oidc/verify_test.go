package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
)

const verifyIssuer = "https://issuer.example"

var signingRSA = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func rsaKey(kid string, n *big.Int, e []byte) map[string]any {
	k := map[string]any{"kty": "RSA", "use": "sig", "n": b64(n.Bytes()), "e": b64(e)}
	if kid != "" {
		k["kid"] = kid
	}
	return k
}

func ourRSA(kid string) map[string]any { return rsaKey(kid, signingRSA().N, []byte{1, 0, 1}) }

// verifier is an issuer whose keys are at hand, and asked for just now.
func verifier(t *testing.T, keys ...map[string]any) *Issuer {
	t.Helper()
	body, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	set, err := parseKeySet(body)
	if err != nil {
		t.Fatal(err)
	}
	set.asked = true
	i := New(verifyIssuer, Options{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	i.meta, i.keys = &Metadata{Issuer: verifyIssuer, JWKSURI: verifyIssuer + "/jwks", AccessTokenIssuer: "http://issuer.example/trust"}, set
	return i
}

// signed is a token with a header's members and claims beside the good ones. A nil value
// takes a claim out.
func signed(t *testing.T, private any, head, claims map[string]any) secret.Secret {
	t.Helper()
	full := map[string]any{"iss": verifyIssuer, "sub": "alice", "aud": "us", "exp": time.Now().Add(time.Minute).Unix()}
	for name, v := range claims {
		if full[name] = v; v == nil {
			delete(full, name)
		}
	}
	input := encodeJSON(head) + "." + encodeJSON(full)
	alg := head["alg"].(string)
	if alg == "Ed25519" {
		alg = "EdDSA"
	}
	signature, err := clientKey{private: private, alg: alg}.sign([]byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return secret.Secret(input + "." + b64(signature))
}

var us = Expect{What: "access_token", ClientID: "us", Subject: "alice"}

// TestVerify_claims: what decides refuses, what is for display does not.
func TestVerify_claims(t *testing.T) {
	i := verifier(t, ourRSA("k"))
	for name, tt := range map[string]struct {
		claims  map[string]any
		refused string // empty: accepted
		check   func(*VerifyError) bool
	}{
		"good":                         {nil, "", nil},
		"email is a list":              {map[string]any{"email": []string{"a@b.example", "c@d.example"}}, "", nil},
		"preferred_username is a list": {map[string]any{"preferred_username": []string{"alice"}}, "", nil},
		"sid is a number":              {map[string]any{"sid": 7}, "", nil},
		"exp is text":                  {map[string]any{"exp": "1900000000"}, "exp", nil},
		"exp is missing":               {map[string]any{"exp": nil}, "no exp", nil},
		"another subject":              {map[string]any{"sub": "bob"}, "another subject", func(e *VerifyError) bool { return e.OtherSubject }},
		"no subject":                   {map[string]any{"sub": nil}, "", nil},
		"another issuer":               {map[string]any{"iss": "https://other.example"}, "iss is", func(e *VerifyError) bool { return !e.OtherSubject && !e.OtherReader }},
		"a path below the issuer":      {map[string]any{"iss": verifyIssuer + "/tenant"}, "iss is", func(e *VerifyError) bool { return e.OtherReader }},
		"a name that begins alike":     {map[string]any{"iss": verifyIssuer + ".evil.example"}, "iss is", func(e *VerifyError) bool { return !e.OtherReader }},
		"access_token_issuer":          {map[string]any{"iss": "http://issuer.example/trust"}, "", nil},
		"no issuer":                    {map[string]any{"iss": nil}, "iss is", nil},
		"cid is ours (Okta)":           {map[string]any{"aud": "api://default", "cid": "us"}, "", nil},
		"cid is another's":             {map[string]any{"aud": "api://default", "cid": "them"}, "somebody else", func(e *VerifyError) bool { return e.OtherReader && !e.Identity }},
		"appid is ours (Entra, ADFS)":  {map[string]any{"aud": "https://graph.example", "appid": "us"}, "", nil},
		"client_id is ours":            {map[string]any{"aud": "https://api.example", "client_id": "us"}, "", nil},
		"aud is another's":             {map[string]any{"aud": "https://api.example"}, "somebody else", func(e *VerifyError) bool { return e.OtherReader }},
		"aud ANY":                      {map[string]any{"aud": "ANY"}, "", nil},
		"aud of WLCG's any":            {map[string]any{"aud": []string{"https://wlcg.cern.ch/jwt/v1/any"}}, "", nil},
		"aud ANY of another client":    {map[string]any{"aud": "ANY", "client_id": "them"}, "somebody else", nil},
		"nobody is named":              {map[string]any{"aud": nil}, "", nil},
	} {
		_, err := i.Verify(t.Context(), signed(t, signingRSA(), map[string]any{"alg": "RS256", "kid": "k"}, tt.claims), us)
		e, refused := errors.AsType[*VerifyError](err)
		if refused != (tt.refused != "") || refused && (!strings.Contains(e.Why, tt.refused) || tt.check != nil && !tt.check(e)) || !refused && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// An ID token is strict: its issuer is the document's.
	id := Expect{What: "id_token", ClientID: "us", IDToken: true}
	for name, claims := range map[string]map[string]any{
		"access_token_issuer": {"iss": "http://issuer.example/trust"}, "ANY": {"aud": "ANY"}, "cid": {"aud": "them", "cid": "us"},
	} {
		if _, err := i.Verify(t.Context(), signed(t, signingRSA(), map[string]any{"alg": "RS256", "kid": "k"}, claims), id); err == nil {
			t.Errorf("an ID token with %s passes", name)
		}
	}
}

// TestVerify_keys: which keys of a set are tried, and what they may measure.
func TestVerify_keys(t *testing.T) {
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	okp := func(more map[string]any) map[string]any {
		k := map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(public), "kid": "e"}
		maps.Copy(k, more)
		return k
	}
	ecKey := map[string]any{"kty": "EC", "crv": "P-256", "kid": "k", "x": b64(ec.X.FillBytes(make([]byte, 32))), "y": b64(ec.Y.FillBytes(make([]byte, 32)))}
	otherKey := func(kid string) map[string]any { return rsaKey(kid, other.N, []byte{1, 0, 1}) }
	huge := new(big.Int).SetBit(new(big.Int), 360_000, 1)
	rs := func(kid string) map[string]any {
		head := map[string]any{"alg": "RS256", "kid": kid}
		if kid == "" {
			delete(head, "kid")
		}
		return head
	}
	curve := func(alg string, c elliptic.Curve) (map[string]any, *ecdsa.PrivateKey) {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		size := (c.Params().BitSize + 7) / 8
		return map[string]any{
			"kty": "EC", "crv": c.Params().Name, "kid": "c", "alg": alg, "x": b64(k.X.FillBytes(make([]byte, size))), "y": b64(k.Y.FillBytes(make([]byte, size))),
		}, k
	}
	key384, ec384 := curve("ES384", elliptic.P384())
	key521, ec521 := curve("ES512", elliptic.P521())
	future := map[string]any{"kty": "AKP", "kid": "m", "alg": "ML-DSA-65", "pub": "AAAA"}
	for name, tt := range map[string]struct {
		keys    []map[string]any
		private any
		head    map[string]any
		ok      bool
	}{
		"two keys without kid, the second is it": {[]map[string]any{otherKey(""), ourRSA("")}, signingRSA(), rs(""), true},
		"two keys with kid, a token without":     {[]map[string]any{otherKey("a"), ourRSA("b")}, signingRSA(), rs(""), true},
		"a key without kid, a token with":        {[]map[string]any{ourRSA("")}, signingRSA(), rs("k"), false},
		"one kid twice, the first is it":         {[]map[string]any{ourRSA("k"), otherKey("k")}, signingRSA(), rs("k"), true},
		"one kid twice, the second is it":        {[]map[string]any{otherKey("k"), ourRSA("k")}, signingRSA(), rs("k"), false},
		"one kid, two kinds":                     {[]map[string]any{ecKey, ourRSA("k")}, signingRSA(), rs("k"), true},
		"a modulus of 360,000 bits":              {[]map[string]any{rsaKey("k", huge, []byte{1, 0, 1})}, signingRSA(), rs("k"), false},
		"an exponent of five bytes":              {[]map[string]any{rsaKey("k", signingRSA().N, []byte{1, 0, 0, 0, 1})}, signingRSA(), rs("k"), false},
		"EdDSA":                                  {[]map[string]any{okp(nil)}, ed, map[string]any{"alg": "EdDSA", "kid": "e"}, true},
		"Ed25519":                                {[]map[string]any{okp(nil)}, ed, map[string]any{"alg": "Ed25519", "kid": "e"}, true},
		"Ed25519 with a key for EdDSA":           {[]map[string]any{okp(map[string]any{"alg": "EdDSA"})}, ed, map[string]any{"alg": "Ed25519", "kid": "e"}, true},
		"EdDSA with a key for Ed25519":           {[]map[string]any{okp(map[string]any{"alg": "Ed25519"})}, ed, map[string]any{"alg": "EdDSA", "kid": "e"}, true},
		"ES384":                                  {[]map[string]any{key384}, ec384, map[string]any{"alg": "ES384", "kid": "c"}, true},
		"ES512":                                  {[]map[string]any{key521}, ec521, map[string]any{"alg": "ES512", "kid": "c"}, true},
		"ES512 with a key for ES384":             {[]map[string]any{key384}, ec521, map[string]any{"alg": "ES512", "kid": "c"}, false},
		"PS256 with a key without alg":           {[]map[string]any{ourRSA("k")}, signingRSA(), map[string]any{"alg": "PS256", "kid": "k"}, true},
		"PS384, beside a key of a kind to come":  {[]map[string]any{future, ourRSA("k")}, signingRSA(), map[string]any{"alg": "PS384", "kid": "k"}, true},
		"a token of a kind to come":              {[]map[string]any{future}, signingRSA(), map[string]any{"alg": "RS256", "kid": "m"}, false},
		"EdDSA with a key for RS256":             {[]map[string]any{okp(map[string]any{"alg": "RS256"})}, ed, map[string]any{"alg": "EdDSA", "kid": "e"}, false},
	} {
		i := verifier(t, tt.keys...)
		_, err := i.Verify(t.Context(), signed(t, tt.private, tt.head, nil), us)
		if _, refused := errors.AsType[*VerifyError](err); (err == nil) != tt.ok || err != nil && !refused {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestVerify_takesNoLongerThanItMay: whatever keys an issuer publishes.
func TestVerify_takesNoLongerThanItMay(t *testing.T) {
	var keys []map[string]any
	for n := range maxKeys {
		modulus := new(big.Int).SetBit(big.NewInt(int64(2*n+1)), maxRSA-1, 1)
		keys = append(keys, rsaKey("", modulus, []byte{0x7f, 0xff, 0xff, 0xff}))
	}
	i := verifier(t, keys...)
	token := signed(t, signingRSA(), map[string]any{"alg": "RS256"}, nil)
	short, end := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer end()
	began := time.Now()
	if _, err := i.Verify(short, token, us); err == nil {
		t.Error("verified with none of its keys")
	}
	if took := time.Since(began); took > 10*time.Second { // seconds are the machine's load
		t.Errorf("it took %s", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := i.Verify(ctx, token, us); !errors.Is(err, context.Canceled) || !errors.Is(err, ErrUnreachable) {
		t.Errorf("interrupted: %v", err)
	}
}

// TestVerify_whatLooksLikeAJWT is one, or is refused.
func TestVerify_whatLooksLikeAJWT(t *testing.T) {
	i := verifier(t, ourRSA("k"))
	good := signed(t, signingRSA(), map[string]any{"alg": "RS256", "kid": "k"}, nil).Reveal()
	parts := strings.Split(good, ".")
	jwe := func(head string) string { return b64([]byte(head)) + ".a2V5.aXY.Y2lwaGVy.dGFn" }
	for name, tt := range map[string]struct {
		token  string
		opaque bool
	}{
		"padding in its header":        {parts[0] + "=." + parts[1] + ".AAAA", false},
		"padding behind its header":    {parts[0] + "==." + parts[1] + "." + parts[2], false},
		"standard base64":              {"+" + good, true},
		"a space before it":            {" " + good, false},
		"spaces within its header":     {b64([]byte(` { "alg":"none"}`)) + "." + parts[1] + ".", false},
		"a line end within its header": {b64([]byte("{\n\"alg\":\"none\"}")) + "." + parts[1] + ".", false},
		"its header is cut off":        {parts[0][:len(parts[0])-3] + "." + parts[1] + "." + parts[2], false},
		"its header alone":             {parts[0], false},
		"two parts":                    {parts[0] + "." + parts[1], false},
		"four parts":                   {good + ".AAAA", false},
		"bits behind the signature":    {good + "=", false},
		"alg none":                     {b64([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".", false},
		"an empty header":              {b64([]byte(`{}`)) + "." + parts[1] + "." + parts[2], false},
		"a JWE":                        {jwe(`{"alg":"RSA-OAEP","enc":"A256GCM"}`), true},
		"a JWE without enc":            {jwe(`{"alg":"RSA-OAEP"}`), false},
		"a JWS with five parts":        {jwe(`{"alg":"RS256","kid":"k"}`), false},
		"an opaque token":              {"2YotnFZFEjr1zCsicMWpAA", true},
		"an opaque token with dots":    {"ya29.a0AfH6SMBx-1234.zzz", true},
		"an opaque token of Google":    {"1//0gK9aB-refresh", true},
		"an opaque token in hex":       {"e7d1c0ffee00aa11", true},
	} {
		_, err := i.Verify(t.Context(), secret.Secret(tt.token), us)
		_, refused := errors.AsType[*VerifyError](err)
		if opaque := errors.Is(err, ErrOpaque); opaque != tt.opaque || refused == opaque {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestVerify_withoutKeys: an issuer that publishes none has opaque tokens.
func TestVerify_withoutKeys(t *testing.T) {
	i := New(verifyIssuer, Options{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	i.meta = &Metadata{Issuer: verifyIssuer, TokenEndpoint: verifyIssuer + "/token"}
	if err := i.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := i.Verify(t.Context(), signed(t, signingRSA(), map[string]any{"alg": "RS256"}, nil), us); !errors.Is(err, ErrOpaque) {
		t.Error(err)
	}
}

// FuzzLooksLikeJWT: a token whose first part is a JSON object looks like one, whatever
// alphabet, padding or spaces it is written with.
func FuzzLooksLikeJWT(f *testing.F) {
	f.Add(`{"alg":"none"}`, ".e30.", 0)
	f.Add(` {"alg":"RS256"}`, ".e30.AAAA", 1)
	f.Fuzz(func(t *testing.T, head, rest string, how int) {
		object := map[string]any{}
		if json.Unmarshal([]byte(head), &object) != nil || len(object) == 0 {
			return
		}
		encodings := []*base64.Encoding{base64.RawURLEncoding, base64.URLEncoding, base64.StdEncoding, base64.RawStdEncoding}
		text := encodings[(how%4+4)%4].EncodeToString([]byte(head))
		if i := slices.Index([]byte(head), '{'); i > 30 {
			return // nobody looks that far
		}
		if !LooksLikeJWT(secret.Secret(fmt.Sprint(text, ".", rest))) {
			t.Errorf("%q in encoding %d", head, how)
		}
	})
}
