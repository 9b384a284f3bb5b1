package keycloak

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Answer is what the token endpoint said.
type Answer struct {
	Status           int    `json:"-"`
	AccessToken      string `json:"access_token"`
	RefreshToken     string `json:"refresh_token"`
	IDToken          string `json:"id_token"`
	TokenType        string `json:"token_type"`
	IssuedTokenType  string `json:"issued_token_type"`
	Scope            string `json:"scope"`
	ExpiresIn        int    `json:"expires_in"`
	RefreshExpiresIn int    `json:"refresh_expires_in"`
	Error            string `json:"error"`
	Description      string `json:"error_description"`
	Active           *bool  `json:"active"` // of an introspection
}

// String shows an answer without its tokens.
func (a Answer) String() string {
	if a.Error != "" {
		return fmt.Sprintf("%d %s %q", a.Status, a.Error, a.Description)
	}
	if a.Active != nil {
		return fmt.Sprintf("%d active=%t", a.Status, *a.Active)
	}
	return fmt.Sprintf("%d access=%t refresh=%s expires_in=%d refresh_expires_in=%d scope=%q",
		a.Status, a.AccessToken != "", a.RefreshType(), a.ExpiresIn, a.RefreshExpiresIn, a.Scope)
}

// RefreshType is the `typ` of the refresh token: Offline or Refresh, none without one.
func (a Answer) RefreshType() string {
	if a.RefreshToken == "" {
		return "none"
	}
	typ, _ := Claims(a.RefreshToken)["typ"].(string)
	return typ
}

// HasScope tells whether the answer names a scope.
func (a Answer) HasScope(name string) bool {
	for s := range strings.FieldsSeq(a.Scope) {
		if s == name {
			return true
		}
	}
	return false
}

// Claims are the claims of a JWT, unverified; nil when it is none.
func Claims(token string) map[string]any { return segment(token, 1) }

// Header is the header of a JWT; nil when it is none.
func Header(token string) map[string]any { return segment(token, 0) }

func segment(token string, n int) map[string]any {
	p := strings.Split(token, ".")
	if len(p) != 3 {
		return nil
	}
	b, err := base64.RawURLEncoding.DecodeString(p[n])
	if err != nil {
		return nil
	}
	var m map[string]any
	if json.Unmarshal(b, &m) != nil {
		return nil
	}
	return m
}

// Types of tokens in RFC 8693.
const (
	AccessTokenType  = "urn:ietf:params:oauth:token-type:access_token"
	RefreshTokenType = "urn:ietf:params:oauth:token-type:refresh_token"
	ExchangeGrant    = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// ExchangeForm is the seed's request: subject for an offline token of the
// application.
func ExchangeForm(subject string) url.Values {
	return url.Values{
		"grant_type": {ExchangeGrant}, "subject_token": {subject}, "subject_token_type": {AccessTokenType},
		"audience": {ClientID}, "scope": {Scopes},
	}
}

// RefreshForm is a refresh.
func RefreshForm(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
}

// Post sends a form to the token endpoint as it is.
func (r *Realm) Post(form url.Values) Answer {
	r.t.Helper()
	return r.post("/protocol/openid-connect/token", form)
}

// PostAsClient sends a form to the token endpoint as the application, which
// authenticates in the Authorization header.
func (r *Realm) PostAsClient(form url.Values) Answer {
	r.t.Helper()
	return r.post("/protocol/openid-connect/token", form, ClientID, r.ClientSecret())
}

// Revoke revokes a token as the application.
func (r *Realm) Revoke(token string) Answer {
	r.t.Helper()
	return r.post("/protocol/openid-connect/revoke", url.Values{"token": {token}}, ClientID, r.ClientSecret())
}

// Introspect asks about a token as the application (RFC 7662).
func (r *Realm) Introspect(form url.Values) Answer {
	r.t.Helper()
	return r.post("/protocol/openid-connect/token/introspect", form, ClientID, r.ClientSecret())
}

func (r *Realm) post(path string, form url.Values, basic ...string) Answer {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.Issuer()+path, strings.NewReader(form.Encode()))
	r.must(err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if len(basic) == 2 {
		req.SetBasicAuth(basic[0], basic[1])
	}
	res, err := r.s.client.Do(req)
	r.must(err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	r.must(err)
	a := Answer{Status: res.StatusCode}
	if len(body) > 0 {
		if err := json.Unmarshal(body, &a); err != nil {
			r.t.Fatalf("keycloak: %s: %s: %v", path, res.Status, err)
		}
	}
	return a
}
