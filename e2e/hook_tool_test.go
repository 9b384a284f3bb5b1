package e2e

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/e2e/run"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// toolStage is where a tool meets a server that demands the token: an issuer, a
// home with a grant of alice's in the file store, the server, and t2-cred on PATH.
type toolStage struct {
	*run.Home
	t      *testing.T
	issuer *oidctest.Issuer
	server *bearerServer
	bin    string // a directory on the tool's PATH
}

// newToolStage starts all of it. What routes serves is behind the bearer token.
func newToolStage(t *testing.T, routes http.Handler) *toolStage {
	t.Helper()
	s := &toolStage{t: t, issuer: oidctest.New(), bin: t.TempDir()}
	t.Cleanup(func() {
		tellLedger(s.issuer)
		s.issuer.Close()
	})
	s.server = newBearerServer(t, s.issuer, routes)
	s.Home = program(t).NewHome(t).Set("T2_CRED_STORE=file")
	s.Set("PATH="+s.bin+string(os.PathListSeparator)+os.Getenv("PATH"), "SSL_CERT_FILE="+s.server.caFile)
	if err := os.Symlink(program(t).Path, filepath.Join(s.bin, "t2-cred")); err != nil {
		t.Fatal(err)
	}
	s.Want(0, "store", "init")
	s.Want(0, "profile", "add", "gep", "--issuer", s.issuer.URL(), "--client-id", oidctest.ClientID, "--audience", oidctest.ClientID,
		"--scope", keycloak.Scopes, "--host", s.server.host, "--client-secret-file", secretFile(t, s.issuer.ClientSecret()))
	s.exchange()
	return s
}

func (s *toolStage) exchange() {
	s.t.Helper()
	s.WantDo(0, run.Cmd{Args: []string{"exchange"}, Stdin: s.issuer.UserToken("alice")})
}

// write writes a file of the home, or below it.
func (s *toolStage) write(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// tool runs a tool in a directory of the home, and tells the ledger what it said.
func (s *toolStage) tool(dir, name string, args ...string) (out string, err error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if !filepath.IsAbs(name) {
		found, err := exec.LookPath(name)
		if err != nil {
			s.t.Fatal(err)
		}
		name = found
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = filepath.Join(s.Dir, dir), s.Env()
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	err = cmd.Run()
	shared.ledger.Output(filepath.Base(name)+" "+strings.Join(args, " "), b.String(), false)
	return b.String(), err
}

// wantTool wants a tool to succeed, with these words in what it says.
func (s *toolStage) wantTool(dir string, words []string, name string, args ...string) string {
	s.t.Helper()
	out, err := s.tool(dir, name, args...)
	if err != nil {
		s.t.Fatalf("%s %q: %v\n%s\nthe server had %q", name, args, err, out, s.server.take())
	}
	s.wantWords(out, words)
	return out
}

// wantToolFails wants a tool to fail, with these words in what it says.
func (s *toolStage) wantToolFails(dir string, words []string, name string, args ...string) {
	s.t.Helper()
	out, err := s.tool(dir, name, args...)
	if err == nil {
		s.t.Fatalf("%s %q succeeded:\n%s", name, args, out)
	}
	s.wantWords(out, words)
}

func (s *toolStage) wantWords(out string, words []string) {
	s.t.Helper()
	for _, w := range words {
		if !strings.Contains(out, w) {
			s.t.Errorf("%q is not in\n%s", w, out)
		}
	}
}

// doc is the blocks of code of docs/hooks/NAME.md, so that what it says is what is
// run: the example's host is the server, and its /usr/local/bin is on PATH.
func (s *toolStage) doc(name, exampleHost string) (blocks []string) {
	s.t.Helper()
	for _, b := range blocksOf(s.t, readTop(s.t, "docs/hooks/"+name+".md")) {
		blocks = append(blocks, strings.NewReplacer(exampleHost, s.server.host, "/usr/local/bin", s.bin).Replace(b.text))
	}
	return blocks
}

// version logs which version of a tool is tested.
func (s *toolStage) version(name string, args ...string) {
	s.t.Helper()
	out, err := s.tool(".", name, args...)
	if err != nil {
		s.t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(out), "\n")
	s.t.Logf("%s: %s", filepath.Base(name), first)
}

// needTool is the path of what a script of setup.d installs: a file of the cache,
// or a command on PATH. Without it the test skips, or fails where nothing may be missing.
func needTool(t *testing.T, script, name string) string {
	t.Helper()
	var path string
	var err error
	if strings.Contains(name, "/") {
		path, err = parts.Find(name)
	} else {
		path, err = exec.LookPath(name)
	}
	switch {
	case err == nil:
	case parts.Required():
		t.Fatalf("%s is missing: run e2e/setup.d/%s.sh (%v)", name, script, err)
	default:
		t.Skipf("%s is missing: run e2e/setup.d/%s.sh (%v)", name, script, err)
	}
	return path
}

// bearerServer serves over TLS what is behind it to whoever has a token of the
// issuer's, checked with the issuer's keys, and remembers how each request came.
type bearerServer struct {
	*httptest.Server
	host   string // 127.0.0.1:PORT
	caFile string
	issuer *oidctest.Issuer

	mu      sync.Mutex
	log     []string // "GET /path: none", "… : alice", "… : refused"
	refused map[string]bool
}

func newBearerServer(t *testing.T, issuer *oidctest.Issuer, routes http.Handler) *bearerServer {
	t.Helper()
	s := &bearerServer{issuer: issuer, refused: map[string]bool{}}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.admits(w, r) {
			routes.ServeHTTP(w, r)
		}
	}))
	s.host, s.caFile = startTLS(t, s.Server)
	return s
}

