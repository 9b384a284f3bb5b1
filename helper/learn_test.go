package helper

import (
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store"
)

// withDevices puts a front before the issuer that has logins by RFC 8628: alice has
// logged in already. The issuer makes the tokens of an exchange. The front proves the
// client, so that a public one is served too.
func (b *bench) withDevices() {
	inner, err := url.Parse(b.issuer.URL())
	b.must(err)
	proxy := &httputil.ReverseProxy{ErrorLog: log.New(io.Discard, "", 0), Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: inner.Scheme, Host: inner.Host}) }}
	proxy.ModifyResponse = func(r *http.Response) error {
		var document map[string]any
		if !strings.Contains(r.Request.URL.Path, "/.well-known/") || json.NewDecoder(r.Body).Decode(&document) != nil {
			return nil
		}
		document["device_authorization_endpoint"] = document["issuer"].(string) + "/device"
		text, err := json.Marshal(document)
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(string(text))), int64(len(text))
		r.Header.Del("Content-Length")
		r.Header.Del("ETag")
		return err
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/device") {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]any{
				"device_code": "device-code-Qm4Zt7Rw", "user_code": "WXYZ", "verification_uri": b.issuer.URL() + "/go", "interval": 1, "expires_in": 60,
			})
			return
		}
		if r.Method == http.MethodPost {
			b.must(r.ParseForm())
			form := r.PostForm
			if form.Get("device_code") != "" {
				form = url.Values{
					"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {b.issuer.UserToken("alice")},
					"subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"}, "scope": {strings.Join(b.req.Profile.Scopes, " ")},
				}
			}
			r.SetBasicAuth(oidctest.ClientID, b.issuer.ClientSecret())
			form.Del("client_id")
			body := form.Encode()
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		}
		proxy.ServeHTTP(w, r)
	}))
	b.t.Cleanup(front.Close)
	b.issuer.Behind(front.URL)
	b.req.Profile.Issuer = b.issuer.URL()
}

func (b *bench) login() error {
	_, err := b.Login(b.t.Context(), LoginRequest{Request: b.req, Device: func(*oidc.Device) func() { return func() {} }})
	return err
}

func (b *bench) take(user string) error {
	token := b.issuer.UserToken(user, oidctest.AsOfflineToken(), oidctest.IssuedTo(oidctest.ClientID))
	_, err := b.Import(b.t.Context(), ImportRequest{Request: b.req, RefreshToken: secret.Secret(token)})
	return err
}

// TestLearn: however a grant begins, the issuer is asked about its unspent refresh token.
// Only where it calls that one active, its "inactive" is believed after a lost answer.
// A public client asks nothing.
func TestLearn(t *testing.T) {
	begin := map[string]func(*bench) error{
		"exchange": func(b *bench) error { _, err := b.exchange("alice"); return err },
		"login":    (*bench).login,
		"import":   func(b *bench) error { return b.take("alice") },
	}
	for name, start := range begin {
		for _, tt := range []struct {
			how     string
			option  oidctest.Option
			public  bool
			asked   int // at the beginning
			learned bool
		}{
			{"Keycloak 26", oidctest.Introspects(oidctest.Introspection26), false, 1, true},
			{"Keycloak 18", oidctest.Introspects(oidctest.Introspection18), false, 1, true},
			{"refused", oidctest.Introspects(oidctest.IntrospectionRefused), false, 1, false},
			{"no endpoint", oidctest.Introspects(oidctest.IntrospectionNone), false, 0, false},
			{"public client", oidctest.Introspects(oidctest.Introspection26), true, 0, false},
		} {
			t.Run(name+", "+tt.how, func(t *testing.T) {
				b := newBench(t, oidctest.Refresh(oidctest.Revoke), tt.option)
				b.withDevices()
				if tt.public {
					b.req.Profile.ClientAuth = oidc.AuthNone
				} else {
					b.req.Profile.ClientAuth = "" // to be found out
				}
				b.must(start(b))
				if rec := b.stored(); rec.Introspects != tt.learned || b.issuer.Count("introspection") != tt.asked {
					t.Fatalf("learned %t, asked %d times", rec.Introspects, b.issuer.Count("introspection"))
				}
				// The next refresh is processed, and its answer is lost.
				b.advance(time.Hour)
				remove := b.issuer.Inject(oidctest.FaultNamed("cut-after"))
				_, err := b.Get(t.Context(), b.req)
				if !errors.Is(err, oidc.ErrUnreachable) || !strings.Contains(err.Error(), "may have been spent") {
					t.Fatalf("without an answer: %v", err)
				}
				remove()
				b.advance(time.Minute)
				sent := b.issuer.Count("refresh_token")
				_, err = b.Get(t.Context(), b.req)
				again := b.issuer.Count("refresh_token") - sent
				if !errors.Is(err, ErrLoginRequired) || !strings.Contains(err.Error(), "got no answer") || (again == 0) != tt.learned {
					t.Errorf("then: sent %d times more, %v", again, err)
				}
			})
		}
	}
}

