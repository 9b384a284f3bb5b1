package cli

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// cmdClientKey makes the client's private key and has the issuer know its public half:
// clientkey FILE KIND [MEMBER=VALUE…]. The search for secrets knows it from then on.
func cmdClientKey(ts *testscript.TestScript, _ bool, args []string) {
	members := map[string]any{}
	kid := ""
	for _, member := range args[2:] {
		name, value, _ := strings.Cut(member, "=")
		members[name] = value
		if name == "kid" {
			kid = value
		}
	}
	text, public := oidctest.NewClientKey(args[1], members)
	issuer := here(ts).issuer
	issuer.RegisterKey(public, kid)
	for line := range strings.Lines(text) {
		if len(line) > 40 {
			issuer.SawSecret(strings.TrimSpace(line))
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// cmdClientCert makes a certificate, signed by itself, with its key, and has the issuer
// know it: clientcert CERT KEY [expired].
func cmdClientCert(ts *testscript.TestScript, _ bool, args []string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	now := time.Now()
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the client"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	if len(args) > 2 {
		cert.NotAfter = now.Add(-time.Minute)
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	ts.Check(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	here(ts).issuer.RegisterCertificate(der)
	for name, block := range map[string]*pem.Block{args[0]: {Type: "CERTIFICATE", Bytes: der}, args[1]: {Type: "PRIVATE KEY", Bytes: private}} {
		ts.Check(os.WriteFile(ts.MkAbs(name), pem.EncodeToMemory(block), 0o600))
	}
}

func TestCheckClientAuth_refusesWhatDoesNotGoTogether(t *testing.T) {
	const file = "/etc/x"
	for name, test := range map[string]struct {
		p     profileConfig
		words string // empty: it is fine
	}{
		"nothing":                  {profileConfig{}, ""},
		"a key alone":              {profileConfig{KeyFile: file, KeyID: "k"}, ""},
		"a certificate alone":      {profileConfig{CertFile: file}, ""},
		"a certificate and a key":  {profileConfig{CertFile: file, KeyFile: file}, ""},
		"a secret's file":          {profileConfig{SecretFile: file}, ""},
		"a secret's command":       {profileConfig{ClientAuth: "client_secret_jwt", SecretCommand: []string{"/bin/pass", "show"}}, ""},
		"magic":                    {profileConfig{ClientAuth: "magic"}, `client_auth is "magic"`},
		"tls without certificate":  {profileConfig{ClientAuth: "tls", KeyFile: file}, "client_cert_file is missing"},
		"basic with certificate":   {profileConfig{ClientAuth: "basic", CertFile: file}, "client_cert_file is for client_auth tls"},
		"basic with key":           {profileConfig{ClientAuth: "basic", KeyFile: file}, "client_key_file is for"},
		"basic with key id":        {profileConfig{ClientAuth: "basic", KeyID: "k"}, "client_key_id is for"},
		"key with secret":          {profileConfig{KeyFile: file, SecretFile: file}, "has no client secret"},
		"none with secret":         {profileConfig{ClientAuth: "none", SecretCommand: []string{"/bin/x"}}, "has no client secret"},
		"two secrets":              {profileConfig{SecretFile: file, SecretCommand: []string{"/bin/x"}}, "one of them"},
		"a command from PATH":      {profileConfig{SecretCommand: []string{"pass", "show"}}, "begin with an absolute path"},
		"a relative secret's file": {profileConfig{SecretFile: "x"}, "client_secret_file must be an absolute path"},
		"a relative key's file":    {profileConfig{KeyFile: "x"}, "client_key_file must be an absolute path"},
		"an assertion alone":       {profileConfig{AssertionFile: file, AssertionType: "jwt-spiffe"}, ""},
		"no assertion":             {profileConfig{ClientAuth: "jwt_file"}, "client_assertion_file is missing"},
		"assertion with secret":    {profileConfig{AssertionFile: file, SecretFile: file}, "has no client secret"},
		"post with assertion":      {profileConfig{ClientAuth: "post", AssertionFile: file}, "are for client_auth jwt_file"},
		"another assertion's type": {profileConfig{AssertionFile: file, AssertionType: "saml2"}, "client_assertion_type is"},
		"a relative assertion":     {profileConfig{AssertionFile: "x"}, "client_assertion_file must be an absolute path"},
		"a relative certificate":   {profileConfig{CertFile: "x"}, "client_cert_file must be an absolute path"},
	} {
		err := checkClientAuth(test.p)
		if (err == nil) != (test.words == "") || err != nil && !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
