package e2e

import (
	"crypto/elliptic"
	"encoding/json"
	"html"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/keyring"
	"github.com/terradue/t2-cred/e2e/ledger"
	"github.com/terradue/t2-cred/e2e/oidcprovider"
	"github.com/terradue/t2-cred/e2e/run"
)

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// nativeClient may do all that t2-cred login does.
func nativeClient(id, auth string, more object) oidcprovider.Client {
	c := oidcprovider.Client{
		"client_id": id, "token_endpoint_auth_method": auth, "application_type": "native",
		"redirect_uris": []string{"http://127.0.0.1/callback"}, // with any port (RFC 8252 §7.3)
		"grant_types":   []string{"authorization_code", "refresh_token", deviceGrant},
	}
	for name, value := range more {
		c[name] = value
	}
	return c
}

// nodeStage is a home with one profile at an oidc-provider of its own.
type nodeStage struct {
	*run.Home
	t        *testing.T
	provider *oidcprovider.Provider
}

func newNodeStage(t *testing.T, client oidcprovider.Client, how ...string) *nodeStage {
	t.Helper()
	dir := filepath.Dir(needTool(t, "oidcprovider", "oidc-provider/node"))
	s := &nodeStage{t: t, provider: oidcprovider.Start(t, dir, shared.ledger, client)}
	s.Home = program(t).NewHome(t).Set(keyring.Start(t).Bus())
	s.Want(0, append([]string{
		"profile", "add", "node", "--issuer", s.provider.Issuer(), "--client-id", client["client_id"].(string),
		"--scope", "openid email offline_access ellip",
	}, how...)...)
	return s
}

var hiddenInput = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)