// TestLearn_whileInDoubt: an "active" after a lost request is worth as much.
func TestLearn_whileInDoubt(t *testing.T) {
	b := newBench(t, oidctest.Refresh(oidctest.Revoke), oidctest.Introspects(oidctest.IntrospectionRefused))
	_, err := b.exchange("alice")
	b.must(err)
	b.advance(time.Hour)
	remove := b.issuer.Inject(oidctest.FaultNamed("cut-before")) // nothing is processed
	if _, err := b.Get(t.Context(), b.req); !errors.Is(err, oidc.ErrUnreachable) {
		t.Fatal(err)
	}
	remove()
	b.issuer.Set(oidctest.Introspects(oidctest.Introspection26))
	b.advance(time.Minute)
	_, err = b.Get(t.Context(), b.req)
	b.must(err)
	if !b.stored().Introspects {
		t.Error("the issuer called the grant active, which was not kept")
	}
}

// TestImport_mayBeSpent: what a server says without an OAuth error code decides nothing.
func TestImport_mayBeSpent(t *testing.T) {
	for fault, spent := range map[string]bool{"cut-after": true, "status-500-after": true, "status-503": true, "refuse-other-client": false} {
		b := newBench(t, oidctest.Refresh(oidctest.Revoke))
		b.issuer.Inject(oidctest.FaultNamed(fault))
		err := b.take("alice")
		if err == nil || strings.Contains(err.Error(), "may have been spent") != spent {
			t.Errorf("%s: %v", fault, err)
		}
	}
}

// TestGet_onAnotherMachine: the first refresh of a copied store asks the issuer where
// that is known to tell, and warns. A token that the first machine has spent is not sent.
func TestGet_onAnotherMachine(t *testing.T) {
	if _, err := os.Stat("/etc/machine-id"); err != nil {
		t.Skip("NOT CHECKED: this machine has no /etc/machine-id")
	}
	for _, spent := range []bool{false, true} {
		b := newBench(t, oidctest.Refresh(oidctest.Revoke))
		_, err := b.exchange("alice")
		b.must(err)
		old := b.stored()
		if spent {
			b.advance(time.Hour)
			_, err = b.Get(t.Context(), b.req)
			b.must(err)
		}
		_, err = b.Store.Update(t.Context(), b.req.key(), func(rec store.Record) (store.Record, error) {
			rec.RefreshToken, rec.Machine = old.RefreshToken, "the-first-machine"
			return rec, nil
		})
		b.must(err)
		b.advance(time.Hour)
		sent := b.issuer.Count("refresh_token")
		_, err = b.Get(t.Context(), b.req)
		sent = b.issuer.Count("refresh_token") - sent
		if spent {
			if !errors.Is(err, ErrLoginRequired) || !strings.Contains(err.Error(), "the store was copied from another machine") || sent != 0 {
				t.Errorf("spent there: sent %d times, %v", sent, err)
			}
			continue
		}
		b.must(err)
		if sent != 1 || len(b.warned) != 1 || !strings.Contains(b.warned[0], "this store was last used on another machine; a copied store ends grants") {
			t.Errorf("sent %d times, warned %q", sent, b.warned)
		}
		b.advance(time.Hour)
		if _, err = b.Get(t.Context(), b.req); err != nil || len(b.warned) != 1 {
			t.Errorf("the next refresh: %v, %q", err, b.warned)
		}
	}
}
