package oidctest

import (
	"context"
	"crypto"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// An Issuer is a running OpenID provider. All its methods can be called at any
// time, from any goroutine.
type Issuer struct {
	// Clock is what the issuer tells the time by.
	Clock *Clock

	url    string
	base   string
	path   string
	server *http.Server
	closed chan struct{}
	once   sync.Once
	remote bool // the control endpoints are served
	caFile string
	other  *otherHost
	// trouble is what net/http complains of; a test of this package looks at it.
	trouble *logBook

	mu       sync.Mutex
	conf     config
	keys     *keyring
	users    map[string]*user
	grants   []*grant
	access   map[string]*accessToken
	refresh  map[string]*refreshToken
	injected []*injection
	spent    int // refreshes with success
	requests []Request
	secrets  map[string]bool

	clientKey   crypto.PublicKey // of private_key_jwt
	clientKeyID string
	clientCert  []byte            // of tls, DER
	jtis        map[string]bool   // of the assertions that served
	logins      map[string]*login // by code
}

// New starts an issuer, and panics when it cannot, as httptest.NewServer does.
func New(opts ...Option) *Issuer {
	i, err := Start(opts...)
	if err != nil {
		panic("oidctest: " + err.Error())
	}
	return i
}

// Start starts an issuer. It is to be closed.
func Start(opts ...Option) (*Issuer, error) {
	i := &Issuer{
		Clock:   &Clock{},
		closed:  make(chan struct{}),
		trouble: &logBook{},
		conf:    defaults(),
		users:   map[string]*user{},
		access:  map[string]*accessToken{},
		refresh: map[string]*refreshToken{},
		secrets: map[string]bool{},
		jtis:    map[string]bool{},
		logins:  map[string]*login{},
	}
	for _, opt := range opts {
		opt(&i.conf)
	}
	if i.conf.secret == "" {
		i.conf.secret = randomText(32)
	}
	i.secrets[i.conf.secret] = true
	var err error
	if i.keys, err = newKeyring(i.conf.alg); err != nil {
		return nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", i.conf.addr)
	if err != nil {
		return nil, err
	}
	scheme := "http"
	if i.conf.useTLS {
		scheme = "https"
		var cert tls.Certificate
		if cert, i.caFile, err = newCertificate(); err != nil {
			_ = l.Close()
			return nil, err
		}
		conf := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert}
		if i.conf.http2 {
			conf.NextProtos = []string{"h2", "http/1.1"}
		}
		l = tls.NewListener(l, conf)
	}
	i.base = scheme + "://" + l.Addr().String()
	i.path, i.remote = i.conf.path, i.conf.control
	i.url = i.base + i.path
	if i.other, err = newOtherHost(i); err != nil {
		_ = l.Close()
		return nil, err
	}
	i.server = &http.Server{Handler: i, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(i.trouble, "", 0)}
	go func() { _ = i.server.Serve(l) }()
	return i, nil
}

// Close stops the issuer, cutting what is under way.
func (i *Issuer) Close() {
	i.once.Do(func() {
		close(i.closed)
		_ = i.server.Close()
		i.other.close()
		if i.caFile != "" {
			_ = os.Remove(i.caFile)
		}
	})
}

// URL is the issuer: its identifier, as in iss.
func (i *Issuer) URL() string { return i.url }

// ClientSecret is the secret of the client [ClientID].
func (i *Issuer) ClientSecret() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.conf.secret
}

// SetClientSecret gives the client another secret, as an administrator who
// rotates it.
func (i *Issuer) SetClientSecret(secret string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.conf.secret = secret
	i.secrets[secret] = true
}

// CAFile is a PEM file with the CA of an issuer that was made with [TLS]; empty
// otherwise. Close removes it.
func (i *Issuer) CAFile() string { return i.caFile }

// Set changes the behaviour of a running issuer. What was decided at the start
// (Listen, Path, TLS, Control) stays as it was.
func (i *Issuer) Set(opts ...Option) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, opt := range opts {
		opt(&i.conf)
	}
	i.secrets[i.conf.secret] = true
}

// RotateKeys makes a new signing key. The old one stays published, as Keycloak
// keeps a passive key.
func (i *Issuer) RotateKeys() { i.rotateKeys(true) }

// ReplaceKeys makes a new signing key and forgets the old one: what it signed
// can no longer be verified.
func (i *Issuer) ReplaceKeys() { i.rotateKeys(false) }

func (i *Issuer) rotateKeys(keep bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := i.keys.rotate(i.conf.alg, keep); err != nil {
		panic("oidctest: " + err.Error())
	}
}

// Secrets are all secrets that the issuer ever made or was sent: client
// secrets, access, refresh and ID tokens, each as it was on the wire.
func (i *Issuer) Secrets() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	all := make([]string, 0, len(i.secrets))
	for s := range i.secrets {
		all = append(all, s)
	}
	slices.Sort(all)
	return all
}

// saw notes a secret. What is too short to be one, and would be found in any
// output, is left out. The caller holds mu.
func (i *Issuer) saw(secrets ...string) {
	for _, s := range secrets {
		if len(s) >= 8 {
			i.secrets[s] = true
		}
	}
}

// alias is an endpoint's address for clients with a certificate (RFC 8705 §5).
func (i *Issuer) alias(e Endpoint) string {
	return i.base + "/mtls" + strings.TrimPrefix(i.endpoint(e), i.base)
}

// nodePaths are where oidc-provider has its endpoints.
var nodePaths = map[Endpoint]string{JWKS: "/jwks", Token: "/token", Revocation: "/token/revocation", Introspect: "/token/introspection"}

// endpoint is the address of one of the issuer's endpoints.
func (i *Issuer) endpoint(e Endpoint) string {
	if i.conf.preset != nil && e != Discovery && e != Metadata {
		return i.conf.preset.at(i, e)
	}
	if path := nodePaths[e]; i.conf.node && path != "" {
		return i.url + path
	}
	switch e {
	case Discovery:
		return strings.TrimSuffix(i.url, "/") + "/.well-known/openid-configuration"
	case Metadata:
		return i.base + "/.well-known/oauth-authorization-server" + strings.TrimSuffix(i.path, "/")
	case JWKS:
		if i.conf.neutral {
			return i.url + "/keys"
		}
		return i.url + "/protocol/openid-connect/certs"
	case Authorization:
		return "" // logins by code are of presets
	case Token:
		return i.url + "/protocol/openid-connect/token"
	case Revocation:
		return i.url + "/protocol/openid-connect/revoke"
	case Introspect:
		return i.url + "/protocol/openid-connect/token/introspect"
	}
	panic(fmt.Sprintf("oidctest: no endpoint %q", e))
}
