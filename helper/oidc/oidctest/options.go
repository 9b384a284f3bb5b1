package oidctest

import (
	"time"
)

// ClientID is the confidential client that an issuer knows, and PortalID the
// public one that users log in at.
const (
	ClientID = "ellip-test-ades"
	PortalID = "portal"
)

// An Option sets how an issuer is built or behaves.
type Option func(*config)

type config struct {
	addr         string
	path         string
	useTLS       bool
	http2        bool
	control      bool
	secret       string
	alg          string
	mode         Mode
	rotation     Rotation
	lifespan     time.Duration
	ssoIdle      time.Duration
	offlineIdle  time.Duration
	shape        Shape
	opaque       bool
	only8414     bool
	neutral      bool
	node         bool // the addresses of oidc-provider
	authMethod   string
	authAlgs     []string
	listed       []string
	noMapper     bool
	cacheControl string

	introspection Introspection
	preset        *Preset
	// unlisted leaves token exchange out of the discovery document.
	unlisted bool
}

func defaults() config {
	return config{
		addr:         "127.0.0.1:0",
		path:         "/realms/test",
		alg:          "RS256",
		lifespan:     300 * time.Second,
		ssoIdle:      30 * time.Minute,
		offlineIdle:  30 * 24 * time.Hour,
		cacheControl: "no-cache",
		authAlgs:     authAlgorithms(),
	}
}

// A Mode is how the administrator left token exchange (RFC 8693).
type Mode int

const (
	// LegacyOffline is Keycloak's legacy exchange with offline_access, ellip and
	// gep among the client's default scopes: the answer has an offline token.
	LegacyOffline Mode = iota
	// LegacyOnline is the legacy exchange with those scopes optional, where only
	// what the subject token has too is granted. So a subject token without
	// offline_access quietly gets an online refresh token.
	LegacyOnline
	// Standard is the standard exchange: no refresh token unless asked for by
	// requested_token_type, and then never with offline_access.
	Standard
	// StandardNoRefresh is Standard with "Allow refresh token in Standard Token
	// Exchange" set to No.
	StandardNoRefresh
	// SwitchOff is a server with the standard exchange only, whose switch is off
	// for this client.
	SwitchOff
	// LegacyForbidden is the legacy exchange without the permission for it.
	LegacyForbidden
	// FeatureOff is a server without the grant.
	FeatureOff
)

// A Rotation is what a refresh does to the refresh token.
type Rotation int

const (
	// Renew answers with a new refresh token and leaves the old one good, as
	// Keycloak does by default.
	Renew Rotation = iota
	// Omit answers without a refresh token: the old one goes on.
	Omit
	// Same answers with the refresh token that was sent.
	Same
	// Revoke is Keycloak's "Revoke Refresh Token" with reuse 0: each token serves
	// once, and a replay ends the whole grant.
	Revoke
	// Once has each token serve once. A replay is refused, and the grant goes on.
	Once
)

// A Shape is what access tokens look like.
type Shape int

const (
	// JWT is Keycloak's access token.
	JWT Shape = iota
	// Opaque is a random string.
	Opaque
	// RFC9068 is a JWT with the header typ at+jwt and a client_id.
	RFC9068
	// Lightweight is Keycloak's lightweight access token, without aud and sub.
	Lightweight
)

// Listen sets the address to listen on; 127.0.0.1:0 if not given.
func Listen(addr string) Option { return func(c *config) { c.addr = addr } }

// Path sets the issuer's path; /realms/test if not given.
func Path(path string) Option { return func(c *config) { c.path = path } }

// TLS serves https with a certificate of an own CA; see [Issuer.CAFile].
func TLS() Option { return func(c *config) { c.useTLS = true } }

// HTTP2 is [TLS] for clients of HTTP/2 as well.
func HTTP2() Option { return func(c *config) { c.useTLS, c.http2 = true, true } }

// Control also serves the endpoints below /control/, by which another process
// can do what a test in this process does by methods. See [Issuer.Control].
func Control() Option { return func(c *config) { c.control = true } }

// ClientSecret sets the confidential client's secret; a random one if not given.
func ClientSecret(secret string) Option { return func(c *config) { c.secret = secret } }

// Algorithm sets what access and ID tokens are signed with: RS256 (if not
// given), PS256, ES256 or EdDSA. The other kinds of keys are published only
// when they were used.
func Algorithm(alg string) Option { return func(c *config) { c.alg = alg } }

// Exchange sets how token exchange is set up; LegacyOffline if not given.
func Exchange(m Mode) Option { return func(c *config) { c.mode = m } }

// Refresh sets what a refresh does to the refresh token; Renew if not given.
func Refresh(r Rotation) Option { return func(c *config) { c.rotation = r } }

// Lifespan sets how long access tokens live; 300 seconds if not given.
func Lifespan(d time.Duration) Option { return func(c *config) { c.lifespan = d } }

// SSOIdle sets how long an online refresh token lives; 30 minutes if not given.
func SSOIdle(d time.Duration) Option { return func(c *config) { c.ssoIdle = d } }

// OfflineIdle sets after how long without a refresh an offline session ends;
// 30 days if not given.
func OfflineIdle(d time.Duration) Option { return func(c *config) { c.offlineIdle = d } }

// AccessTokens sets what access tokens look like.
func AccessTokens(s Shape) Option { return func(c *config) { c.shape = s } }

// OpaqueRefreshTokens makes refresh tokens random strings rather than JWTs.
func OpaqueRefreshTokens() Option { return func(c *config) { c.opaque = true } }

// Neutral publishes the keys at an address that is not Keycloak's, so that clients do not
// take the issuer for one.
func Neutral() Option { return func(c *config) { c.neutral = true } }

// OIDCProvider has the endpoints at the addresses of node's oidc-provider, so that clients
// take the issuer for one.
func OIDCProvider() Option { return func(c *config) { c.node = true } }

// OnlyRFC8414 serves the metadata at RFC 8414's address only, not at OpenID
// Connect's.
func OnlyRFC8414() Option { return func(c *config) { c.only8414 = true } }

// RequireAuth lets the client prove itself in one way only: client_secret_basic,
// client_secret_post, client_secret_jwt, private_key_jwt, tls_client_auth or
// self_signed_tls_client_auth. Without it the client may choose.
func RequireAuth(method string) Option { return func(c *config) { c.authMethod = method } }

// ListAuth sets what the discovery document says of client authentication, whatever
// is taken.
func ListAuth(methods ...string) Option { return func(c *config) { c.listed = methods } }

// AuthAlgorithms sets the algorithms that client assertions may be signed with; all
// but none if not given.
func AuthAlgorithms(algs ...string) Option { return func(c *config) { c.authAlgs = algs } }

// NoAudienceMapper leaves our client without an audience of its own, so that
// the standard exchange cannot give it one.
func NoAudienceMapper() Option { return func(c *config) { c.noMapper = true } }

// CacheControl sets the Cache-Control header of discovery and keys; no-cache if
// not given.
func CacheControl(v string) Option { return func(c *config) { c.cacheControl = v } }

// UnlistedExchange is a server that exchanges tokens and does not say so in its discovery
// document, as Keycloak before 26.2.
func UnlistedExchange() Option { return func(c *config) { c.unlisted = true } }