// startTLS starts a server with a certificate that clients trust who are given the
// file of its CA, and ends it with the test.
func startTLS(t *testing.T, s *httptest.Server) (host, caFile string) {
	t.Helper()
	certificate, ca := serverCertificate(t)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), caFile
}

// admits answers as RFC 6750 §3 says: without a token no error is named.
func (s *bearerServer) admits(w http.ResponseWriter, r *http.Request) bool {
	token, sent := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	claims, err := verifyToken(s.issuer.URL(), token)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused[token] {
		err = errors.New("revoked")
	}
	who := "refused"
	switch {
	case err == nil:
		who, _ = claims["preferred_username"].(string)
	case !sent && r.Header.Get("Authorization") == "":
		who = "none"
		w.Header().Set("WWW-Authenticate", `Bearer realm="e2e"`)
		w.WriteHeader(http.StatusUnauthorized)
	default:
		w.Header().Set("WWW-Authenticate", `Bearer realm="e2e", error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
	}
	s.log = append(s.log, fmt.Sprintf("%s %s: %s", r.Method, r.URL.Path, who))
	return err == nil
}

// refuse makes the server refuse a token though it is valid.
func (s *bearerServer) refuse(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused[token] = true
}

// take is how each request came since the last call.
func (s *bearerServer) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := s.log
	s.log = nil
	return log
}

// wantRequests wants that there were requests, and all by these.
func (s *bearerServer) wantRequests(t *testing.T, by ...string) {
	t.Helper()
	log := s.take()
	seen := map[string]bool{}
	for _, line := range log {
		_, who, _ := strings.Cut(line, ": ")
		seen[who] = true
		if !slices.Contains(by, who) {
			t.Errorf("not by %q: %s", by, line)
		}
	}
	for _, who := range by {
		if !seen[who] {
			t.Errorf("no request was by %q: %q", who, log)
		}
	}
}

// verifyToken checks a JWT with the keys that the issuer publishes (RS256), its
// issuer and its end.
func verifyToken(issuer, token string) (map[string]any, error) {
	segments := strings.Split(token, ".")
	if len(segments) != 3 {
		return nil, errors.New("not a JWT")
	}
	var header struct{ Alg, Kid string }
	var claims map[string]any
	signature, err := base64.RawURLEncoding.DecodeString(segments[2])
	if err := errors.Join(err, decodeSegment(segments[0], &header), decodeSegment(segments[1], &claims)); err != nil {
		return nil, err
	}
	key, err := signingKey(issuer, header.Kid)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(segments[0] + "." + segments[1]))
	if header.Alg != "RS256" {
		return nil, fmt.Errorf("signed with %s", header.Alg)
	}
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature); err != nil {
		return nil, err
	}
	if exp, _ := claims["exp"].(float64); claims["iss"] != issuer || int64(exp) <= time.Now().Unix() {
		return nil, errors.New("of another issuer, or expired")
	}
	return claims, nil
}

func decodeSegment(segment string, into any) error {
	b, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

// signingKey finds a key among those that the issuer's discovery leads to.
func signingKey(issuer, kid string) (*rsa.PublicKey, error) {
	var discovery struct {
		JWKS string `json:"jwks_uri"`
	}
	var set struct {
		Keys []struct{ Kid, Use, N, E string }
	}
	if err := errors.Join(getJSON(issuer+"/.well-known/openid-configuration", &discovery), getJSON(discovery.JWKS, &set)); err != nil {
		return nil, err
	}
	for _, k := range set.Keys {
		if k.Kid != kid || k.Use != "sig" {
			continue
		}
		n, err1 := base64.RawURLEncoding.DecodeString(k.N)
		e, err2 := base64.RawURLEncoding.DecodeString(k.E)
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}, errors.Join(err1, err2)
	}
	return nil, fmt.Errorf("no key %q", kid)
}

func getJSON(where string, into any) error {
	resp, err := http.Get(where)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	return json.NewDecoder(resp.Body).Decode(into)
}

// serverCertificate makes a CA, and a certificate of it for this machine: tools
// in Rust do not take a CA's own certificate as a server's.
func serverCertificate(t *testing.T) (tls.Certificate, []byte) {
	t.Helper()
	caKey, err1 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	key, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	from, to := time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "t2-cred e2e"}, NotBefore: from, NotAfter: to,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: from, NotAfter: to,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	caDER, err1 := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	leafDER, err2 := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{leafDER, caDER}, PrivateKey: key},
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})
}
