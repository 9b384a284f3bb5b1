package oidc

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/terradue/t2-cred/helper/secret"
)

// submit posts a form, with the client's authentication, to an endpoint that is not
// the token endpoint (Spend does that one) and returns the body of a success. sent are
// the secrets in the form.
func (i *Issuer) submit(ctx context.Context, op string, meta *Metadata, to authEndpoint, c Client, form url.Values, sent ...secret.Secret) (body []byte, err error) {
	err = i.withClientAuth(meta, c, false, func(c Client) error {
		endpoint, client, err := i.open(to, c)
		if err != nil {
			return err
		}
		req, err := i.authenticated(ctx, meta, endpoint, c, form)
		if err != nil {
			return err
		}
		body, err = i.send(op, client, req, append(c.secrets(), sent...))
		return err
	})
	return body, err
}

// send sends a request and returns the body of a success.
func (i *Issuer) send(op string, client *http.Client, req *http.Request, sent []secret.Secret) ([]byte, error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, unreachable(op, transportError(err), sent...)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, unreachable(op, transportError(err), sent...)
	}
	body = plainText(body)
	said, _ := readMembers(body) // a body that is no JSON leaves the status to speak
	named, _ := said.text("error")
	success := resp.StatusCode >= 200 && resp.StatusCode < 300
	if success && named == "" { // else it is refused, with the status of a success as GitHub does
		return body, nil
	}
	code, words := said.refusal()
	if to := resp.Header.Get("Location"); code == "" && resp.StatusCode >= 300 && resp.StatusCode < 400 {
		words = "it redirects to " + to + ", which is not followed"
	}
	return nil, i.failed(op, resp, code, words, sent)
}

// authenticated is a form with the client's proof (RFC 6749 §2.3.1, RFC 7521 §4.2).
func (i *Issuer) authenticated(ctx context.Context, meta *Metadata, endpoint string, c Client, form url.Values) (*http.Request, error) {
	proof, err := i.proof(meta, c)
	if err != nil {
		return nil, err
	}
	body := maps.Clone(form)
	maps.Copy(body, proof)
	if c.Auth != AuthBasic {
		body.Set("client_id", c.ID) // with a certificate it is what tells who shows it (RFC 8705 §2)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(body.Encode()))
	if err != nil {
		return nil, &ConfigError{Detail: Clean(err.Error())}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if c.Auth == AuthBasic {
		// §2.3.1 has both form-encoded before they are joined.
		req.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(c.Secret.Reveal())) // leaves in the Authorization header
	}
	return req, nil
}
