package oidc

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
)

func jwt(header, claims string) secret.Secret {
	b64 := base64.RawURLEncoding.EncodeToString
	return secret.Secret(b64([]byte(header)) + "." + b64([]byte(claims)) + ".c2ln")
}

func TestParseUnverified(t *testing.T) {
	p, ok := ParseUnverified(jwt(`{"alg":"RS256","typ":"JWT"}`, `{"iss":"i","sub":"s","SUB":"other","aud":"one","azp":"client","exp":100,"typ":"Offline"}`))
	if !ok || p.Claims.Issuer != "i" || p.Claims.Subject != "s" || p.Claims.Type != "Offline" || !p.ExpiresAt().Equal(time.Unix(100, 0)) {
		t.Errorf("%+v %v", p, ok)
	}
	if is, named := p.For("one"); !is || !named {
		t.Error("a single aud is not taken for a list of one")
	}
	if is, named := p.For("client"); !is || !named {
		t.Error("azp does not count")
	}
	if is, named := p.For("else"); is || !named {
		t.Error("anybody is named")
	}
	for _, opaque := range []secret.Secret{"", "abc", "a.b", "a.b.c", "....", jwt(`[]`, `{}`), jwt(`{"alg":""}`, `{}`), jwt(`{"alg":"RS256"}`, `no`)} {
		if _, ok := ParseUnverified(opaque); ok {
			t.Errorf("%q passes for a JWT", opaque.Reveal())
		}
	}
}

func TestReadHeader_tellsOpaqueFromBad(t *testing.T) {
	good := `{"alg":"RS256","kid":"k","typ":"at+jwt"}`
	if h, err := readHeader(jwt(good, `{}`)); err != nil || h.Kid != "k" {
		t.Errorf("%+v %v", h, err)
	}
	for _, opaque := range []secret.Secret{"", "0123456789", "not.a.jwt", "%.%.%"} {
		if _, err := readHeader(opaque); err != ErrOpaque { //nolint:errorlint // the sentinel itself
			t.Errorf("%q: %v", opaque.Reveal(), err)
		}
	}
	for name, bad := range map[string]secret.Secret{
		"none": jwt(`{"alg":"none"}`, `{}`), "hmac": jwt(`{"alg":"HS256"}`, `{}`), "no alg": jwt(`{"kid":"k"}`, `{}`),
		"crit": jwt(`{"alg":"RS256","crit":["x"]}`, `{}`), "b64": jwt(`{"alg":"RS256","b64":false}`, `{}`),
		"logout": jwt(`{"alg":"RS256","typ":"logout+jwt"}`, `{}`), "two parts": secret.Secret(strings.TrimSuffix(jwt(good, `{}`).Reveal(), ".c2ln")),
		"padded": jwt(good, `{}`) + "==", "kid number": jwt(`{"alg":"RS256","kid":7}`, `{}`),
	} {
		if _, err := readHeader(bad); err == nil || err == ErrOpaque { //nolint:errorlint // the sentinel itself
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestParseClaims_types: what a claim must not be is said in the words of the field, and its
// value is not repeated. Claims that decide nothing may have any type.
func TestParseClaims_types(t *testing.T) {
	for payload, want := range map[string]string{
		`{"sub":1796063538}`: "sub must not be a JSON number", `{"iss":["a"]}`: "iss must not be a JSON array", `{"exp":"1796063538"}`: "exp must not be a JSON string",
		`{"aud":{"a":1}}`: "aud must not be a JSON object", `{"aud":["a",7]}`: "aud must not be a JSON number", `{"azp":true}`: "azp must not be a JSON bool",
		`{"exp":1e400}`: "exp is out of range", `{"iat":1796063538.5,"nbf":null,"aud":null,"email":["a"],"at_hash":7,"preferred_username":{},"sid":1}`: "",
	} {
		_, err := parseClaims([]byte(payload))
		if (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%s: %v", payload, err)
		}
	}
}

func FuzzParseUnverified(f *testing.F) {
	f.Add("eyJhbGciOiJSUzI1NiJ9.e30.c2ln")
	f.Add(jwt(`{"alg":"RS256","kid":7}`, `{"aud":[],"exp":1e400}`).Reveal())
	f.Fuzz(func(t *testing.T, token string) {
		if p, ok := ParseUnverified(secret.Secret(token)); ok && p.Header.Alg == "" {
			t.Error("a JWT without alg")
		}
		_, _ = readHeader(secret.Secret(token))
	})
}

func FuzzKeySet(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB","alg":"RS256"},{"kty":"oct","k":"AA"},null,7]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		set, err := parseKeySet(body)
		if err != nil {
			return
		}
		for _, k := range set.keys {
			_, _ = k.public("RS256")
			_, _ = k.public("ES256")
		}
		_, _ = set.verify(t.Context(), jwt(`{"alg":"RS256"}`, `{}`), header{Alg: "RS256"})
	})
}

func FuzzMetadata(f *testing.F) {
	f.Add([]byte(`{"issuer":"https://h","token_endpoint":"https://h/t","jwks_uri":"https://h/k"}`), "https://h")
	f.Fuzz(func(t *testing.T, body []byte, issuer string) {
		m, err := parseMetadata(body, issuer)
		if err == nil && m.Issuer != issuer {
			t.Error("another issuer's document")
		}
	})
}
