package oidc

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/safefile"
)

// TestMetadata_ofManyServers: an optional member that is odd counts as absent.
func TestMetadata_ofManyServers(t *testing.T) {
	const id = "https://h.example"
	base := `"issuer":"https://h.example","token_endpoint":"https://h.example/t"`
	for name, tt := range map[string]struct {
		more  string
		check func(m *Metadata) bool
	}{
		"methods with unknown names": {`"token_endpoint_auth_methods_supported":["magic","client_secret_post",7,null]`, func(m *Metadata) bool { return m.wantsPost() }},
		"methods as text":            {`"token_endpoint_auth_methods_supported":"client_secret_post"`, func(m *Metadata) bool { return m.AuthMethods == nil && !m.wantsPost() }},
		"aliases that are a list":    {`"mtls_endpoint_aliases":[]`, func(m *Metadata) bool { return m.Aliases.TokenEndpoint == "" }},
		"aliases": {`"mtls_endpoint_aliases":{"token_endpoint":"https://m.example/t","revocation_endpoint":5}`, func(m *Metadata) bool {
			return m.Aliases.TokenEndpoint == "https://m.example/t" && m.Aliases.RevocationEndpoint == ""
		}},
		"a boolean as text":            {`"authorization_response_iss_parameter_supported":"true"`, func(m *Metadata) bool { return !m.SendsIssuer }},
		"a boolean":                    {`"authorization_response_iss_parameter_supported":true`, func(m *Metadata) bool { return m.SendsIssuer }},
		"grant types that are a map":   {`"grant_types_supported":{}`, func(m *Metadata) bool { return m.Exchanges() }},
		"grant types without exchange": {`"grant_types_supported":["refresh_token"]`, func(m *Metadata) bool { return !m.Exchanges() }},
		"no keys at all":               {`"x":1`, func(m *Metadata) bool { return m.JWKSURI == "" }},
		"an endpoint that is a number": {`"revocation_endpoint":7`, func(m *Metadata) bool { return m.RevocationEndpoint == "" && len(m.Dropped) == 0 }},
		"an endpoint in clear":         {`"revocation_endpoint":"http://h.example/r"`, func(m *Metadata) bool { return m.RevocationEndpoint == "" && len(m.Dropped) == 1 }},
		"an endpoint on loopback":      {`"introspection_endpoint":"http://127.0.0.1/i"`, func(m *Metadata) bool { return m.IntrospectionEndpoint == "" && len(m.Dropped) == 1 }},
		"a relative endpoint":          {`"device_authorization_endpoint":"/device"`, func(m *Metadata) bool { return m.DeviceEndpoint == "" && len(m.Dropped) == 1 }},
		"an endpoint with a password":  {`"pushed_authorization_request_endpoint":"https://u:p@h.example/p"`, func(m *Metadata) bool { return m.PAREndpoint == "" && !strings.Contains(m.Dropped[0], "u:p") }},
		"ADFS's other issuer":          {`"access_token_issuer":"http://h.example/adfs/services/trust"`, func(m *Metadata) bool { return m.AccessTokenIssuer == "http://h.example/adfs/services/trust" }},
		"unknown members":              {`"zzz":{"a":[1]},"TOKEN_ENDPOINT":"https://evil.example"`, func(m *Metadata) bool { return m.TokenEndpoint == "https://h.example/t" }},
	} {
		m, err := parseMetadata([]byte("{"+base+","+tt.more+"}"), id)
		if err != nil || !tt.check(m) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}

// TestMetadata_refusalsSayWhat: the words for a person, naming a product only where it
// is that one.
func TestMetadata_refusalsSayWhat(t *testing.T) {
	const keycloak = `"jwks_uri":"https://h.example/protocol/openid-connect/certs","token_endpoint":"http://h.example/protocol/openid-connect/token"`
	for name, tt := range map[string]struct{ doc, says, hint, not string }{
		"keys alone":              {`"jwks_uri":"https://h.example/k"`, "gives no tokens to clients", "CI systems", "Keycloak"},
		"a relative endpoint":     {`"jwks_uri":"https://h.example/k","token_endpoint":"/t"`, `token_endpoint: "/t" is not an absolute URL`, "absolute https", "Keycloak"},
		"in clear":                {`"jwks_uri":"https://h.example/k","token_endpoint":"http://h.example/t"`, "is not https", "absolute https", "Keycloak"},
		"in clear on Keycloak":    {keycloak, "is not https", "Keycloak: the settings hostname", "\x00"},
		"in clear on loopback":    {`"jwks_uri":"https://h.example/k","token_endpoint":"http://127.0.0.1:8080/t"`, "the issuer is not on loopback", "absolute https", "Keycloak"},
		"keys in clear elsewhere": {`"jwks_uri":"http://h.example/k","token_endpoint":"https://h.example/t"`, "jwks_uri: http://h.example/k is not https", "absolute https", "Keycloak"},
	} {
		_, err := parseMetadata([]byte(`{"issuer":"https://h.example",`+tt.doc+`}`), "https://h.example")
		said := hint.Of(err).String()
		if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(said, tt.hint) || strings.Contains(said+err.Error(), tt.not) {
			t.Errorf("%s: %v (hint: %s)", name, err, said)
		}
	}
}

// TestFind_anotherName: the other name is a hint only when a document lies there.
func TestFind_anotherName(t *testing.T) {
	var there *httptest.Server
	serve := func(issuer func() string) *httptest.Server {
		return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != oidcSuffix {
				w.WriteHeader(404)
				return
			}
			fmt.Fprintf(w, `{"issuer":%q,"token_endpoint":%q}`, issuer(), issuer()+"/token")
		}))
	}
	there = serve(func() string { return there.URL })
	defer there.Close()
	names := serve(func() string { return there.URL })
	defer names.Close()
	lost := serve(func() string { return there.URL + "/nothing/here" })
	defer lost.Close()
	inClear := serve(func() string { return "http://h.example" })
	defer inClear.Close()
	opt := Options{Now: time.Now, Log: slog.New(slog.DiscardHandler), CacheDir: t.TempDir()}
	for name, tt := range map[string]struct{ at, hint string }{
		"a document lies there": {names.URL, "--issuer " + there.URL},
		"none lies there":       {lost.URL, "set discovery_url to " + lost.URL + oidcSuffix},
		"it could not be safe":  {inClear.URL, "set discovery_url"},
	} {
		_, _, err := Find(t.Context(), tt.at, opt)
		if said := hint.Of(err).String(); err == nil || !strings.Contains(said, tt.hint) {
			t.Errorf("%s: %v (hint: %s)", name, err, said)
		}
	}
	// Who knows says so; the document's issuer stays what the profile says.
	opt.DiscoveryURL = lost.URL + oidcSuffix
	if m, err := New(there.URL+"/nothing/here", opt).Metadata(t.Context()); err != nil || m.TokenEndpoint != there.URL+"/nothing/here/token" {
		t.Errorf("discovery_url: %v", err)
	}
	if _, err := New(there.URL, opt).Metadata(t.Context()); err == nil {
		t.Error("a document at discovery_url that names another issuer is believed")
	}
	opt.DiscoveryURL = "http://h.example/d"
	if _, err := New("https://h.example", opt).Metadata(t.Context()); err == nil || !strings.Contains(err.Error(), "discovery_url") {
		t.Errorf("a discovery_url in clear: %v", err)
	}
}

