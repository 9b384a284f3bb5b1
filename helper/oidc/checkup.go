package oidc

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
)

// This file is for doctor. Each question goes to the issuer itself, whatever is cached of
// its documents, and changes nothing there.

// noToken stands for a token where one has to be sent and none is at stake.
const noToken = "t2-cred-doctor-holds-no-token"

// Discover is Metadata asked for anew.
func (i *Issuer) Discover(ctx context.Context) (*Metadata, error) { return i.metadata(ctx, anew) }

// Leeway is how far the issuer's clock and ours may be apart before tokens are refused.
func Leeway() time.Duration { return leeway }

// Skew is the issuer's clock less ours, by the Date (RFC 9110 §6.6.1) of its last
// answer; not known when no answer had one.
func (i *Issuer) Skew() (skew time.Duration, known bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.skew, i.dated
}

// Proxy is the proxy through which the issuer is reached, by HTTPS_PROXY, HTTP_PROXY
// and NO_PROXY; nil for none. The error is of a variable that is not the address of one.
func (i *Issuer) Proxy() (*url.URL, error) {
	u, err := url.Parse(i.id)
	if err != nil {
		return nil, &ConfigError{Detail: "the issuer is not a URL"}
	}
	return ProxyFromEnvironment(&http.Request{URL: u})
}

// Roots are the certificates that are trusted beside the system's: none without a
// CAFile.
func (i *Issuer) Roots() ([]*x509.Certificate, error) {
	if i.opt.CAFile == "" {
		return nil, nil
	}
	if _, err := i.client(); err != nil {
		return nil, err
	}
	rest, err := i.readCAFile()
	if err != nil {
		return nil, err
	}
	var roots []*x509.Certificate
	for block, rest := pem.Decode(rest); block != nil; block, rest = pem.Decode(rest) {
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			roots = append(roots, cert)
		}
	}
	return roots, nil
}

// ErrNoSigningKey says that no signature can be verified with the issuer's keys.
var ErrNoSigningKey = errors.New("no signing key")

// SigningAlgorithms asks for the issuer's keys and returns the algorithms whose
// signatures could be verified with them. Errors: ErrNoSigningKey when there is none, and
// those of fetching.
func (i *Issuer) SigningAlgorithms(ctx context.Context) ([]string, error) {
	set, err := i.keySet(ctx, anew)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, alg := range algorithms {
		if slices.ContainsFunc(set.keys, func(k publishedKey) bool {
			if !k.signs() || k.Alg != "" && k.Alg != alg.String() {
				return false
			}
			_, err := k.public(alg)
			return err == nil
		}) {
			found = append(found, alg.String())
		}
	}
	if len(found) == 0 {
		return nil, &hint.Error{
			Kind:   ErrNoSigningKey,
			Detail: fmt.Sprintf("jwks: none of the issuer's %d keys is one for signatures that are accepted (RS, PS, ES, EdDSA; RSA of 2048 bits or more)", len(set.keys)),
			Remedy: hint.Say(AskAdmin + "publish the key that access tokens are signed with, and sign with none that is symmetric"),
		}
	}
	return found, nil
}

// ProveClient asks for a refresh with a string that is no refresh token. An issuer looks at the
// client first (RFC 6749 §6), so a refused grant says that the client was accepted and
// that it may refresh. Revocation (RFC 7009) and introspection (RFC 7662) have rights of
// their own, an issuer need not have them, and neither shows that this client may
// refresh. Keycloak writes an event REFRESH_TOKEN_ERROR, and no more. A nil error is the
// proof; authMethod is how it was given (client_auth).
func (i *Issuer) ProveClient(ctx context.Context, c Client) (authMethod string, err error) {
	meta, err := i.Metadata(ctx)
	if err != nil {
		return "", err
	}
	err = i.proveClient(ctx, c)
	return i.authMethod(meta, c), err
}

func (i *Issuer) proveClient(ctx context.Context, c Client) error {
	_, err := i.Spend(ctx, c, RefreshGrant(noToken), Spending{})
	var said *Error
	switch {
	case err == nil:
		return &VerifyError{What: "answer", Why: "the issuer gave a token for a refresh token that is none"}
	case errors.As(err, &said) && said.acceptsClient() && said.Means() == MeansGrantEnded:
		return nil
	}
	return err
}

// ProbeExchange asks for an exchange of a string that is no token. A nil error says that an
// exchange is there for this client and has looked at the token; whether it gives
// offline tokens shows with a real one only: Keycloak's two exchanges refuse this one
// in the same words.
func (i *Issuer) ProbeExchange(ctx context.Context, c Client) error {
	_, err := i.Exchange(ctx, c, ExchangeRequest{SubjectToken: noToken})
	var said *Error
	if !errors.As(err, &said) {
		return err
	}
	words := strings.ToLower(said.Description)
	switch {
	case said.Temporary(), strings.Contains(words, "not enabled"), strings.Contains(words, "not allowed"):
		return err
	case said.Code == "invalid_request", said.Code == "invalid_grant", said.Code == "invalid_token":
		return nil // RFC 8693 §2.2.2 has invalid_request for a token that is no good
	}
	return err
}

// Exchanges reports whether the issuer may exchange tokens: it lists that among its
// grants, lists nothing (RFC 8414 §2), or is a Keycloak, which before 26.2 did not list it
// (keycloak#10888). Entra lists nothing, and has none.
func (m *Metadata) Exchanges() bool {
	return m.ListsExchange() || len(m.GrantTypes) == 0 && m.Product != Entra || m.Product == Keycloak
}

// MayExchange reports whether the issuer may exchange tokens. It asks nobody: the copy of
// the document on disk counts, of any age. Without one, the issuer may.
func (i *Issuer) MayExchange() bool {
	i.mu.Lock()
	m := i.meta
	i.mu.Unlock()
	if m != nil {
		return m.Exchanges()
	}
	kept, ok := i.readCache(discoveryKind)
	if !ok {
		return true
	}
	m, err := parseMetadata(kept.Body, i.id)
	return err != nil || m.Exchanges()
}
