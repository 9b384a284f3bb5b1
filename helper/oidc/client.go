package oidc

import (
	"cmp"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/secret"
)

// Client authentication methods, by the names of the configuration.
// OpenID Connect Core §9 calls the first two client_secret_basic and
// client_secret_post; AuthTLS is tls_client_auth and self_signed_tls_client_auth
// of RFC 8705 §2, which differ at the issuer only. AuthJWTFile is what Keycloak calls
// federated client authentication.
const (
	AuthBasic     = "basic"
	AuthPost      = "post"
	AuthNone      = "none"
	AuthKeyJWT    = "private_key_jwt"
	AuthSecretJWT = "client_secret_jwt"
	AuthTLS       = "tls"
	AuthJWTFile   = "jwt_file" // a JWT that somebody else signed (RFC 7523, RFC 7521)
)

// A Client is the application as the issuer knows it.
type Client struct {
	ID string
	// Auth is how it proves itself, one of the constants. Empty means by its secret,
	// basic or post, as the issuer lists and then as it takes.
	Auth        string
	Secret      secret.Secret // of basic, post and client_secret_jwt
	Key         secret.Secret // of private_key_jwt (PEM or JWK) and of tls (PEM)
	KeyID       string        // of private_key_jwt; empty for the one in the JWK, if any
	Certificate string        // of tls: PEM, the client's own first
	// Assertion reads the JWT of jwt_file, for each request anew.
	Assertion func() (secret.Secret, error)
	// AssertionAudience is an audience that the assertion may name beside the issuer and
	// its token endpoint; AssertionType is AssertionJWT, AssertionSPIFFE, or empty.
	AssertionAudience, AssertionType string

	assertion secret.Secret // what Assertion has read for this request
}

// secrets are the forms in which the client's secret leaves, to be taken out of
// what an issuer echoes.
func (c Client) secrets() []secret.Secret {
	if c.assertion != "" {
		return []secret.Secret{c.assertion}
	}
	if c.Secret == "" {
		return nil
	}
	basic := url.QueryEscape(c.ID) + ":" + url.QueryEscape(c.Secret.Reveal()) // compared with, not shown
	return []secret.Secret{c.Secret, secret.Secret(base64.StdEncoding.EncodeToString([]byte(basic)))}
}

// Check reads the client's key or certificate, so that a wrong one is refused when it
// is given and not when it is needed. Errors: *ConfigError.
func (c Client) Check() error {
	switch c.Auth {
	case AuthKeyJWT:
		_, err := parseClientKey(c.Key)
		return err
	case AuthTLS:
		_, err := c.pair()
		return err
	case AuthJWTFile:
		_, err := c.Assertion()
		return err
	}
	return nil
}

// withClientAuth sends a request with the client's proof. A client whose method is not
// said is tried once more with the other method when the issuer refuses the first: an
// issuer authenticates the client before it looks at the grant (RFC 6749 §3.2.1, §5.2),
// so nothing was spent. The method that worked is cached; losing it costs one request.
// With once a cached method is the only one tried, and it is forgotten when refused.
func (i *Issuer) withClientAuth(meta *Metadata, c Client, once bool, send func(Client) error) error {
	if c.Auth == AuthJWTFile {
		var err error
		if c, err = i.readAssertion(meta, c); err != nil {
			return err
		}
		err = send(c)
		i.noteAssertion(c, err)
		i.addRemedy(c, err)
		return err
	}
	if c.Auth != "" {
		err := send(c)
		i.addRemedy(c, err)
		return err
	}
	cached := i.cachedAuth(c)
	c.Auth = i.authMethod(meta, c)
	other := AuthPost
	if c.Auth == AuthPost {
		other = AuthBasic
	}
	first := send(c)
	if !refusesClient(first) {
		if first == nil && cached != c.Auth {
			i.cacheAuth(c, c.Auth)
		}
		return first
	}
	if once && cached != "" {
		i.cacheAuth(c, "")
		return first
	}
	c.Auth = other
	second := send(c)
	var answered *Error
	switch {
	case second == nil || clientAccepted(second):
		i.opt.Log.Debug("the issuer takes the client's secret by another method", "client_auth", c.Auth)
		i.cacheAuth(c, c.Auth)
	case errors.As(second, &answered) && !answered.Temporary():
		return first // it may be the other method that is refused, in whatever words
	}
	return second
}

