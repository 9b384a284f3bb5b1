package oidctest

import (
	"crypto/rand"
	"crypto/rsa"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestAssertions: a good one passes, and each that is wrong in one thing is refused
// for that thing.
func TestAssertions(t *testing.T) {
	i := start(t)
	key := makeRSA()
	i.RegisterKey(key.Public(), "kid-1")
	now := time.Now().Unix()
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	type jwt struct{ head, claims map[string]any }
	for name, test := range map[string]struct {
		change func(*jwt)
		alter  func(form url.Values)
		signer any
		words  string // empty: it is taken
	}{
		"good":             {},
		"good, no kid":     {change: func(j *jwt) { delete(j.head, "kid") }},
		"good, typ JWT":    {change: func(j *jwt) { j.head["typ"] = "JWT" }},
		"another key":      {signer: other, words: "signature verification failed"},
		"another kid":      {change: func(j *jwt) { j.head["kid"] = "kid-2" }, words: "unable to load public key kid-2"},
		"none":             {change: func(j *jwt) { j.head["alg"] = "none" }, words: "invalid signature algorithm none"},
		"by the public":    {change: func(j *jwt) { j.head["alg"] = "HS256" }, signer: key.N.Bytes(), words: "signature verification failed"},
		"an access token":  {change: func(j *jwt) { j.head["typ"] = "at+jwt" }, words: "another kind of JWT"},
		"another client":   {change: func(j *jwt) { j.claims["iss"] = "other" }, words: "iss and sub"},
		"another sub":      {change: func(j *jwt) { j.claims["sub"] = "other" }, words: "iss and sub"},
		"token endpoint":   {change: func(j *jwt) { j.claims["aud"] = i.endpoint(Token) }, words: "invalid token audience"},
		"a list of one":    {change: func(j *jwt) { j.claims["aud"] = []string{i.URL()} }, words: "cannot unmarshal"},
		"no jti":           {change: func(j *jwt) { delete(j.claims, "jti") }, words: "jti is missing"},
		"short jti":        {change: func(j *jwt) { j.claims["jti"] = "1" }, words: "jti is missing or can be guessed"},
		"no exp":           {change: func(j *jwt) { delete(j.claims, "exp") }, words: "iat or exp is missing"},
		"an hour":          {change: func(j *jwt) { j.claims["exp"] = now + 3600 }, words: "lives too long"},
		"of the future":    {change: func(j *jwt) { j.claims["iat"], j.claims["exp"] = now+40, now+100 }, words: "in the future"},
		"of the past":      {change: func(j *jwt) { j.claims["iat"], j.claims["exp"] = now-100, now-40 }, words: "not active"},
		"more claims":      {change: func(j *jwt) { j.claims["scope"] = "admin" }, words: "unknown field"},
		"two parts":        {alter: func(f url.Values) { cut(f, 2) }, words: "three parts"},
		"assertion type":   {alter: func(f url.Values) { f.Set("client_assertion_type", "jwt-bearer") }, words: "client_assertion_type is another"},
		"and a secret too": {alter: func(f url.Values) { f.Set("client_secret", i.ClientSecret()) }, words: "more than one way"},
	} {
		j := jwt{
			map[string]any{"alg": "RS256", "typ": "client-authentication+jwt", "kid": "kid-1"},
			map[string]any{"iss": ClientID, "sub": ClientID, "aud": i.URL(), "jti": randomText(20), "iat": now, "exp": now + 60},
		}
		if test.change != nil {
			test.change(&j)
		}
		signer := any(key)
		if test.signer != nil {
			signer = test.signer
		}
		input := encode(j.head) + "." + encode(j.claims)
		form := refreshForm("garbage")
		form.Set("client_id", ClientID)
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", input+"."+b64(mustSign(j.head["alg"].(string), signer, []byte(input))))
		if test.alter != nil {
			test.alter(form)
		}
		status, a := ask(t, i, Token, form)
		words, _ := a["error_description"].(string)
		switch {
		case test.words != "" && !strings.Contains(words, test.words):
			t.Errorf("%s: %d %v", name, status, a)
		case test.words == "" && a["error"] != "invalid_grant":
			t.Errorf("%s: %d %v", name, status, a)
		case test.words == "":
			if _, a = ask(t, i, Token, form); !strings.Contains(a["error_description"].(string), "token reuse detected") {
				t.Errorf("%s, again: %v", name, a)
			}
		}
	}
}

func cut(form url.Values, parts int) {
	form.Set("client_assertion", strings.Join(strings.Split(form.Get("client_assertion"), ".")[:parts], "."))
}

// TestRequiredAuth: an issuer that wants one way takes no other.
func TestRequiredAuth(t *testing.T) {
	for _, required := range []string{"private_key_jwt", "client_secret_jwt", "tls_client_auth"} {
		i := start(t, RequireAuth(required))
		status, a := ask(t, i, Token, refreshForm("garbage"))
		refused(t, status, a, 401, "invalid_client", "Client authentication is by "+strings.Replace(required, "tls_client_auth", "tls", 1)+" only")
	}
}
