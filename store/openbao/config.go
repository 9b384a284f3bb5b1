// Package openbao is the backend that keeps items in a KV version 2 engine of OpenBao,
// or of HashiCorp Vault, which has the same API. Many machines share it.
//
// A standby may answer with an old state, refuse a check-and-set by its own old state,
// and call an item missing that exists. So a refusal and a 404 are looked into at the
// active node before they are believed.
//
// Its Go API is internal to t2-cred and may change at any time.
package openbao

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Ways of a machine to prove itself to the engine.
const (
	authJWT        = "jwt"
	authKubernetes = "kubernetes"
	authAppRole    = "approle"
	authCert       = "cert"
	authTokenFile  = "token_file"
)

const (
	// DefaultLease is how long a claim counts when the configuration says nothing.
	DefaultLease = 60 * time.Second
	// MinLease is the shortest lease. The request may take 30 s and the save 15 s, and
	// both must fit at the last check before the request leaves.
	MinLease = 50 * time.Second
	maxLease = time.Hour

	takeoverAsk   = "ask"
	takeoverNever = "never"

	kubernetesToken = "/var/run/secrets/kubernetes.io/serviceaccount/token"
)

// A Config is the table stores.openbao of the configuration. It holds no secret. A file
// is an absolute path, or the name of a systemd credential.
type Config struct {
	Address   []string // of the engine's nodes, or of the service before them
	CAFile    string   // trusted alone, where it is given
	Namespace string
	Mount     string // of the KV engine
	Prefix    string // of all items; one for each group of machines that trust each other
	Auth      string
	AuthMount string // of the authentication method; empty for its own name
	Role      string

	JWTFile, RoleIDFile, SecretIDFile, CertFile, KeyFile, TokenFile string

	Lease    time.Duration // zero for DefaultLease
	Takeover string        // empty for ask
}

// A KeyError is something wrong with one key of the table.
type KeyError struct{ Key, Why string }

// Error implements error.
func (e *KeyError) Error() string { return e.Key + " " + e.Why }

// Auths are the values of auth.
func Auths() []string {
	return []string{authJWT, authKubernetes, authAppRole, authCert, authTokenFile}
}

// Check says what is wrong with the table; the error is a *KeyError.
func (c Config) Check() error {
	wrong := func(key, format string, args ...any) error { return &KeyError{key, fmt.Sprintf(format, args...)} }
	if len(c.Address) == 0 {
		return wrong("address", "is missing")
	}
	for _, address := range c.Address {
		if err := checkAddress(address); err != nil {
			if u, parseErr := url.Parse(address); parseErr != nil || u.User != nil {
				return wrong("address", "%v", err) // there may be a password in it
			}
			return wrong("address", "%q: %v", address, err)
		}
	}
	switch {
	case !isPath(c.Mount):
		return wrong("mount", "%q is not a path such as kv", c.Mount)
	case !isPath(c.Prefix):
		return wrong("prefix", "%q is not a path such as t2-cred/gep", c.Prefix)
	case c.Namespace != "" && !isPath(c.Namespace):
		return wrong("namespace", "%q is not a path", c.Namespace)
	case c.AuthMount != "" && !isPath(c.AuthMount):
		return wrong("auth_mount", "%q is not a path", c.AuthMount)
	case !slices.Contains(Auths(), c.Auth):
		return wrong("auth", "is %q, not one of %s", c.Auth, strings.Join(Auths(), ", "))
	case c.Lease != 0 && (c.Lease < MinLease || c.Lease > maxLease):
		return wrong("lease", "is %s; it must be from %s to %s", c.Lease, MinLease, maxLease)
	case c.Takeover != "" && c.Takeover != takeoverAsk && c.Takeover != takeoverNever:
		return wrong("takeover", "is %q, not %s or %s", c.Takeover, takeoverAsk, takeoverNever)
	case c.CAFile != "" && !filepath.IsAbs(c.CAFile):
		return wrong("ca_file", "is %q, not an absolute path", c.CAFile)
	}
	return c.checkFiles(wrong)
}

// checkFiles wants the keys that the authentication needs, and no others.
func (c Config) checkFiles(wrong func(key, format string, args ...any) error) error {
	// By key: the methods that need it, and those that take it.
	for _, f := range []struct{ key, value, needs, takes string }{
		{"role", c.Role, "jwt kubernetes", "jwt kubernetes cert"},
		{"jwt_file", c.JWTFile, "jwt", "jwt kubernetes"},
		{"role_id_file", c.RoleIDFile, authAppRole, authAppRole},
		{"secret_id_file", c.SecretIDFile, authAppRole, authAppRole},
		{"cert_file", c.CertFile, authCert, authCert},
		{"key_file", c.KeyFile, authCert, authCert},
		{"token_file", c.TokenFile, authTokenFile, authTokenFile},
	} {
		has := func(methods string) bool { return slices.Contains(strings.Fields(methods), c.Auth) }
		switch {
		case f.value == "" && has(f.needs):
			return wrong(f.key, "is missing, and auth is %s", c.Auth)
		case f.value != "" && !has(f.takes):
			return wrong(f.key, "is not for auth %s", c.Auth)
		case f.value != "" && f.key != "role" && !filepath.IsAbs(f.value) && !isCredential(f.value):
			return wrong(f.key, "must be an absolute path or the name of a systemd credential (what is there is not shown: it may be the secret itself)")
		}
	}
	return nil
}

// isCredential reports whether a file is named as systemd names credentials.
func isCredential(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, `/\`)
}

// isPath wants a path of the engine, without a slash at either end. It stands in a policy,
// where some characters would open more than that path.
func isPath(path string) bool {
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." || part == "+" {
			return false
		}
		for i := range len(part) {
			if c := part[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`?#%\"*{}`, c) >= 0 {
				return false
			}
		}
	}
	return true
}

func checkAddress(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return errors.New("not an address such as https://bao.example:8200")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		return errors.New("give scheme, host and port alone")
	case u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return errors.New("http is for this machine alone (loopback); use https")
	}
	return errors.New("not https")
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// base is an address as requests begin with it.
func base(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Scheme + "://" + u.Host)
}

func (c Config) lease() time.Duration {
	if c.Lease == 0 {
		return DefaultLease
	}
	return c.Lease
}

func (c Config) authMount() string {
	switch {
	case c.AuthMount != "":
		return c.AuthMount
	case c.Auth == authTokenFile:
		return "token"
	}
	return c.Auth
}
