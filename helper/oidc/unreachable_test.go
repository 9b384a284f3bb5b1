package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
)

// TestUnreachable_saysWhatIsWrong: a person who mistyped an address, or whose clock is
// wrong, is not told to try again later.
func TestUnreachable_saysWhatIsWrong(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	expired, ca := expiredServer(t)
	noTLS, err := net.Listen("tcp", "127.0.0.1:0") // it answers, and neither in TLS nor in HTTP
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = noTLS.Close() })
	go func() {
		for {
			c, err := noTLS.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("220 mail.example.org ESMTP\r\n"))
			_ = c.Close()
		}
	}()
	for name, tt := range map[string]struct{ issuer, ca, says, hint string }{
		"https to an http port":  {strings.Replace(plain.URL, "http:", "https:", 1), "", "the server speaks http on this port, and not https: 127.0.0.1:", "check the scheme and the port of the issuer's address"},
		"an expired certificate": {expired, ca, "certificate has expired", "check this machine's clock; if it is right, ask the issuer's admin: renew the server's certificate"},
		"a name of no server":    {"https://no-such-host.invalid/realms/x", "", "no-such-host.invalid", "no server has the name no-such-host.invalid"},
		"a port of another kind": {"https://" + noTLS.Addr().String(), "", "issuer unreachable", "check the network, the issuer's address"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		_, err := New(tt.issuer, Options{CAFile: tt.ca, CacheDir: t.TempDir(), Now: time.Now, Log: slog.New(slog.DiscardHandler)}).Metadata(ctx)
		cancel()
		if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(hint.Of(err).String(), tt.hint) {
			t.Errorf("%s: %v\nhint: %s", name, err, hint.Of(err))
		}
	}
}

// expiredServer is a server whose certificate is its own CA's and ended an hour ago.
func expiredServer(t *testing.T) (url, caFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return srv.URL, caFile
}
