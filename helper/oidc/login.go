package oidc

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/terradue/t2-cred/helper/secret"
)

// ErrNoSuchFlow says that the issuer does not offer the way to log in that was
// asked for.
var ErrNoSuchFlow = errors.New("the issuer does not offer this way to log in")

// An Authorization is one authorization code request (RFC 6749 §4.1) with what
// binds its answer to it: state, PKCE verifier (RFC 7636) and nonce.
type Authorization struct {
	URL         string // where the user's browser is to go
	redirectURI string
	state       string
	nonce       string
	verifier    secret.Secret
	sendsIssuer bool
}

// Answers reports whether the parameters that came back to the redirect URI belong
// to this request. Anything else is not looked at further.
func (a *Authorization) Answers(back url.Values) bool {
	return subtle.ConstantTimeCompare([]byte(back.Get("state")), []byte(a.state)) == 1
}

// Authorize begins a login whose answer comes to redirectURI. Where the issuer
// takes pushed authorization requests (RFC 9126), the parameters go to it
// directly and the browser carries a reference only.
func (i *Issuer) Authorize(ctx context.Context, c Client, redirectURI string, scopes []string) (*Authorization, error) {
	meta, err := i.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	if meta.AuthorizationEndpoint == "" {
		return nil, noSuchFlow("authorization_endpoint")
	}
	a := &Authorization{
		redirectURI: redirectURI, state: rand.Text(), nonce: rand.Text(),
		verifier: secret.Secret(oauth2.GenerateVerifier()), sendsIssuer: meta.SendsIssuer,
	}
	form := url.Values{
		"response_type": {"code"}, "client_id": {c.ID}, "redirect_uri": {redirectURI}, "scope": {strings.Join(scopes, " ")},
		"state": {a.state}, "nonce": {a.nonce},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(a.verifier.Reveal())}, "code_challenge_method": {"S256"},
	}
	if slices.Contains(scopes, "offline_access") {
		// OpenID Connect Core §11: without it an issuer MUST ignore the scope, unless it
		// has other reasons. Keycloak asks for consent only where the client requires it.
		form.Set("prompt", "consent")
	}
	for name, value := range i.opt.AuthorizeParams {
		if slices.Contains(OwnParams(), name) {
			return nil, &ConfigError{Detail: fmt.Sprintf("authorize_params: %s is t2-cred's own to say", Clean(name))}
		}
		form.Set(name, value)
	}
	if meta.PAREndpoint != "" {
		pushed, err := i.push(ctx, meta, c, form)
		switch {
		case err == nil:
			form = pushed
		case meta.RequiresPAR || !notThere(err):
			return nil, err
		default: // state, nonce and PKCE bind the answer all the same
			i.opt.Log.Debug("the parameters go by the browser: no pushed authorization request is taken", "error", err)
		}
	}
	u, err := url.Parse(meta.AuthorizationEndpoint)
	if err != nil {
		return nil, &ConfigError{Detail: Clean(err.Error())}
	}
	query := u.Query()
	for name, values := range form {
		query[name] = values
	}
	u.RawQuery = query.Encode()
	a.URL = u.String()
	return a, nil
}

// OwnParams are the parameters of an authorization request that a profile cannot set:
// the answer is bound to them, or they stand for others.
func OwnParams() []string {
	return []string{
		"response_type", "response_mode", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method",
		"request", "request_uri", "client_secret", "client_assertion", "client_assertion_type",
	}
}

// noSuchFlow is the error of an endpoint that the issuer does not name. Package helper
// knows what to type next.
func noSuchFlow(missing string) error {
	return fmt.Errorf("%w: its document names no %s", ErrNoSuchFlow, missing)
}

// notThere is of an endpoint that the discovery document names and the server, or a gateway
// before it, does not have.
func notThere(err error) bool {
	var refused *Error
	return errors.As(err, &refused) && refused.NotThere()
}

// push sends the request's parameters ahead and returns what stands for them.
func (i *Issuer) push(ctx context.Context, meta *Metadata, c Client, form url.Values) (url.Values, error) {
	body, err := i.submit(ctx, "login", meta, authEndpoint{meta.PAREndpoint, meta.Aliases.PAREndpoint}, c, form)
	if err != nil {
		return nil, err
	}
	answer, err := readMembers(body)
	reference, _ := answer.text("request_uri")
	if err != nil || reference == "" {
		return nil, unreachable("login", errors.New("the answer to the pushed authorization request has no request_uri"))
	}
	return url.Values{"client_id": {c.ID}, "request_uri": {reference}}, nil
}

// Redeem turns the parameters that came back to the redirect URI into tokens.
// Errors: *VerifyError when they are not the answer to this request, *Error when
// the user or the issuer said no.
func (i *Issuer) Redeem(ctx context.Context, c Client, a *Authorization, back url.Values) (Response, error) {
	refuse := func(format string, args ...any) error {
		return &VerifyError{What: "login", Why: fmt.Sprintf(format, args...), Identity: true}
	}
	// RFC 9207 §2.4: another issuer's answer, mixed up with this one's.
	if iss := back.Get("iss"); iss != "" && iss != i.id || iss == "" && a.sendsIssuer {
		return Response{}, refuse("the answer is of issuer %q, not %q", Clean(iss), i.id)
	}
	if !a.Answers(back) {
		return Response{}, refuse("the answer is not to this login: its state is another")
	}
	if code := back.Get("error"); code != "" {
		return Response{}, &Error{
			Op: "login", Status: 400, Code: cleanWords(code, a.verifier), Description: cleanWords(onOneLine(back.Get("error_description")), a.verifier),
			Product: i.Product(), Profile: i.opt.Profile,
		}
	}
	code := secret.Secret(back.Get("code"))
	if code == "" {
		return Response{}, refuse("the answer has no code")
	}
	answer, err := i.Spend(ctx, c, Grant{op: "login", form: url.Values{
		"grant_type": {"authorization_code"}, "code": {code.Reveal()}, "redirect_uri": {a.redirectURI}, // leaves in the form
		"code_verifier": {a.verifier.Reveal()}, // leaves in the form
	}, sent: []secret.Secret{code, a.verifier}}, Spending{})
	if err != nil {
		return answer, err
	}
	return answer, i.checkNonce(ctx, c, a, answer)
}

