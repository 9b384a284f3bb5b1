package openbao_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
	"github.com/terradue/t2-cred/store/openbao"
	"github.com/terradue/t2-cred/store/openbao/baotest"
)

// TestFiles: a file of the configuration that is missing, empty or wrong is said at once.
// Waiting for the engine would not bring it.
func TestFiles(t *testing.T) {
	e := baotest.New(t, 1)
	front := httptest.NewUnstartedServer(http.NotFoundHandler())
	front.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	front.StartTLS()
	defer front.Close()
	missing, empty, wrong := filepath.Join(t.TempDir(), "missing"), file(t, ""), file(t, "no certificate")
	for key, set := range map[string]func(c *openbao.Config, path string){
		"token_file": func(c *openbao.Config, path string) { c.TokenFile = path },
		"role_id_file": func(c *openbao.Config, path string) {
			c.Auth, c.TokenFile, c.RoleIDFile, c.SecretIDFile = "approle", "", path, file(t, baotest.SecretID)
		},
		"secret_id_file": func(c *openbao.Config, path string) {
			c.Auth, c.TokenFile, c.RoleIDFile, c.SecretIDFile = "approle", "", file(t, "role-id-Bv4"), path
		},
		"jwt_file": func(c *openbao.Config, path string) { c.Auth, c.TokenFile, c.Role, c.JWTFile = "jwt", "", "node", path },
		"cert_file": func(c *openbao.Config, path string) {
			c.Auth, c.TokenFile, c.CertFile, c.KeyFile = "cert", "", path, file(t, "key")
		},
		"key_file": func(c *openbao.Config, path string) {
			c.Auth, c.TokenFile, c.CertFile, c.KeyFile = "cert", "", file(t, "cert"), path
		},
		"ca_file": func(c *openbao.Config, path string) { c.CAFile = path },
	} {
		for what, path := range map[string]string{"missing": missing, "empty": empty, "wrong": wrong} {
			if what == "wrong" && !slices.Contains([]string{"cert_file", "key_file", "ca_file"}, key) {
				continue // the engine judges
			}
			c := config(t, e)
			if slices.Contains([]string{"cert_file", "key_file", "ca_file"}, key) {
				c.Address = []string{front.URL}
				c.CAFile = file(t, certificateOf(front))
			}
			set(&c, path)
			began := time.Now()
			_, _, err := open(t, c, nil).Load(t.Context(), name)
			if !errors.Is(err, backend.ErrConfig) || errors.Is(err, backend.ErrUnavailable) || len(hint.Of(err).Commands(hint.Globals{})) == 0 {
				t.Errorf("%s %s: %v", what, key, err)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("%s %s: it took %s", what, key, took)
			}
		}
	}
}

// TestList_foldersOnly: an administrator's folders below the prefix, more than a page of
// them, end no list.
func TestList_foldersOnly(t *testing.T) {
	for what, faults := range map[string]baotest.Faults{"pages": {}, "no pages": {NoPages: true}} {
		e := baotest.New(t, 1)
		e.Set(func(f *baotest.Faults) { *f = faults })
		for n := range 1100 {
			e.Put(fmt.Sprintf("%s/folder-%04d/x", prefix, n), "elsewhere")
		}
		b := open(t, config(t, e), nil)
		for _, name := range []string{"grant,p,a", "grant,p,b"} {
			if _, err := b.Save(t.Context(), name, secret.Secret("x"), ""); err != nil {
				t.Fatal(err)
			}
		}
		names, err := b.List(t.Context(), "")
		if err != nil || !slices.Equal(names, []string{"grant,p,a", "grant,p,b"}) {
			t.Errorf("%s: %d names, %v", what, len(names), err)
		}
		if names, err = b.List(t.Context(), "grant,p,b"); err != nil || len(names) != 0 {
			t.Errorf("%s: after the last one: %q, %v", what, names, err)
		}
		all, err := b.(backend.Sharer).Annotations(t.Context(), "")
		if what == "pages" && (err != nil || len(all) != 2) || what != "pages" && !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %d annotations, %v", what, len(all), err)
		}
	}
}
