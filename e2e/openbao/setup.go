package openbao

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Mount is the path of the key-value engine that [Cluster.Store] enables.
const Mount = "kv"

// Store enables the key-value engine, version 2, where spent tokens do not stay for long.
func (c *Cluster) Store() {
	c.t.Helper()
	c.API(http.MethodPost, "sys/mounts/"+Mount, map[string]any{
		"type": "kv", "options": map[string]string{"version": "2"},
	}, nil)
	// The mount is upgraded to version 2 in the background, and refuses until then.
	c.eventually("configure "+Mount, func() error {
		return c.Try(http.MethodPost, Mount+"/config", map[string]any{"max_versions": 2}, nil)
	})
}

// Policy is what one prefix takes, and no more.
func Policy(prefix string) string {
	return fmt.Sprintf(`path "%[1]s/data/%[2]s/*" {
  capabilities = ["create", "read", "update"]
}
path "%[1]s/metadata/%[2]s/*" {
  capabilities = ["create", "read", "update", "delete", "list"]
}
path "%[1]s/detailed-metadata/%[2]s/*" {
  capabilities = ["list"]
}
`, Mount, prefix)
}

// SetPolicy writes a policy.
func (c *Cluster) SetPolicy(name, text string) {
	c.t.Helper()
	c.API(http.MethodPut, "sys/policies/acl/"+name, map[string]string{"policy": text}, nil)
}

// enable enables an authentication method at its usual path, unless it is enabled.
func (c *Cluster) enable(method string) {
	c.t.Helper()
	var all struct {
		Data map[string]any `json:"data"`
	}
	c.API(http.MethodGet, "sys/auth", nil, &all)
	if _, there := all.Data[method+"/"]; !there {
		c.API(http.MethodPost, "sys/auth/"+method, map[string]string{"type": method}, nil)
	}
}

// AppRole makes a role for a policy, and writes its id and a secret id into dir, as
// role-id and secret-id. ttl is the life of the tokens that it gives, such as "10m".
func (c *Cluster) AppRole(role, policy, ttl, dir string) {
	c.t.Helper()
	c.enable("approle")
	path := "auth/approle/role/" + role
	c.API(http.MethodPost, path, map[string]any{"token_policies": policy, "token_ttl": ttl}, nil)
	var id struct {
		Data struct {
			Role   string `json:"role_id"`
			Secret string `json:"secret_id"`
		} `json:"data"`
	}
	c.API(http.MethodGet, path+"/role-id", nil, &id)
	c.write(dir, "role-id", id.Data.Role)
	c.API(http.MethodPost, path+"/secret-id", nil, &id)
	c.tell(id.Data.Secret)
	c.write(dir, "secret-id", id.Data.Secret)
}

// JWT takes JWTs of an issuer whose keys are at jwks, for one subject and audience. The
// role is for a policy. An issuer on this computer's loopback needs [Cluster.Relay].
func (c *Cluster) JWT(role, policy, issuer, jwks, subject, audience string) {
	c.t.Helper()
	c.enable("jwt")
	c.API(http.MethodPost, "auth/jwt/config", map[string]any{"jwks_url": jwks, "bound_issuer": issuer}, nil)
	c.API(http.MethodPost, "auth/jwt/role/"+role, map[string]any{
		"role_type": "jwt", "user_claim": "sub", "bound_subject": subject, "bound_audiences": []string{audience},
		"token_policies": policy, "token_ttl": "10m",
	}, nil)
}

// Kubernetes takes tokens of a service account, which an API server at host judges.
func (c *Cluster) Kubernetes(role, policy, host, ca, account, namespace string) {
	c.t.Helper()
	c.enable("kubernetes")
	c.API(http.MethodPost, "auth/kubernetes/config", map[string]any{
		"kubernetes_host": host, "kubernetes_ca_cert": ca, "disable_local_ca_jwt": true,
	}, nil)
	c.API(http.MethodPost, "auth/kubernetes/role/"+role, map[string]any{
		"bound_service_account_names": account, "bound_service_account_namespaces": namespace,
		"token_policies": policy, "token_ttl": "10m",
	}, nil)
}

// Cert takes certificates of the cluster's own CA with this common name, and writes one
// and its key into dir, as NAME.pem and NAME-key.pem.
func (c *Cluster) Cert(role, policy, name, dir string) {
	c.t.Helper()
	c.enable("cert")
	ca, err := os.ReadFile(c.CAFile())
	if err == nil {
		err = c.ca.issue(dir, name, &x509.Certificate{
			Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		})
	}
	if err != nil {
		c.t.Fatalf("openbao: %v", err)
	}
	c.API(http.MethodPost, "auth/cert/certs/"+role, map[string]any{
		"certificate": string(ca), "allowed_common_names": name, "token_policies": policy, "token_ttl": "10m",
	}, nil)
}

// Token makes a token for a policy, without the right to make others.
func (c *Cluster) Token(policy, ttl string) string {
	c.t.Helper()
	var made struct {
		Auth struct {
			Token string `json:"client_token"`
		} `json:"auth"`
	}
	c.API(http.MethodPost, "auth/token/create-orphan", map[string]any{"policies": []string{policy}, "ttl": ttl}, &made)
	c.tell(made.Auth.Token)
	return made.Auth.Token
}

// Seal seals the leader, which it returns. The others choose another leader. A static
// seal opens at [Node.Restart].
func (c *Cluster) Seal() *Node {
	c.t.Helper()
	leader := c.Leader()
	c.API(http.MethodPut, "sys/seal", nil, nil)
	c.eventually("seal "+leader.Name, func() error {
		h, err := leader.health(context.Background())
		if err == nil && !h.Sealed {
			err = errors.New("it is not sealed")
		}
		return err
	})
	return leader
}

// eventually wants f to give no error in time.
func (c *Cluster) eventually(what string, f func() error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := poll(ctx, f); err != nil {
		c.t.Fatalf("openbao: %s: %v", what, err)
	}
}

// Version tells how often the item below a prefix was written whose name has this end. It
// is told by the present leader, and quickly.
func (c *Cluster) Version(prefix, end string) func() int {
	c.t.Helper()
	path, leader := Mount+"/metadata/"+prefix+"/"+c.item(prefix, end), c.Leader()
	return func() int {
		c.t.Helper()
		var answer struct {
			Data struct {
				Current int `json:"current_version"`
			} `json:"data"`
		}
		if err := c.call(context.Background(), leader.URL, http.MethodGet, path, nil, &answer); err != nil {
			c.t.Fatalf("openbao: %s: %v", path, err)
		}
		return answer.Data.Current
	}
}

// item is the one name below a prefix that has an end.
func (c *Cluster) item(prefix, end string) string {
	c.t.Helper()
	var answer struct {
		Data struct {
			Keys []string `json:"keys"`
		} `json:"data"`
	}
	c.API("LIST", Mount+"/metadata/"+prefix, nil, &answer)
	found := slices.DeleteFunc(answer.Data.Keys, func(name string) bool { return !strings.HasSuffix(name, end) })
	if len(found) != 1 {
		c.t.Fatalf("openbao: the items of %s below %s are %q", end, prefix, found)
	}
	return found[0]
}

func (c *Cluster) write(dir, name, text string) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		c.t.Fatalf("openbao: %v", err)
	}
}

// RevokeAll ends all tokens that a path has given, such as auth/approle/login.
func (c *Cluster) RevokeAll(path string) {
	c.t.Helper()
	c.API(http.MethodPut, "sys/leases/revoke-prefix/"+path, nil, nil)
}