// checkNonce ties the ID token to this login (OpenID Connect Core §3.1.3.7). An ID token
// that a shared secret has signed is compared too.
func (i *Issuer) checkNonce(ctx context.Context, c Client, a *Authorization, answer Response) error {
	if answer.IDToken == "" {
		return nil // plain OAuth 2.0: state and PKCE bind the answer
	}
	claims, err := i.Verify(ctx, answer.IDToken, Expect{What: "id_token", ClientID: c.ID, IDToken: true, Unproven: true})
	if errors.Is(err, ErrOpaque) {
		return nil // encrypted, or of an issuer without keys: it says no more than a missing one
	}
	if err != nil {
		return err
	}
	var nonce string
	switch err := parseExactly(claims.JSON, map[string]any{"nonce": &nonce}); {
	case err != nil || nonce == "":
		return &VerifyError{What: "id_token", Why: "it is not known to be of this login: it has no nonce", Identity: true}
	case nonce != a.nonce:
		return &VerifyError{What: "id_token", Why: "it is not of this login: its nonce is another", Identity: true}
	}
	return nil
}

// A Device is a device authorization (RFC 8628 §3.2): what the user is shown, and
// what we ask with.
type Device struct {
	UserCode        string // cleaned
	VerificationURI string // https, checked
	Complete        string // with the code in it; empty when the issuer gave none
	Expiry          time.Time
	interval        time.Duration
	code            secret.Secret
}

// StartDevice begins a login on another device.
func (i *Issuer) StartDevice(ctx context.Context, c Client, scopes []string) (*Device, error) {
	meta, err := i.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	if meta.DeviceEndpoint == "" {
		return nil, noSuchFlow("device_authorization_endpoint")
	}
	if meta.Product == Dex && c.Auth == "" {
		c.Auth = AuthPost // when the user has decided, Dex compares the secret of this form
	}
	body, err := i.submit(ctx, "login", meta, authEndpoint{meta.DeviceEndpoint, meta.Aliases.DeviceEndpoint}, c, url.Values{
		"client_id": {c.ID}, // also beside Basic: RFC 8628 §3.1 has it REQUIRED for some, and Dex reads nothing else
		"scope":     {strings.Join(scopes, " ")},
	})
	if err != nil {
		return nil, err
	}
	answer, err := readMembers(body)
	text := func(name string) string { v, _ := answer.text(name); return v }
	d := &Device{
		UserCode: Clean(text("user_code")), Complete: text("verification_uri_complete"),
		VerificationURI: cmp.Or(text("verification_uri"), text("verification_url")), // of the drafts, and Google's
		code:            secret.Secret(text("device_code")),
	}
	if err != nil || d.code == "" || d.UserCode == "" {
		return nil, unreachable("login", errors.New("the answer is not one of a device authorization endpoint"))
	}
	if _, err := secureURL(d.VerificationURI, i.id); err != nil {
		return nil, &VerifyError{What: "login", Why: "the verification address: " + err.Error(), Identity: true}
	}
	if _, err := secureURL(d.Complete, i.id); err != nil && d.Complete != "" {
		i.opt.Log.Debug("the address with the code in it is not shown", "error", err)
		d.Complete = "" // it is optional (RFC 8628 §3.2)
	}
	life, _ := answer.seconds("expires_in")
	d.Expiry = i.opt.Now().Add(clamp(life, 5*time.Minute))
	pause, _ := answer.seconds("interval")
	d.interval = clamp(pause, 5*time.Second)
	return d, wellFormed(d.code)
}

// clamp is a time between one second and half an hour.
func clamp(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return min(max(d, time.Second), 30*time.Minute)
}

func (i *Issuer) nobodyAnswered() *Error {
	return &Error{Op: "login", Status: 400, Code: "expired_token", Description: "nobody answered in time", Profile: i.opt.Profile}
}

// Await asks until the user has decided (RFC 8628 §3.4, §3.5), no more often than
// the issuer wants. Errors: *Error with access_denied or expired_token.
func (i *Issuer) Await(ctx context.Context, c Client, d *Device) (Response, error) {
	for pause := d.interval; ; {
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return Response{}, i.nobodyAnswered()
			}
			return Response{}, ctx.Err()
		case <-timer.C:
		}
		answer, err := i.Spend(ctx, c, Grant{op: "login", form: url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {d.code.Reveal()}, // leaves in the form
		}, sent: []secret.Secret{d.code}}, Spending{})
		var said *Error
		switch {
		case err == nil:
			return answer, nil
		case errors.As(err, &said) && said.Code == "slow_down":
			pause += 5 * time.Second
		case errors.As(err, &said) && said.Code == "authorization_pending":
		case errors.As(err, &said) && said.Temporary(), errors.Is(err, ErrUnreachable) && ctx.Err() == nil:
			pause = min(2*pause, 30*time.Second) // §3.5: back off, and go on
		default:
			return answer, err
		}
		if i.opt.Now().After(d.Expiry) {
			return Response{}, i.nobodyAnswered()
		}
	}
}