// TestFind_namesItselfInClear: the origin's own document does.
func TestFind_namesItselfInClear(t *testing.T) {
	doc := &Metadata{Issuer: "http://h.example/auth/realms/master", Product: Keycloak}
	err := otherIssuer("https://h.example/auth/realms/master", doc)
	if said := hint.Of(err).String(); !strings.Contains(said, "name itself by https") || !strings.Contains(said, "hostname") {
		t.Errorf("%v (hint: %s)", err, said)
	}
	doc.Product = ""
	if said := hint.Of(otherIssuer("https://h.example/auth/realms/master", doc)).String(); strings.Contains(said, "Keycloak") {
		t.Errorf("hint: %s", said)
	}
}

// A cacheFront serves both documents and counts.
type cacheFront struct {
	*httptest.Server
	asked, status int
	keysAt        string
	dir           string
	retryAfter    []string
}

func newCacheFront(t *testing.T) *cacheFront {
	t.Helper()
	f := &cacheFront{status: 200, keysAt: "/keys", dir: filepath.Join(t.TempDir(), "cache")}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.asked++
		w.Header()["Retry-After"] = f.retryAfter
		w.WriteHeader(f.status)
		switch {
		case f.status != 200:
		case r.URL.Path == oidcSuffix:
			fmt.Fprintf(w, `{"issuer":%q,"token_endpoint":"%[1]s/token","jwks_uri":"%[1]s%s"}`, f.URL, f.keysAt)
		default:
			fmt.Fprint(w, `{"keys":[]}`)
		}
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *cacheFront) ready(t *testing.T, later time.Duration) (asked int, err error) {
	t.Helper()
	before := f.asked
	i := New(f.URL, Options{CacheDir: f.dir, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.Now().Add(later) }})
	err = i.Ready(t.Context())
	return f.asked - before, err
}

