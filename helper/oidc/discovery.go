package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

const (
	oidcSuffix  = "/.well-known/openid-configuration"
	oauthSuffix = "/.well-known/oauth-authorization-server"
)

// Metadata is what is used of an issuer's discovery document (OpenID Connect
// Discovery 1.0 §3, RFC 8414 §2).
type Metadata struct {
	Issuer                string   `json:"issuer"`
	TokenEndpoint         string   `json:"token_endpoint"`
	JWKSURI               string   `json:"jwks_uri"`
	RevocationEndpoint    string   `json:"revocation_endpoint"`
	IntrospectionEndpoint string   `json:"introspection_endpoint"` // RFC 7662
	AuthMethods           []string `json:"token_endpoint_auth_methods_supported"`
	AuthAlgorithms        []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	// GrantTypes is only told, so a broken one breaks nothing.
	GrantTypes json.RawMessage `json:"grant_types_supported"`

	AuthorizationEndpoint string `json:"authorization_endpoint"`
	DeviceEndpoint        string `json:"device_authorization_endpoint"`         // RFC 8628 §4
	PAREndpoint           string `json:"pushed_authorization_request_endpoint"` // RFC 9126 §5
	SendsIssuer           bool   `json:"authorization_response_iss_parameter_supported"`

	// Aliases are where a client with a certificate goes (RFC 8705 §5). They are
	// looked at when they are used: one that is not secure is no trouble of the others.
	Aliases struct {
		TokenEndpoint         string `json:"token_endpoint"`
		RevocationEndpoint    string `json:"revocation_endpoint"`
		IntrospectionEndpoint string `json:"introspection_endpoint"`
		DeviceEndpoint        string `json:"device_authorization_endpoint"`
		PAREndpoint           string `json:"pushed_authorization_request_endpoint"`
	} `json:"mtls_endpoint_aliases"`
}

// Metadata returns the discovery document, whose `issuer` equals the configured
// one to the letter and whose endpoints are all secure.
func (i *Issuer) Metadata(ctx context.Context) (*Metadata, error) {
	return i.metadata(ctx, false)
}

func (i *Issuer) metadata(ctx context.Context, renew bool) (*Metadata, error) {
	i.mu.Lock()
	m := i.meta
	i.mu.Unlock()
	if m != nil && !renew {
		return m, nil
	}
	body, err := i.discover(ctx, i.id, renew, func(body []byte) error {
		_, err := parseMetadata(body, i.id)
		return err
	})
	if err != nil {
		return nil, err
	}
	m, err = parseMetadata(body, i.id)
	if err != nil {
		return nil, err
	}
	i.mu.Lock()
	i.meta = m
	i.mu.Unlock()
	return m, nil
}

// discover fetches id's document: OpenID Connect Discovery first, RFC 8414's
// place second.
func (i *Issuer) discover(ctx context.Context, id string, renew bool, check func([]byte) error) ([]byte, error) {
	places, err := wellKnown(id)
	if err != nil {
		return nil, err
	}
	var first error
	for _, place := range places {
		body, _, err := i.fetch(ctx, "discovery", place, renew, check)
		var status *Error
		if err == nil || !errors.As(err, &status) || (status.Status != http.StatusNotFound && status.Status != http.StatusMethodNotAllowed) {
			return body, err
		}
		first = errors.Join(first, err)
	}
	return nil, &ConfigError{
		Detail: fmt.Sprintf("discovery: no OpenID provider at %s (neither %s nor its RFC 8414 place is there)", Clean(id), oidcSuffix),
		Remedy: "check the issuer's address; Keycloak's is https://HOST/realms/REALM, older ones https://HOST/auth/realms/REALM",
	}
}

// wellKnown lists where the document of issuer id may be. RFC 8414 §3.1 puts
// the well-known part between host and path.
func wellKnown(id string) ([]string, error) {
	u, err := url.Parse(id)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, &ConfigError{Detail: "the issuer is not an https URL without user, query and fragment"}
	}
	if u.Scheme == "http" && !Loopback(u.Hostname()) {
		u.Scheme = "https" // never in clear, whatever the identifier says
	}
	if _, err := secureURL(u.String()); err != nil {
		return nil, &ConfigError{Detail: "issuer " + err.Error()}
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	origin := u.Scheme + "://" + u.Host
	return []string{origin + path + oidcSuffix, origin + oauthSuffix + path}, nil
}