// answer sends a page's form with what it hides and these fields.
func (b *browser) answer(page string, fields ...string) string {
	b.t.Helper()
	form := url.Values{}
	for _, m := range hiddenInput.FindAllStringSubmatch(page, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	for n := 0; n < len(fields); n += 2 {
		form.Set(fields[n], fields[n+1])
	}
	return b.submit(page, form)
}

// throughPages logs a user in on the provider's pages, and consents.
func (s *nodeStage) throughPages(b *browser, page, user string) string {
	s.t.Helper()
	page = b.answer(page, "login", user, "password", "any")
	if !strings.Contains(page, "offline access") {
		s.t.Errorf("no consent to offline access is asked for:\n%s", page)
	}
	return b.answer(page)
}

func (s *nodeStage) browserLogin(user string, args ...string) {
	s.t.Helper()
	l := startLogin(s.t, s.Home, append([]string{"--browser"}, args...)...)
	b := newBrowser(s.t)
	page := s.throughPages(b, b.open(l.until(`^\s+(http\S+)$`)), user)
	if !strings.Contains(page, "You can close this window") {
		s.t.Errorf("the last page is\n%s", page)
	}
	if said := l.end(0); !strings.Contains(said, "kept an offline token for "+user) {
		s.t.Errorf("it says\n%s", said)
	}
}

func (s *nodeStage) deviceLogin(user string) {
	s.t.Helper()
	l := startLogin(s.t, s.Home, "--device", "--replace")
	page, b := s.devicePage(l)
	page = b.answer(page) // the device is this one
	if page = s.throughPages(b, page, user); !strings.Contains(page, "Sign-in Success") {
		s.t.Errorf("the device's last page is\n%s", page)
	}
	l.end(0)
}

// devicePage is the page that asks whether the device is this one.
func (s *nodeStage) devicePage(l *loginRun) (string, *browser) {
	s.t.Helper()
	address := l.until(`^\s+(http\S+)$`)
	code := l.until(`^\s+([A-Z]{4}-[A-Z]{4})$`)
	b := newBrowser(s.t)
	page := b.answer(b.open(address), "user_code", code)
	if !strings.Contains(page, "Confirm Device") {
		s.t.Fatalf("the device's page is\n%s", page)
	}
	return page, b
}

// fresh refreshes, and wants a JWT of a user's.
func (s *nodeStage) fresh(user string) {
	s.t.Helper()
	claims := keycloak.Claims(s.Want(0, "get", "--fresh").Token())
	if claims["sub"] != user || claims["aud"] != "https://api.example.org" {
		s.t.Errorf("the token's claims are %v", claims)
	}
}

// refreshTokens are all that the provider gave, in order.
func (s *nodeStage) refreshTokens() (all []string) {
	s.t.Helper()
	for _, c := range s.provider.Calls("token") {
		if rt, _ := c.Said["refresh_token"].(string); rt != "" {
			all = append(all, rt)
		}
	}
	return all
}

// TestNode_publicClient: login both ways, rotation, reuse, revocation and import by a
// client that has nothing to prove.
func TestNode_publicClient(t *testing.T) {
	s := newNodeStage(t, nativeClient("ellip", "none", nil), "--client-auth", "none")
	s.browserLogin("alice")
	pushed := s.provider.Calls("pushed_authorization_request")
	if len(pushed) != 1 || pushed[0].Form["prompt"] != "consent" || pushed[0].Form["code_challenge_method"] != "S256" {
		t.Errorf("the pushed request is %v", pushed)
	}
	// Each refresh spends the token and brings the next.
	for range 3 {
		s.fresh("alice")
	}
	given := s.refreshTokens()
	if len(given) != 4 || given[0] == given[1] || given[2] == given[3] {
		t.Fatalf("%d refresh tokens were given", len(given))
	}
	// A thief's use of a spent one ends the grant: that is told, and not asked again.
	refresh := url.Values{"grant_type": {"refresh_token"}, "client_id": {"ellip"}, "refresh_token": {given[1]}}
	if status, said := s.provider.Post("/token", refresh); status != 400 || said["error"] != "invalid_grant" {
		t.Fatalf("a spent refresh token: %d %v", status, said)
	}
	wantFailure(t, s.Run("get", "--fresh"), 4, "invalid_grant", "t2-cred")
	asked := len(s.provider.Calls("token"))
	s.Want(4, "get", "--min-valid", "10m")
	if n := len(s.provider.Calls("token")); n != asked {
		t.Errorf("a dead grant was asked for %d times more", n-asked)
	}

	s.deviceLogin("bob")
	s.fresh("bob")
	last := s.refreshTokens()
	s.Want(0, "erase")
	if calls := s.provider.Calls("revocation"); len(calls) != 1 || calls[0].Status != 200 {
		t.Errorf("the revocation is %v", calls)
	}
	refresh.Set("refresh_token", last[len(last)-1])
	if status, said := s.provider.Post("/token", refresh); status != 400 || said["error"] != "invalid_grant" {
		t.Errorf("a revoked refresh token: %d %v", status, said)
	}
	s.Want(4, "get")

	// A refresh token that another program got: its proof spends it.
	s.browserLogin("carol")
	given = s.refreshTokens()
	s.Want(0, "erase", "--local-only")
	brought := given[len(given)-1]
	s.WantDo(0, run.Cmd{Args: []string{"import"}, Stdin: brought + "\n"})
	s.fresh("carol")
	refresh.Set("refresh_token", brought)
	if status, _ := s.provider.Post("/token", refresh); status != 400 {
		t.Errorf("what was imported is still good: %d", status)
	}
}

// TestNode_privateKey: the proof by a key at all four endpoints, with an algorithm that
// the issuer demands.
func TestNode_privateKey(t *testing.T) {
	key := ecKey(t, elliptic.P256())
	var jwks object
	if err := json.Unmarshal([]byte(key.jwks(t, object{"kid": "one", "alg": "ES256"})), &jwks); err != nil {
		t.Fatal(err)
	}
	client := nativeClient("ellip", "private_key_jwt", object{
		"jwks": jwks, "token_endpoint_auth_signing_alg": "ES256", "require_pushed_authorization_requests": true,
	})
	s := newNodeStage(t, client, "--client-key-file", key.file)
	s.browserLogin("alice")
	s.fresh("alice")
	s.deviceLogin("bob")
	s.fresh("bob")
	s.Want(0, "erase")
	seen := map[string]int{}
	for _, c := range s.provider.Calls("") {
		if !strings.Contains("token revocation pushed_authorization_request device_authorization", c.Route) {
			continue
		}
		assertion, _ := c.Form["client_assertion"].(string)
		head, claims := keycloak.Header(assertion), keycloak.Claims(assertion)
		if c.Header != "" || head["alg"] != "ES256" || claims["aud"] != s.provider.Issuer() {
			t.Errorf("%s: %q %v %v", c.Route, c.Header, head, claims)
		}
		if c.Said["error"] == "invalid_client" {
			t.Errorf("%s: %v", c.Route, c.Said)
		}
		seen[c.Route]++
	}
	if len(seen) != 4 {
		t.Errorf("proofs were seen at %v", seen)
	}
	// Another key is refused, and the hint is not that of a secret.
	s.browserLogin("alice")
	other := ecKey(t, elliptic.P256())
	s.Want(0, "profile", "edit", "node", "--unproven", "--client-key-file", other.file)
	wantFailure(t, s.Run("get", "--fresh"), 8, "invalid_client", "register the public half of this client's key")
}

// TestNode_secrets: a secret in the header, in the form, and as a key of a HMAC; the
// first two found out.
func TestNode_secrets(t *testing.T) {
	const secret = "a-secret:of 40 %+characters, some of them odd"
	shared.ledger.Add(ledger.Client, secret)
	for method, how := range map[string][]string{
		"client_secret_basic": nil, "client_secret_post": nil, "client_secret_jwt": {"--client-auth", "client_secret_jwt"},
	} {
		t.Run(method, func(t *testing.T) {
			how = append(how, "--client-secret-file", secretFile(t, secret))
			s := newNodeStage(t, nativeClient("ellip", method, object{"client_secret": secret}), how...)
			s.browserLogin("alice")
			s.fresh("alice")
			wantReport(t, s.Want(0, "doctor"),
				`ok    discovery  http://`, `ok    clock      as the issuer's$`, `ok    keys       signing keys for RS256`,
				`ok    client     ellip proved itself by `, `ok    login      the issuer offers t2-cred login --browser and --device$`,
				`ok    account    node/default: offline, of alice, `)
			s.Want(0, "erase")
		})
	}
}

// TestNode_noExchange: the issuer has none, which doctor sees and the refusal says.
func TestNode_noExchange(t *testing.T) {
	s := newNodeStage(t, nativeClient("ellip", "none", nil), "--client-auth", "none")
	s.browserLogin("alice")
	subject := s.Want(0, "get").Token()
	r := s.WantDo(8, run.Cmd{Args: []string{"exchange", "--account", "other"}, Stdin: subject})
	if !strings.Contains(r.Stderr, "unsupported_grant_type") || !strings.Contains(r.Stderr, "t2-cred login") {
		t.Errorf("it says %s", r)
	}
	wantReport(t, s.Want(0, "doctor"),
		`warn  exchange   the issuer lists no token exchange`, `ok    client     ellip is known, and has nothing to prove$`,
		`ok    login      the issuer offers t2-cred login --browser and --device$`)
	if list := s.Want(0, "doctor", "--for-admin").Stdout; !strings.Contains(list, "http://127.0.0.1:PORT/callback") {
		t.Errorf("the list for the admin is\n%s", list)
	}
}

// TestNode_opaque: access tokens that only the issuer can read.
func TestNode_opaque(t *testing.T) {
	s := newNodeStage(t, nativeClient("opaque", "none", nil), "--client-auth", "none")
	s.browserLogin("alice")
	token := s.Want(0, "get", "--fresh").Token()
	if token == "" || strings.Contains(token, ".") {
		t.Errorf("the access token is no opaque one")
	}
	if out := s.Want(0, "status").Stdout; !strings.Contains(out, "alice") {
		t.Errorf("status says\n%s", out)
	}
	wantFailure(t, s.Run("claims"), 7, "opaque", "")
}

// TestNode_noConsent: the user says no, on either way, and nothing is kept.
func TestNode_noConsent(t *testing.T) {
	s := newNodeStage(t, nativeClient("ellip", "none", nil), "--client-auth", "none")
	l := startLogin(t, s.Home, "--browser")
	b := newBrowser(t)
	page := b.open(l.until(`^\s+(http\S+)$`))
	abort := regexp.MustCompile(`href="([^"]+/abort)"`).FindStringSubmatch(page)
	if abort == nil {
		t.Fatalf("no way to say no:\n%s", page)
	}
	if page = b.open(abort[1]); !strings.Contains(page, "Login failed") || !strings.Contains(page, "access_denied") {
		t.Errorf("the last page is\n%s", page)
	}
	l.end(8)
	l = startLogin(t, s.Home, "--device")
	page, b = s.devicePage(l)
	b.answer(page, "abort", "yes")
	if said := l.end(8); !strings.Contains(said, "access_denied") {
		t.Errorf("it says\n%s", said)
	}
	s.Want(4, "get")
}
