package oidc

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"
)

// Options are what an Issuer needs of its surroundings.
type Options struct {
	CAFile    string // PEM certificates trusted beside the system's; empty for none
	CacheDir  string // where public documents are kept; empty for nowhere
	UserAgent string
	Now       func() time.Time
	Log       *slog.Logger
}

// An Issuer is one OpenID provider. Making one costs nothing: files and the
// network are touched when something is asked of it.
type Issuer struct {
	id     string
	opt    Options
	client func() (*http.Client, error)

	recalling sync.WaitGroup

	mu    sync.Mutex
	meta  *Metadata
	keys  *keySet
	skew  time.Duration // the issuer's clock less ours, by its last Date header
	dated bool          // there was one

	mtls     *http.Client // shows a client's certificate, this one
	mtlsCert string
}

// New returns the issuer whose exact identifier is id.
func New(id string, opt Options) *Issuer {
	i := &Issuer{id: id, opt: opt}
	i.client = sync.OnceValues(func() (*http.Client, error) { return i.newClient(nil) })
	return i
}

// ID is the issuer's identifier, as `iss` claims carry it.
func (i *Issuer) ID() string { return i.id }

// newClient builds an HTTP client that follows no redirect (a credential must
// not travel where the discovery document did not send it), speaks TLS 1.2 or
// later, honours HTTPS_PROXY, HTTP_PROXY and NO_PROXY, and shows the certificate if
// there is one.
//
// It speaks HTTP/1.1 alone. With HTTP/2 a server may say that it did not process a
// request that it did process, and the transport sends it again. GODEBUG=http2debug=2
// would also have it print headers.
func (i *Issuer) newClient(certificate *tls.Certificate) (*http.Client, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if certificate != nil {
		// Not Certificates: of those none is shown to a server that names other CAs, and
		// a self-signed one (RFC 8705 §2.2) is never of a CA that a server names.
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	if i.opt.CAFile != "" {
		pem, err := i.readCAFile()
		if err != nil {
			return nil, err
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, &ConfigError{Detail: fmt.Sprintf("ca_file: no PEM certificate in %s", i.opt.CAFile)}
		}
		conf.RootCAs = pool
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	return &http.Client{
		Transport: &guard{issuer: i, next: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			OnProxyConnectResponse: proxyAnswer,
			DialContext:            dialer.DialContext,
			TLSClientConfig:        conf,
			TLSHandshakeTimeout:    10 * time.Second,
			TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{}, // no HTTP/2
			MaxResponseHeaderBytes: 64 << 10,
			IdleConnTimeout:        30 * time.Second,
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// readCAFile reads what is a file: a pipe would be waited for without an end.
func (i *Issuer) readCAFile() ([]byte, error) {
	info, err := os.Stat(i.opt.CAFile)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", i.opt.CAFile)
	}
	var pem []byte
	if err == nil {
		pem, err = os.ReadFile(i.opt.CAFile)
	}
	if err != nil {
		return nil, &ConfigError{Detail: fmt.Sprintf("ca_file: %v", err)}
	}
	return pem, nil
}

// secureURL parses s and demands what every endpoint must be: absolute https
// (plain http on loopback only), with a host, without user information.
func secureURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s is not a URL", Clean(s))
	case u.Host == "" || u.Opaque != "":
		return nil, fmt.Errorf("%s is not an absolute URL", Clean(s))
	case u.User != nil:
		return nil, fmt.Errorf("%s carries a user name or password", Clean(u.Redacted()))
	case u.Fragment != "":
		return nil, fmt.Errorf("%s has a fragment", Clean(s))
	case u.Scheme == "https", u.Scheme == "http" && Loopback(u.Hostname()):
		return u, nil
	}
	return nil, fmt.Errorf("%s is not https", Clean(s))
}

// Loopback reports whether host names this machine without asking anybody.
func Loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