// clientAccepted tells an answer that only an authenticated client gets.
func clientAccepted(err error) bool {
	if _, ok := errors.AsType[*VerifyError](err); ok {
		return true // it came with tokens
	}
	var e *Error
	return errors.As(err, &e) && e.acceptsClient()
}

// authMethod is how the client proves itself at first: as the profile says, as it is
// cached, or as the issuer's metadata has it.
func (i *Issuer) authMethod(meta *Metadata, c Client) string {
	if c.Auth != "" {
		return c.Auth
	}
	if cached := i.cachedAuth(c); cached == AuthPost || cached == "" && meta.wantsPost() {
		return AuthPost
	}
	return AuthBasic
}

// wantsPost says that the issuer lists post and not basic. Basic is what a list that
// is missing means (RFC 8414 §2).
func (m *Metadata) wantsPost() bool {
	return slices.Contains(m.AuthMethods, "client_secret_post") && !slices.Contains(m.AuthMethods, "client_secret_basic")
}

// refusesClient tells a refusal of the client from one of what it asks for.
func refusesClient(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Means() == MeansClientRefused
}

// RefusesClient reports whether an error is the issuer's refusal of the client itself.
func RefusesClient(err error) bool { return refusesClient(err) }

// ForgetClientAuth forgets how the issuer took this client's secret: the next request
// finds it out.
func (i *Issuer) ForgetClientAuth(c Client) { i.cacheAuth(c, "") }

// addRemedy says what to do about a client that was refused and has no secret to be
// wrong. A signed proof depends on the clock: Keycloak allows it 15 seconds.
func (i *Issuer) addRemedy(c Client, err error) {
	var e *Error
	if !refusesClient(err) || !errors.As(err, &e) {
		return
	}
	if r := e.known(); r != nil && r.words != "" && r.words != "invalid client" {
		return // the issuer's words say more
	}
	i.mu.Lock()
	skew := i.skew
	i.mu.Unlock()
	switch {
	case (c.Auth == AuthKeyJWT || c.Auth == AuthSecretJWT) && skew.Abs() > 15*time.Second:
		e.Remedy = hint.Say(fmt.Sprintf("set this machine's clock: the issuer's is %s apart, and a signed proof lives for a minute", skew.Abs().Round(time.Second)))
	case c.Auth == AuthKeyJWT:
		e.Remedy = hint.Say(AskAdmin + "register the public half of this client's key (openssl pkey -in FILE -pubout) and, if it is known there by a key id, put that into the profile: client_key_id")
	case c.Auth == AuthJWTFile:
		e.Remedy = e.assertionRemedy()
	case c.Auth == AuthNone:
		e.Remedy = hint.Say("this client is not a public one at the issuer; give the profile --client-secret-file, --client-key-file or --client-cert-file, as its admin says")
	case c.Auth == AuthTLS:
		e.Remedy = hint.Say(AskAdmin + "register this client's certificate, or its subject (openssl x509 -in FILE -noout -subject -nameopt RFC2253)")
	}
}

// cachedAuth is the method by which the issuer took the client's secret last.
func (i *Issuer) cachedAuth(c Client) string { return i.cachedMethods()[c.ID] }

func (i *Issuer) cachedMethods() map[string]string {
	var methods map[string]string
	if kept, ok := i.readCache(authKind); !ok || json.Unmarshal(kept.Body, &methods) != nil || methods == nil {
		return map[string]string{} // null is JSON too
	}
	return methods
}

