package oidc

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/terradue/t2-cred/helper/secret"
)

// submit posts a form, with the client's authentication, to an endpoint that is
// not the token endpoint (x/oauth2 does that one) and returns the body of a
// success. sent are the secrets in the form.
func (i *Issuer) submit(ctx context.Context, op, endpoint string, c Client, form url.Values, sent ...secret.Secret) ([]byte, error) {
	client, err := i.client()
	if err != nil {
		return nil, err
	}
	sent = append(sent, c.secrets()...)
	req, err := authenticated(ctx, endpoint, c, form)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, unreachable(op, err, sent...)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, unreachable(op, err, sent...)
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return body, nil
	}
	var said struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	_ = json.Unmarshal(body, &said) // a body that is no JSON leaves the status to speak
	return nil, &Error{
		Op: op, Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header, i.opt.Now()),
		Code: cleanWords(said.Code, sent...), Description: cleanWords(said.Description, sent...),
	}
}

// authenticated is a form with the client's proof (RFC 6749 §2.3.1).
func authenticated(ctx context.Context, endpoint string, c Client, form url.Values) (*http.Request, error) {
	body := url.Values{}
	for name, values := range form {
		body[name] = values
	}
	if c.Auth != "basic" {
		body.Set("client_id", c.ID)
	}
	if c.Auth == "post" {
		body.Set("client_secret", c.Secret.Reveal()) // leaves in the form
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(body.Encode()))
	if err != nil {
		return nil, &ConfigError{Detail: Clean(err.Error())}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if c.Auth == "basic" {
		// §2.3.1 has both form-encoded before they are joined.
		req.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(c.Secret.Reveal())) // leaves in the Authorization header
	}
	return req, nil
}
