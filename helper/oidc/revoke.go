package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/terradue/t2-cred/helper/secret"
)

// ErrNoRevocation says that the issuer names no revocation endpoint.
var ErrNoRevocation = errors.New("the issuer has no revocation endpoint")

// Revoke ends a refresh token at the issuer (RFC 7009). A token that the issuer
// does not know is revoked already: it answers 200 (§2.2).
func (i *Issuer) Revoke(ctx context.Context, c Client, token secret.Secret) error {
	meta, err := i.Metadata(ctx)
	if err != nil {
		return err
	}
	if meta.RevocationEndpoint == "" {
		return ErrNoRevocation
	}
	client, err := i.client()
	if err != nil {
		return err
	}
	sent := append(c.secrets(), token)
	return i.retry(ctx, true, func() error {
		req, err := revokeRequest(ctx, meta.RevocationEndpoint, c, token)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return unreachable("revoke", err, sent...)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return unreachable("revoke", err)
		}
		if resp.StatusCode >= 200 && resp.StatusCode < 300 {
			return nil
		}
		var said struct {
			Code        string `json:"error"`
			Description string `json:"error_description"`
		}
		_ = json.Unmarshal(body, &said) // a body that is no JSON leaves the status to speak
		return &Error{
			Op: "revoke", Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header, i.opt.Now()),
			Code: cleanWords(said.Code, sent...), Description: cleanWords(said.Description, sent...),
		}
	})
}

func revokeRequest(ctx context.Context, endpoint string, c Client, token secret.Secret) (*http.Request, error) {
	form := url.Values{
		"token":           {token.Reveal()}, // leaves in the form
		"token_type_hint": {"refresh_token"},
	}
	if c.Auth != "basic" {
		form.Set("client_id", c.ID)
	}
	if c.Auth == "post" {
		form.Set("client_secret", c.Secret.Reveal()) // leaves in the form
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, &ConfigError{Detail: Clean(err.Error())}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if c.Auth == "basic" {
		// RFC 6749 §2.3.1 has both form-encoded before they are joined.
		req.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(c.Secret.Reveal())) // leaves in the Authorization header
	}
	return req, nil
}