// TestCache_doesNotGrow when the address of the keys changes with each document.
func TestCache_doesNotGrow(t *testing.T) {
	f := newCacheFront(t)
	for n := range 5 {
		f.keysAt = fmt.Sprintf("/keys-%d", n)
		if _, err := f.ready(t, time.Duration(n)*(freshFor+time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	left, err := os.ReadDir(f.dir)
	if err != nil || len(left) != 2 {
		t.Errorf("%d files: %v, %v", len(left), left, err)
	}
}

// TestCache_servesInTrouble: an issuer in trouble is asked once, and its Retry-After is
// not waited for while a copy is at hand.
func TestCache_servesInTrouble(t *testing.T) {
	f := newCacheFront(t)
	if _, err := f.ready(t, 0); err != nil {
		t.Fatal(err)
	}
	f.status, f.retryAfter = 503, []string{"20"}
	began := time.Now()
	if asked, err := f.ready(t, freshFor+time.Hour); err != nil || asked != 2 || time.Since(began) > 2*time.Second {
		t.Errorf("asked %d times in %s, %v", asked, time.Since(began), err)
	}
	f.retryAfter = nil
	if _, err := f.ready(t, staleFor+time.Hour); err == nil {
		t.Error("a copy of a month ago serves")
	}
	if _, err := f.ready(t, -time.Hour); err == nil {
		t.Error("a copy from the future serves")
	}
}

// TestCache_isOurs: a copy that another user could have written is as if absent. The
// package safefile tests which groups count as other users.
func TestCache_isOurs(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the mode does not show who may write")
	}
	for name, open := range map[string]func(dir, file string) error{
		"a file that all may write":      func(_, file string) error { return os.Chmod(file, 0o666) },
		"a directory that all may write": func(dir, _ string) error { return os.Chmod(dir, 0o777) },
		"a link": func(dir, file string) error {
			if err := os.Rename(file, filepath.Join(dir, "elsewhere")); err != nil {
				return err
			}
			return os.Symlink(filepath.Join(dir, "elsewhere"), file)
		},
	} {
		f := newCacheFront(t)
		if _, err := f.ready(t, 0); err != nil {
			t.Fatal(err)
		}
		i := New(f.URL, Options{CacheDir: f.dir, Log: slog.New(slog.DiscardHandler), Now: time.Now})
		if asked, err := f.ready(t, 0); err != nil || asked != 0 {
			t.Fatalf("ours is not used: asked %d times, %v", asked, err)
		}
		if err := open(f.dir, i.cacheFile(discoveryKind)); err != nil {
			t.Fatal(err)
		}
		if asked, err := f.ready(t, 0); err != nil || asked == 0 {
			t.Errorf("%s is believed: asked %d times, %v", name, asked, err)
		}
	}
}

// TestCAFile_isOurs: whoever may write it decides whom we believe.
func TestCAFile_isOurs(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the mode does not show who may write")
	}
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	path := certFile(t, server.Certificate())
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	_, err := at("https://issuer.example", path).client()
	var refused *ConfigError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), safefile.ErrNotOurs.Error()) {
		t.Errorf("%v", err)
	}
}

// TestCache_noneConfirmsWrongKeys: cached keys that a token does not fit are asked for
// whole. A server that compares a tag or a time would confirm them: two rotations may be
// made in one second, and a damaged copy still has its tag.
func TestCache_noneConfirmsWrongKeys(t *testing.T) {
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, header := range map[string][2]string{
		"by its tag":  {"ETag", "If-None-Match"},
		"by its time": {"Last-Modified", "If-Modified-Since"},
	} {
		var front *httptest.Server
		published := rsaKey("k", other.N, []byte{1, 0, 1})
		front = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(header[0], "Mon, 02 Jan 2006 15:04:05 GMT")
			switch {
			case r.URL.Path == oidcSuffix:
				fmt.Fprintf(w, `{"issuer":%q,"token_endpoint":"%[1]s/token","jwks_uri":"%[1]s/keys"}`, front.URL)
			case r.Header.Get(header[1]) != "":
				w.WriteHeader(http.StatusNotModified)
			default:
				_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{published}})
			}
		}))
		defer front.Close()
		opt := Options{CacheDir: filepath.Join(t.TempDir(), "cache"), Log: slog.New(slog.DiscardHandler), Now: time.Now}
		if err := New(front.URL, opt).Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		published = ourRSA("k")
		token := signed(t, signingRSA(), map[string]any{"alg": "RS256", "kid": "k"}, map[string]any{"iss": front.URL})
		if _, err := New(front.URL, opt).Verify(t.Context(), token, us); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCache_ofNoMethods: a list of methods that is null is as good as none.
func TestCache_ofNoMethods(t *testing.T) {
	i := New("https://issuer.example", Options{CacheDir: filepath.Join(t.TempDir(), "cache"), Log: slog.New(slog.DiscardHandler), Now: time.Now})
	i.writeCache(authKind, document{URL: i.id, Checked: time.Now(), Body: []byte("null")})
	i.cacheAuth(Client{ID: "us"}, AuthPost)
	if method := i.cachedAuth(Client{ID: "us"}); method != AuthPost {
		t.Errorf("%q", method)
	}
}
