package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/terradue/t2-cred/helper/secret"
)

// maxToken is the most that one token may measure, in bytes.
const maxToken = 64 << 10

// A Response is the token endpoint's answer (RFC 6749 §5.1, RFC 8693 §2.2.1),
// its tokens free of control characters but not yet verified.
type Response struct {
	AccessToken     secret.Secret
	RefreshToken    secret.Secret // empty when none was given
	IDToken         secret.Secret
	TokenType       string
	IssuedTokenType string
	Scopes          []string // nil when the issuer did not say
	Received        time.Time
	ExpiresIn       time.Duration // zero when the issuer did not say
	// RefreshExpiresIn is Keycloak's refresh_expires_in; zero there means that no
	// end is set. Nil when the issuer did not say.
	RefreshExpiresIn *time.Duration
}

// post sends one grant to the token endpoint. A refresh token may serve once,
// and each exchange makes a new grant: so the request is tried again only when it
// has certainly not been served. sent are the secrets that it carries besides the
// client's, to be taken out of the issuer's words.
func (i *Issuer) post(ctx context.Context, op string, c Client, form url.Values, sent ...secret.Secret) (Response, error) {
	meta, err := i.Metadata(ctx)
	if err != nil {
		return Response{}, err
	}
	sent = append(sent, c.secrets()...)
	var answer *oauth2.Token
	err = i.asClient(meta, c, func(c Client) error {
		endpoint, client, err := i.open(door{meta.TokenEndpoint, meta.Aliases.TokenEndpoint}, c)
		if err != nil {
			return err
		}
		return i.retry(ctx, false, func() error {
			conf, err := i.grant(meta, c, endpoint, form)
			if err != nil {
				return err
			}
			answer, err = conf.Token(oauthContext(ctx, client))
			return i.explain(op, err, sent)
		})
	})
	if err != nil {
		// These are a token endpoint's own words; after others it may be elsewhere.
		words := []string{"invalid_grant", "authorization_pending", "slow_down", "access_denied", "expired_token"}
		if refused := (*Error)(nil); !errors.As(err, &refused) || !slices.Contains(words, refused.Code) {
			i.distrust()
		}
		return Response{}, err
	}
	return i.response(answer, sent)
}

// grant is one grant with the client's proof, as x/oauth2 sends it.
func (i *Issuer) grant(meta *Metadata, c Client, endpoint string, form url.Values) (*clientcredentials.Config, error) {
	proof, err := i.proof(meta, c)
	if err != nil {
		return nil, err
	}
	conf := &clientcredentials.Config{ClientID: c.ID, TokenURL: endpoint, EndpointParams: maps.Clone(form), AuthStyle: oauth2.AuthStyleInParams}
	maps.Copy(conf.EndpointParams, proof)
	if c.Auth == AuthBasic {
		conf.AuthStyle = oauth2.AuthStyleInHeader
		conf.ClientSecret = c.Secret.Reveal() // leaves in the Authorization header
	}
	return conf, nil
}

// explain turns x/oauth2's error, whose text may hold the whole body, into ours.
func (i *Issuer) explain(op string, err error, sent []secret.Secret) error {
	var refused *oauth2.RetrieveError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errBodyTooLarge):
		return unreachable(op, errBodyTooLarge)
	case !errors.As(err, &refused):
		return unreachable(op, err, sent...)
	}
	e := &Error{
		Op: op, Status: refused.Response.StatusCode,
		Code: cleanWords(refused.ErrorCode, sent...), Description: cleanWords(refused.ErrorDescription, sent...),
		RetryAfter: retryAfter(refused.Response.Header, i.opt.Now()),
	}
	if e.Code == "" && e.Status < 300 {
		return unreachable(op, errors.New("the answer is not one of a token endpoint"))
	}
	if e.Code == "" && e.Status < 400 {
		return unreachable(op, fmt.Errorf("the token endpoint redirects to %s; tokens do not follow redirects", refused.Response.Header.Get("Location")), sent...)
	}
	return e
}

