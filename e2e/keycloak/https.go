package keycloak

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/terradue/t2-cred/e2e/tb"
)

// authority is the CA of this run. It signs the server's certificate and those of
// clients, and the server takes clients' certificates of it alone.
type authority struct {
	dir    string
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	serial int64
}

func newAuthority(dir string) (*authority, error) {
	a := &authority{dir: dir, serial: 1}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "t2-cred e2e CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	return a, writePEM(a.file(), "CERTIFICATE", der)
}

func (a *authority) file() string { return filepath.Join(a.dir, "ca.pem") }

// issue signs a certificate and writes it and its key into dir.
func (a *authority) issue(dir, name string, template *x509.Certificate) (certFile, keyFile string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	a.serial++
	template.SerialNumber = big.NewInt(a.serial)
	template.NotBefore, template.NotAfter = a.cert.NotBefore, a.cert.NotAfter
	template.KeyUsage = x509.KeyUsageDigitalSignature
	cert, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return "", "", err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", "", err
	}
	certFile, keyFile = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem")
	return certFile, keyFile, errors.Join(writePEM(certFile, "CERTIFICATE", cert), writePEM(keyFile, "PRIVATE KEY", private))
}

func writePEM(file, kind string, der []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

// listenTLS makes what the server needs to listen for https as well, and the options
// that say so. The address 0.0.0.0 is in the certificate for [Server.NewSecureRealm].
func (s *Server) listenTLS(port int) (options []string, err error) {
	if s.ca, err = newAuthority(s.home); err != nil {
		return nil, err
	}
	cert, key, err := s.ca.issue(s.home, "server", &x509.Certificate{
		Subject: pkix.Name{CommonName: "localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4zero},
	})
	if err != nil {
		return nil, err
	}
	s.tlsPort = port
	pool := x509.NewCertPool()
	pool.AddCert(s.ca.cert)
	s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	options = []string{fmt.Sprintf("--https-port=%d", port), "--https-certificate-file=" + cert, "--https-certificate-key-file=" + key}
	if s.opts.Version == Version26 {
		options = append(options, "--truststore-paths="+s.ca.file())
	}
	return options, nil
}

// CAFile is a PEM file with the CA of the server's https certificate.
func (s *Server) CAFile() string { return s.ca.file() }

// ClientCertificate is a certificate of the server's CA with this common name, and its
// key, in PEM files in dir.
func (r *Realm) ClientCertificate(dir, commonName string) (certFile, keyFile string) {
	r.t.Helper()
	certFile, keyFile, err := r.s.ca.issue(dir, "client", &x509.Certificate{
		Subject: pkix.Name{CommonName: commonName, Organization: []string{"Example"}}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	r.must(err)
	return certFile, keyFile
}

// Addresses of a secure realm.
const (
	Loopback = "127.0.0.1"
	// Anywhere leads to this machine on Linux, but is no loopback address, so that a
	// proxy is used for it.
	Anywhere = "0.0.0.0"
)

// NewSecureRealm makes a realm of a kind for this test alone, which calls itself by an
// https address, with [Loopback] or [Anywhere] in it. It is reached at Keycloak itself
// and not through the front: its calls are not counted, its tokens not told to the
// ledger, and nobody gets in between.
func (s *Server) NewSecureRealm(t tb.T, k Kind, host string) *Realm {
	t.Helper()
	r := s.NewRealm(t, k)
	r.base = fmt.Sprintf("https://%s:%d/auth", host, s.tlsPort)
	r.Configure(object{"attributes": object{"frontendUrl": r.base}})
	return r
}