// cacheAuth keeps the method beside the public documents, as it is no secret. An empty
// one has the next request find it out anew.
func (i *Issuer) cacheAuth(c Client, method string) {
	methods := i.cachedMethods()
	if methods[c.ID] = method; method == "" {
		delete(methods, c.ID)
	}
	body, err := json.Marshal(methods)
	if err != nil {
		panic(err) // a map of strings always marshals
	}
	i.writeCache(authKind, document{URL: i.id, Checked: i.opt.Now(), Body: body})
}

// proof is what the client adds to a form to prove itself. It is made anew for each
// request: an assertion serves once.
func (i *Issuer) proof(meta *Metadata, c Client) (url.Values, error) {
	switch c.Auth {
	case AuthBasic, AuthNone, AuthTLS:
		return nil, nil
	case AuthPost:
		return url.Values{"client_secret": {c.Secret.Reveal()}}, nil // leaves in the form
	case AuthKeyJWT, AuthSecretJWT:
		assertion, err := i.assertion(meta, c)
		if err != nil {
			return nil, err
		}
		return url.Values{
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			"client_assertion":      {assertion.Reveal()}, // leaves in the form
		}, nil
	}
	if c.Auth == AuthJWTFile {
		return url.Values{
			"client_assertion_type": {assertionTypes + cmp.Or(c.AssertionType, AssertionJWT)},
			"client_assertion":      {c.assertion.Reveal()}, // leaves in the form
		}, nil
	}
	return nil, &ConfigError{Detail: fmt.Sprintf("client_auth %q is not a client authentication method", Clean(c.Auth))}
}

// An authEndpoint is an endpoint that takes a client's proof, by its plain address and
// its mutual TLS alias.
type authEndpoint struct{ plain, alias string }

// open is where the client sends a request, and what sends it. With a certificate the
// alias goes before the plain address (RFC 8705 §5), and the connection is of this
// client alone.
func (i *Issuer) open(to authEndpoint, c Client) (endpoint string, client *http.Client, err error) {
	if c.Auth != AuthTLS {
		client, err = i.client()
		return to.plain, client, err
	}
	endpoint = to.plain
	if to.alias != "" {
		endpoint = to.alias
	}
	if u, err := secureURL(endpoint, i.id); err != nil || u.Scheme != "https" {
		return "", nil, &ConfigError{
			Detail: fmt.Sprintf("client_auth tls: %s is not https, so no certificate can be shown there", Clean(endpoint)),
			Remedy: (&Metadata{Product: i.Product()}).askForHTTPS(),
		}
	}
	client, err = i.certified(c)
	return endpoint, client, err
}

// certified is the HTTP client that shows c's certificate, made at its first use.
func (i *Issuer) certified(c Client) (*http.Client, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.mtls != nil && i.mtlsCert == c.Certificate {
		return i.mtls, nil
	}
	pair, err := c.pair()
	if err != nil {
		return nil, err
	}
	if end := pair.Leaf.NotAfter; i.opt.Now().After(end) {
		return nil, &ConfigError{
			Detail: "client_auth tls: the client's certificate expired at " + end.UTC().Format(time.RFC3339),
			Remedy: hint.Say("put a new one in the place of client_cert_file, and have it registered at the issuer"),
		}
	}
	if i.mtls, err = i.newClient(&pair); err != nil {
		return nil, err
	}
	i.mtlsCert = c.Certificate
	return i.mtls, nil
}

// pair is the client's certificate with its key.
func (c Client) pair() (tls.Certificate, error) {
	pair, err := tls.X509KeyPair([]byte(c.Certificate), []byte(c.Key.Reveal())) // signs, and does not leave
	if err != nil {
		return pair, &ConfigError{
			Detail: "client_auth tls: the client's certificate and key cannot be used: " + Clean(err.Error()),
			Remedy: hint.Say("client_cert_file and client_key_file must be PEM, belong together, and not be encrypted"),
		}
	}
	return pair, nil
}