// parseMetadata reads a discovery document and checks it against the issuer it
// was asked for (RFC 8414 §3.3: they MUST be identical).
func parseMetadata(body []byte, want string) (*Metadata, error) {
	var m Metadata
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, &ConfigError{Detail: "discovery: the document is not one of an OpenID provider: " + Clean(err.Error())}
	}
	if m.Issuer != want {
		return nil, &ConfigError{
			Detail: fmt.Sprintf("discovery: the issuer calls itself %s, the profile says %s", Clean(m.Issuer), Clean(want)),
			Remedy: "if the issuer has moved, add the profile anew with --issuer and its new name; else do not trust it",
		}
	}
	for _, e := range []struct {
		name, value string
		needed      bool
	}{
		{"token_endpoint", m.TokenEndpoint, true},
		{"jwks_uri", m.JWKSURI, true},
		{"revocation_endpoint", m.RevocationEndpoint, false},
		{"introspection_endpoint", m.IntrospectionEndpoint, false},
		{"authorization_endpoint", m.AuthorizationEndpoint, false},
		{"device_authorization_endpoint", m.DeviceEndpoint, false},
		{"pushed_authorization_request_endpoint", m.PAREndpoint, false},
	} {
		if e.value == "" && !e.needed {
			continue
		}
		if _, err := secureURL(e.value); err != nil {
			return nil, &ConfigError{
				Detail: fmt.Sprintf("discovery: %s: %v", e.name, err),
				Remedy: "no token is sent there; ask the issuer's admin to publish https endpoints (Keycloak: hostname and proxy settings)",
			}
		}
	}
	return &m, nil
}

// Find turns what a person typed into an issuer: spaces, a missing scheme, the
// discovery document's own address, a trailing slash and plain http are
// forgiven, and what was forgiven is said in notes. The result's ID is the
// server's exact identifier; from then on it is strict.
func Find(ctx context.Context, typed string, opt Options) (i *Issuer, notes []string, err error) {
	id, notes := normalize(typed)
	i = New(id, opt)
	accept := func(body []byte) error {
		var m Metadata
		if err := json.Unmarshal(body, &m); err != nil {
			return &ConfigError{Detail: "discovery: the document is not one of an OpenID provider: " + Clean(err.Error())}
		}
		if strings.TrimSuffix(m.Issuer, "/") != strings.TrimSuffix(id, "/") {
			return otherIssuer(id, m.Issuer)
		}
		_, err := parseMetadata(body, m.Issuer)
		return err
	}
	body, err := i.discover(ctx, id, true, accept)
	if err != nil {
		return nil, notes, err
	}
	var m Metadata
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, notes, err
	}
	if m.Issuer != id {
		notes = append(notes, fmt.Sprintf("the issuer writes itself %s; saved so", m.Issuer))
	}
	i.id, i.meta = m.Issuer, &m
	return i, notes, nil
}

// otherIssuer says that the document at id is another issuer's.
func otherIssuer(id, says string) error {
	e := &ConfigError{
		Detail: fmt.Sprintf("discovery: the issuer at %s calls itself %s", Clean(id), Clean(says)),
		Remedy: fmt.Sprintf("if that is the one you mean, type it: --issuer %s", Clean(says)),
	}
	if "https"+strings.TrimPrefix(says, "http") == id {
		e.Remedy = "its admin must make it name itself by https (Keycloak: the hostname setting); plain http would carry tokens in clear"
	}
	return e
}

// normalize undoes what people get wrong when they paste an issuer.
func normalize(typed string) (id string, notes []string) {
	id = strings.TrimSpace(typed)
	if !strings.Contains(id, "://") {
		id = "https://" + id
		notes = append(notes, "no scheme given: trying https")
	}
	if before, ok := strings.CutSuffix(id, oidcSuffix); ok {
		id = before
	}
	if before, after, ok := strings.Cut(id, oauthSuffix); ok {
		id = before + after
	}
	id = strings.TrimRight(id, "/")
	if u, err := url.Parse(id); err == nil && u.Scheme == "http" && !Loopback(u.Hostname()) {
		u.Scheme = "https"
		id = u.String()
		notes = append(notes, fmt.Sprintf("plain http carries tokens in clear: trying %s", id))
	}
	return id, notes
}
