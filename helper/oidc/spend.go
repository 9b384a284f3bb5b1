package oidc

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
)

// answerTime is how long the answer to a sent refresh token is waited for. It counts
// the time in which this process runs, so a stopped process loses none of it.
const answerTime = 30 * time.Second

// A Grant is one request to the token endpoint (RFC 6749 §4).
type Grant struct {
	op   string
	form url.Values
	sent []secret.Secret // the secrets in the form, to be taken out of the issuer's words
	// spends is of a request that ends the credential it carries. Once sent, it is
	// waited for whatever the caller's context says, and no 429 repeats it.
	spends bool
}

// RefreshGrant asks for new tokens with a refresh token (RFC 6749 §6). Without scopes
// none are sent, and they stay what they were.
func RefreshGrant(token secret.Secret, scopes ...string) Grant {
	form := url.Values{
		"grant_type":    {"refresh_token"},
		"refresh_token": {token.Reveal()}, // leaves in the form
	}
	setOne(form, "scope", strings.Join(scopes, " "))
	return Grant{op: "refresh", form: form, sent: []secret.Secret{token}, spends: true}
}

// A Spending is what the caller demands of a request that is sent once.
type Spending struct {
	// Before is called when the connection is ready and nothing but the first byte of
	// the request is left to do. On an error nothing is sent, and Spend returns that
	// error. It may be called again for a second try. Nil allows every request.
	Before func() error
	// Wait is how long the answer is waited for, in this process's running time. Zero
	// is Options.AnswerTime.
	Wait time.Duration
	// Known are scopes that the caller may have asked for. In an answer that names no
	// others, no secret is looked for.
	Known []string
}

// An Outcome says what is known of a request that carried a refresh token.
type Outcome int

// Outcomes of [Issuer.Spend].
const (
	// NotSent: no byte of the request left, or the issuer refused the client before
	// it looked at the grant and the next try did not leave. The token is not spent.
	NotSent Outcome = iota
	// NoAnswer: bytes left, and no answer came that says what became of them. The
	// token may be spent.
	NoAnswer
	// Answered: the issuer answered in the protocol's words.
	Answered
)

// OutcomeOf says what is known of the request that ended in err. A nil error is of a
// request that was answered.
func OutcomeOf(err error) Outcome {
	if err == nil {
		return Answered
	}
	var e *outcomeError
	if errors.As(err, &e) {
		return e.outcome
	}
	return NotSent
}

// Sent reports whether a byte of the request that ended in err left.
func Sent(err error) bool { return OutcomeOf(err) != NotSent }

// An outcomeError adds the outcome to the error of a request.
type outcomeError struct {
	outcome Outcome
	err     error
}

func (e *outcomeError) Error() string { return e.err.Error() }
func (e *outcomeError) Unwrap() error { return e.err }

// Spend sends a grant to the token endpoint, once. It is sent again only when no byte
// of it has left, within ctx. The one exception: while no client authentication is
// known to work (c.Auth is empty and none is remembered), the second method is tried
// once after the issuer refused the client.
//
// Once a byte of a refresh token's request has left, ctx no longer ends it.
//
// The Response has the new refresh token also beside an error, which then is of the
// access token (*VerifyError) or of the answer's status (*Error). Errors: *Error (the issuer's refusal), *VerifyError, ErrUnreachable,
// *ConfigError, and what Before returned. OutcomeOf tells what is known of the token.
func (i *Issuer) Spend(ctx context.Context, c Client, g Grant, s Spending) (Response, error) {
	meta, err := i.Metadata(ctx)
	if err != nil {
		return Response{}, err
	}
	var answer Response
	var unfit error // of an answer with a refresh token: the client was accepted
	err = i.withClientAuth(meta, c, g.spends, func(c Client) error {
		answer, err = i.spend(ctx, meta, c, g, s)
		answer.ClientAuth = c.Auth
		if answer.RefreshToken != "" {
			unfit, err = err, nil
		}
		return err
	})
	if err == nil {
		err = unfit
	}
	if err != nil && !answersTheGrant(err) {
		i.dropCachedMetadata()
	}
	return answer, err
}

// answersTheGrant tells a token endpoint's own words about a grant. After other
// failures the endpoint may be at another address by now.
func answersTheGrant(err error) bool {
	var refused *Error
	if !errors.As(err, &refused) {
		_, unfit := errors.AsType[*VerifyError](err)
		return unfit
	}
	switch refused.Code {
	case "invalid_grant", "authorization_pending", "slow_down", "access_denied", "expired_token":
		return true
	}
	return false
}

// spend tries one client authentication, again only when nothing has left.
func (i *Issuer) spend(ctx context.Context, meta *Metadata, c Client, g Grant, s Spending) (Response, error) {
	endpoint, client, err := i.open(meta.tokenEndpoint(), c)
	if err != nil {
		return Response{}, err
	}
	for try := 0; ; try++ {
		req, err := i.authenticated(context.WithoutCancel(ctx), meta, endpoint, c, g.form)
		if err != nil {
			return Response{}, err
		}
		answer, err := i.sendOnce(ctx, client, req, c, g, s)
		if err == nil || !repeatable(err, g) || !i.pause(ctx, try, err) {
			return answer, err
		}
	}
}

// repeatable reports whether a request may be sent again: nothing of it has left, and
// a second try may do better; or the issuer did not serve it (429) and it spends
// nothing.
func repeatable(err error, g Grant) bool {
	var refused *Error
	if errors.As(err, &refused) {
		return refused.Status == 429 && !g.spends
	}
	return !Sent(err) && errors.Is(err, ErrUnreachable) && mayPass(err)
}

func (m *Metadata) tokenEndpoint() authEndpoint {
	return authEndpoint{m.TokenEndpoint, m.Aliases.TokenEndpoint}
}
