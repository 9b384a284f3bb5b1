package oidc

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certFile is a PEM file with a certificate.
func certFile(t *testing.T, c *x509.Certificate) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestTransport_refusesOldTLS: a server that knows TLS 1.1 at best is not spoken to.
func TestTransport_refusesOldTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	server.StartTLS()
	defer server.Close()
	_, err := at(server.URL, certFile(t, server.Certificate())).Metadata(t.Context())
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("%v", err)
	}
}

// TestCAFile_isAddedToTheSystems: what is in the file is trusted beside what the
// system trusts, not in its place; a file without a certificate is an error.
func TestCAFile_isAddedToTheSystems(t *testing.T) {
	system, err := x509.SystemCertPool()
	if err != nil {
		t.Skip("this system has no roots that can be looked at: ", err)
	}
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	i := at("https://issuer.example", certFile(t, server.Certificate()))
	client, err := i.client()
	if err != nil {
		t.Fatal(err)
	}
	pool := client.Transport.(*guard).next.(*http.Transport).TLSClientConfig.RootCAs
	want := system.Clone()
	want.AddCert(server.Certificate())
	if !pool.Equal(want) {
		t.Error("the roots are not the system's and the file's")
	}
	for name, text := range map[string]string{"empty": "", "no PEM": "hello", "a key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		path := filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := at("https://issuer.example", path).client(); err == nil {
			t.Errorf("%s is taken for a CA", name)
		}
	}
}

// TestTransport_HTTP1: HTTP/1.1 also where the server has HTTP/2, and our name.
func TestTransport_HTTP1(t *testing.T) {
	var proto, agent string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proto, agent = r.Proto, r.UserAgent()
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	i := New(server.URL, Options{CAFile: certFile(t, server.Certificate()), UserAgent: "t2-cred/test", Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	client := must(i.client())
	resp, err := client.Do(must(http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)))
	if err != nil || proto != "HTTP/1.1" || agent != "t2-cred/test" {
		t.Errorf("%v: %s by %q", err, proto, agent)
	}
	resp.Body.Close()
}
