package openbao_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
	"github.com/terradue/t2-cred/store/openbao"
	"github.com/terradue/t2-cred/store/openbao/baotest"
)

// TestErrors_repeatNothing: a proxy before the engine may answer with what it was sent.
func TestErrors_repeatNothing(t *testing.T) {
	const secretID, token = "4f7a1c52-9be0-4d3b-8a61-7c2e5d90f3ab", "hvs.CAESIJ8vN2rTq5WxYb3LkZ0mPd7u"
	value := secret.Secret(`{"v":1,"record":"{\"refresh_token\":\"Rt9xQ4mL2vB7nK5jH8gF1dS6aP3oI0uY\"}"}`)
	for what, tt := range map[string]struct {
		login, item int
	}{
		"login refused": {login: 400}, "login in trouble": {login: 500}, "write refused": {item: 400}, "write forbidden": {item: 403}, "write in trouble": {item: 502},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				status := tt.item
				if strings.HasSuffix(r.URL.Path, "/login") {
					if status = tt.login; status == 0 {
						_, _ = io.WriteString(w, `{"auth":{"client_token":"`+token+`","lease_duration":3600}}`)
						return
					}
				}
				w.WriteHeader(status)
				words := "bad request: token " + r.Header.Get("X-Vault-Token") + " body " + string(body)
				_ = json.NewEncoder(w).Encode(map[string]any{"errors": []string{words}})
			}))
			defer server.Close()
			c := openbao.Config{Address: []string{server.URL}, Mount: "kv", Prefix: prefix, Auth: "approle", RoleIDFile: file(t, "role-id-of-this-fleet"), SecretIDFile: file(t, secretID)}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			_, err := open(t, c, nil).Save(ctx, name, value, "")
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range []string{secretID[:18], token[:18], "Rt9xQ4mL2vB7nK5j"} {
				if strings.Contains(err.Error(), part) {
					t.Errorf("the error has %s: %v", part, err)
				}
			}
		})
	}
}

// TestErrors_quoteNoBrokenAnswer: net/http quotes what it cannot read, which may be a
// record.
func TestErrors_quoteNoBrokenAnswer(t *testing.T) {
	const token = "Rt9xQ4mL2vB7nK5jH8gF1dS6aP3oI0uY"
	for _, answer := range []string{`{"data":{"data":{"refresh_token":"` + token + `"}}}`, "HTTP/1.1 200 OK\r\n" + token + "\r\n\r\n"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/login") {
				_, _ = io.WriteString(w, `{"auth":{"client_token":"hvs.CAESIJ8vN2rTq5WxYb3LkZ0mPd7u","lease_duration":3600}}`)
				return
			}
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, answer)
			_ = conn.Close()
		}))
		c := openbao.Config{Address: []string{server.URL}, Mount: "kv", Prefix: prefix, Auth: "approle", RoleIDFile: file(t, "role-id-of-this-fleet"), SecretIDFile: file(t, "4f7a1c52-9be0-4d3b-8a61-7c2e5d90f3ab")}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, _, err := open(t, c, nil).Load(ctx, name)
		cancel()
		server.Close()
		if err == nil || strings.Contains(err.Error(), token) || !strings.Contains(err.Error(), "does not answer") {
			t.Errorf("%v", err)
		}
	}
}

// TestLogin_credentialsOfAnotherService: systemd gives each service its own credentials,
// under the same name.
func TestLogin_credentialsOfAnotherService(t *testing.T) {
	e, k := baotest.New(t, 1), &keep{all: map[string]secret.Secret{}}
	c := appRole(t, e)
	for n := range 2 {
		dir := filepath.Dir(file(t, baotest.SecretID))
		c.SecretIDFile = "file"
		b, err := openbao.Open(c, backend.Options{Now: time.Now, Memory: k, Getenv: func(string) string { return dir }})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := b.Load(t.Context(), name); err == nil {
			t.Fatal("there is an item")
		}
		if got := e.Calls("POST login"); got != n+1 {
			t.Errorf("service %d: %d logins", n, got)
		}
	}
}

// TestConfig_passwordInAnAddress is not repeated.
func TestConfig_passwordInAnAddress(t *testing.T) {
	for _, address := range []string{"https://bao:Wq8zT3kV6m@bao.example:8200", "https://bao:Wq8zT3kV6m%@bao.example"} {
		c := openbao.Config{Address: []string{address}, Mount: "kv", Prefix: prefix, Auth: "kubernetes", Role: "r"}
		if err := c.Check(); err == nil || strings.Contains(err.Error(), "Wq8zT3kV6m") {
			t.Errorf("%v", err)
		}
	}
}

// TestConfig_prefixOfAPolicy: the prefix stands in the policy, and opens itself alone.
func TestConfig_prefixOfAPolicy(t *testing.T) {
	for _, prefix := range []string{"t2-cred/+", "+/gep", "t2-cred*", "{{identity.entity.id}}/gep"} {
		c := openbao.Config{Address: []string{"https://bao.example"}, Mount: "kv", Prefix: prefix, Auth: "kubernetes", Role: "r"}
		if err := c.Check(); err == nil {
			t.Errorf("%s is taken", prefix)
		}
	}
}
