package oidc

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/safefile"
	"github.com/terradue/t2-cred/helper/secret"
)

// Options are what an Issuer needs of its surroundings.
type Options struct {
	CAFile    string // PEM certificates trusted beside the system's; empty for none
	CacheDir  string // where public documents are kept; empty for nowhere
	UserAgent string
	// Profile is what the commands of a hint name; empty for NAME.
	Profile string
	// DiscoveryURL is where the discovery document lies when it is not at the
	// identifier's well-known addresses. It must name the identifier all the same.
	DiscoveryURL string
	// AuthorizeParams are further parameters of a login's authorization request.
	AuthorizeParams map[string]string
	// AnswerTime is how long the answer to a sent refresh token is waited for, in this
	// process's running time. Zero is 30 seconds.
	AnswerTime time.Duration
	Now        func() time.Time
	Log        *slog.Logger
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

	held []func() // what LogHeld logs

	begun *connecting // of Connect

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

// newClient builds an HTTP client that follows no redirect: a credential must not travel
// where the discovery document did not send it. It speaks TLS 1.2 or later, honours
// HTTPS_PROXY, HTTP_PROXY and NO_PROXY, and shows the certificate if there is one.
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
			return nil, &ConfigError{
				Detail: fmt.Sprintf("ca_file: no PEM certificate in %s", i.opt.CAFile),
				Remedy: hint.Say("name a file with a line -----BEGIN CERTIFICATE-----: ca_file in the profile, or T2_CRED_CA_FILE"),
			}
		}
		conf.RootCAs = pool
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	return &http.Client{
		Transport: &guard{issuer: i, next: &http.Transport{
			Proxy:                  ProxyFromEnvironment,
			OnProxyConnectResponse: proxyAnswer,
			DialContext:            secret.Dial(dialer),
			TLSClientConfig:        conf,
			TLSHandshakeTimeout:    10 * time.Second,
			TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{}, // no HTTP/2
			MaxResponseHeaderBytes: 64 << 10,
			IdleConnTimeout:        30 * time.Second,
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// maxCAFile is more than any system's whole list of authorities.
const maxCAFile = 4 << 20

func (i *Issuer) readCAFile() ([]byte, error) {
	pem, err := safefile.Read(i.opt.CAFile, safefile.Want{Max: maxCAFile, Trust: safefile.Ours})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &ConfigError{
			Detail: fmt.Sprintf("ca_file: %v", err), Remedy: hint.Say("put the file there, or name another: ca_file in the profile, or T2_CRED_CA_FILE"),
		}
	case err != nil:
		return nil, &ConfigError{Detail: fmt.Sprintf("ca_file: %v", err), Remedy: hint.Say("ca_file is a PEM file that you or root own and that nobody else may write")}
	}
	return pem, nil
}

// failed is an answer that is a refusal, in words that hold none of the secrets sent.
func (i *Issuer) failed(op string, resp *http.Response, code, words string, sent []secret.Secret) *Error {
	e := &Error{Op: op, Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header, i.opt.Now()), Product: i.Product(), Profile: i.opt.Profile}
	if resp.Request != nil && resp.Request.URL != nil {
		e.Address = Clean(resp.Request.URL.Redacted())
	}
	var inCode, inWords bool
	e.Code, inCode = Redact(code, sent...)
	e.Description, inWords = Redact(onOneLine(words), sent...)
	e.Redacted = inCode || inWords
	return e
}

// onOneLine has spaces where a server breaks the lines of its message, as Entra does.
func onOneLine(words string) string {
	return strings.TrimSpace(strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ").Replace(words))
}

// secureURL parses s and demands what every endpoint must be: absolute https, with a
// host, without user information. Plain http is for an endpoint on loopback of an issuer
// on loopback.
func secureURL(s string, issuer string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s is not a URL", Clean(s))
	case u.Hostname() == "" || u.Opaque != "":
		return nil, fmt.Errorf("%q is not an absolute URL", Clean(s))
	case strings.HasSuffix(u.Host, ":"): // net/http asks another one, without the colon
		return nil, fmt.Errorf("%s has a colon and no port", Clean(s))
	case len(u.Port()) > 5 || len(u.Port()) == 5 && u.Port() > "65535":
		return nil, fmt.Errorf("%s has a port that is greater than 65535", Clean(u.Redacted()))
	case u.User != nil:
		return nil, fmt.Errorf("%s carries a user name or password", Clean(u.Redacted()))
	case u.Fragment != "":
		return nil, fmt.Errorf("%s has a fragment", Clean(s))
	case u.Scheme == "https":
		return u, nil
	}
	at, err := url.Parse(issuer)
	if u.Scheme == "http" && Loopback(u.Hostname()) {
		if err == nil && Loopback(at.Hostname()) {
			return u, nil
		}
		return nil, fmt.Errorf("%s is not https, and the issuer is not on loopback", Clean(s))
	}
	return nil, fmt.Errorf("%s is not https", Clean(s))
}

// Loopback reports whether host names this machine: [secret.Dial] connects to no other.
func Loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
