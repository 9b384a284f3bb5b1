package openbao

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/lab"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// as calls the leader with a token, and gives the status.
func (c *Cluster) as(t *testing.T, token, method, path, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, c.Leader().URL+"/v1/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Vault-Token", token)
	res, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// login logs in and gives the token.
func (c *Cluster) login(t *testing.T, client *http.Client, method string, body map[string]string) string {
	t.Helper()
	b, _ := json.Marshal(body)
	res, err := client.Post(c.Leader().URL+"/v1/auth/"+method+"/login", "application/json", bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var got struct {
		Auth struct {
			Token    string   `json:"client_token"`
			Policies []string `json:"policies"`
		} `json:"auth"`
		Errors []string `json:"errors"`
	}
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil || !slices.Contains(got.Auth.Policies, "here") {
		t.Errorf("log in by %s: %s, %+v, %v", method, res.Status, got, err)
	}
	return got.Auth.Token
}

// TestCluster: what the tests of the store rely on.
func TestCluster(t *testing.T) {
	began := time.Now()
	c := Start(t, Options{Net: lab.New(t), Quick: true})
	c.Store()
	c.SetPolicy("here", Policy("here"))
	t.Logf("up in %s", time.Since(began).Round(time.Millisecond))

	t.Run("a policy is for one prefix", func(t *testing.T) {
		token := c.Token("here", "5m")
		for path, want := range map[string]int{"kv/data/here/a": http.StatusOK, "kv/data/there/a": http.StatusForbidden} {
			if got := c.as(t, token, http.MethodPost, path, `{"data":{"a":"b"},"options":{"cas":0}}`); got != want {
				t.Errorf("write to %s: status %d, want %d", path, got, want)
			}
		}
		if got := c.as(t, token, http.MethodPost, "kv/data/here/a", `{"data":{"a":"c"},"options":{"cas":0}}`); got != http.StatusBadRequest {
			t.Errorf("a check-and-set on another version: status %d", got)
		}
	})
	t.Run("logins", func(t *testing.T) { c.testLogins(t) })
	t.Run("a leader that ends has a successor", func(t *testing.T) {
		for name, end := range map[string][2]func(*Node){
			"killed": {(*Node).Kill, (*Node).Restart}, "stopped": {(*Node).Stop, (*Node).Continue},
			"cut off": {(*Node).Partition, (*Node).Heal},
		} {
			leader := c.Leader()
			began := time.Now()
			end[0](leader)
			next := c.Leader()
			t.Logf("%s: %s follows %s after %s", name, next.Name, leader.Name, time.Since(began).Round(100*time.Millisecond))
			if next == leader {
				t.Errorf("%s: it is still the leader", name)
			}
			c.API(http.MethodPost, "kv/data/here/b", map[string]any{"data": map[string]string{"by": name}}, nil)
			end[1](leader)
			c.Settle()
		}
	})
	t.Run("sealed", func(t *testing.T) {
		was := c.Seal()
		if now := c.Leader(); now == was {
			t.Error("a sealed server is the leader")
		}
		was.Restart()
		c.Settle()
	})
}

func (c *Cluster) testLogins(t *testing.T) {
	dir := t.TempDir()
	c.AppRole("machine", "here", "10m", dir)
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	c.login(t, c.http, "approle", map[string]string{"role_id": read("role-id"), "secret_id": read("secret-id")})

	issuer := oidctest.New()
	defer issuer.Close()
	c.Relay(issuer.URL())
	c.JWT("job", "here", issuer.URL(), issuer.URL()+"/protocol/openid-connect/certs", issuer.Sub("alice"), oidctest.ClientID)
	c.login(t, c.http, "jwt", map[string]string{"role": "job", "jwt": issuer.UserToken("alice")})

	c.Cert("host", "here", "one", dir)
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "one.pem"), filepath.Join(dir, "one-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(c.ca.cert)
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
	}}
	c.login(t, client, "cert", map[string]string{"name": "host"})
}

// TestCluster_onLoopback: without a network of its own, and so without root.
func TestCluster_onLoopback(t *testing.T) {
	c := Start(t, Options{LeaderReads: true, Quick: true})
	c.Store()
	if n := len(c.Addresses()); n != servers || c.Standby() == c.Leader() {
		t.Errorf("%d servers", n)
	}
	err := c.Try(http.MethodGet, "kv/data/none", nil, nil)
	var refused *Refused
	if !errors.As(err, &refused) || refused.Status != http.StatusNotFound {
		t.Errorf("an item that is not there: %v", fmt.Sprint(err))
	}
}