// response reads what x/oauth2 left raw: it would compute expiry by its own
// clock and fill in a refresh token that the issuer did not send.
func (i *Issuer) response(answer *oauth2.Token, sent []secret.Secret) (Response, error) {
	text := func(name string) string { s, _ := answer.Extra(name).(string); return s }
	r := Response{
		AccessToken:     secret.Secret(answer.AccessToken),
		RefreshToken:    secret.Secret(text("refresh_token")),
		IDToken:         secret.Secret(text("id_token")),
		TokenType:       cleanWords(text("token_type"), sent...),
		IssuedTokenType: cleanWords(text("issued_token_type"), sent...),
		Received:        i.opt.Now(),
	}
	if scope, ok := answer.Extra("scope").(string); ok {
		r.Scopes = strings.Fields(cleanWords(scope, sent...))
	}
	if d, ok := seconds(answer.Extra("expires_in")); ok && d > 0 {
		r.ExpiresIn = d
	}
	if d, ok := seconds(answer.Extra("refresh_expires_in")); ok {
		d = max(d, 0)
		r.RefreshExpiresIn = &d
	}
	if wellFormed(r.IDToken) != nil {
		r.IDToken = "" // it is not needed, and not worth a grant
	}
	for name, t := range map[string]secret.Secret{"access_token": r.AccessToken, "refresh_token": r.RefreshToken} {
		if err := wellFormed(t); err != nil {
			return Response{}, &VerifyError{What: name, Why: err.Error(), Identity: true}
		}
	}
	if r.TokenType != "" && !strings.EqualFold(r.TokenType, "Bearer") && !strings.EqualFold(r.TokenType, "N_A") {
		// The refresh token is good all the same, so it goes along.
		return Response{RefreshToken: r.RefreshToken, RefreshExpiresIn: r.RefreshExpiresIn, Received: r.Received},
			&VerifyError{What: "access_token", Why: fmt.Sprintf("its token_type is %s, not Bearer", r.TokenType)}
	}
	return r, nil
}

// wellFormed refuses what cannot be a bearer token (RFC 6750 §2.1's b64token,
// wider by the visible characters that some issuers use) and what could break
// out of a header or a line.
func wellFormed(t secret.Secret) error {
	v := t.Reveal() // looked at, not passed on
	if len(v) > maxToken {
		return fmt.Errorf("it measures %d bytes, more than %d", len(v), maxToken)
	}
	for n := 0; n < len(v); n++ {
		if v[n] <= ' ' || v[n] >= 0x7f {
			return errors.New("it holds a space, a control character or a byte beyond ASCII")
		}
	}
	return nil
}

// seconds reads a JSON number, or a string with one as some issuers send it.
func seconds(v any) (time.Duration, bool) {
	var f float64
	switch n := v.(type) {
	case float64:
		f = n
	case json.Number:
		f, _ = n.Float64()
	case string:
		p, err := strconv.ParseFloat(n, 64)
		if err != nil {
			return 0, false
		}
		f = p
	default:
		return 0, false
	}
	if math.IsNaN(f) {
		return 0, false
	}
	const most = 100 * 365 * 24 * 3600
	return time.Duration(min(max(f, -1), most)) * time.Second, true
}

// An ExchangeRequest is RFC 8693 §2.1's, for a subject token that is an access
// token.
type ExchangeRequest struct {
	SubjectToken secret.Secret
	Audience     []string
	Resource     []string
	Scopes       []string
	// RequestedTokenType is a token type URI, or empty to leave it to the issuer.
	RequestedTokenType string
}

// Token type identifiers of RFC 8693 §3, and its grant type.
const (
	TypeAccessToken  = "urn:ietf:params:oauth:token-type:access_token"
	TypeRefreshToken = "urn:ietf:params:oauth:token-type:refresh_token"
	grantExchange    = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// Exchange trades a user's access token for the client's own tokens (RFC 8693).
// Errors: *Error, *VerifyError (a token that cannot be one), ErrUnreachable.
func (i *Issuer) Exchange(ctx context.Context, c Client, r ExchangeRequest) (Response, error) {
	form := url.Values{
		"grant_type":         {grantExchange},
		"subject_token":      {r.SubjectToken.Reveal()}, // leaves in the form
		"subject_token_type": {TypeAccessToken},
	}
	setMany(form, "audience", r.Audience)
	setMany(form, "resource", r.Resource)
	setOne(form, "scope", strings.Join(r.Scopes, " "))
	setOne(form, "requested_token_type", r.RequestedTokenType)
	return i.post(ctx, "exchange", c, form, r.SubjectToken)
}

// Refresh spends a refresh token (RFC 6749 §6). Scopes are not sent: they stay
// what they were. Response.RefreshToken is empty when the old one goes on.
func (i *Issuer) Refresh(ctx context.Context, c Client, token secret.Secret) (Response, error) {
	form := url.Values{
		"grant_type":    {"refresh_token"},
		"refresh_token": {token.Reveal()}, // leaves in the form
	}
	return i.post(ctx, "refresh", c, form, token)
}

func setMany(form url.Values, name string, values []string) {
	if len(values) > 0 {
		form[name] = values
	}
}

func setOne(form url.Values, name, value string) {
	if value != "" {
		form.Set(name, value)
	}
}
