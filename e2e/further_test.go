package e2e

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/further"
	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/keyring"
	"github.com/terradue/t2-cred/e2e/ledger"
	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/e2e/run"
)

// furtherStage is a home with one profile at an issuer of make test-more.
type furtherStage struct {
	*run.Home
	t      *testing.T
	server *further.Server
	token  string // the path of the token endpoint
	// pages has the user log in, from the first page to the last.
	pages func(b *browser, page, user string) string
}

func (s *furtherStage) addProfile(name, scopes string) {
	s.t.Helper()
	s.WantDo(0, run.Cmd{Stdin: s.server.Secret(), Args: []string{
		"profile", "add", name, "--issuer", s.server.Issuer(), "--client-id", further.ClientID, "--scope", scopes, "--client-secret-file", "-",
	}})
}

var springCSRF = regexp.MustCompile(`name="_csrf" type="hidden" value="([^"]+)"`)

func newSpringStage(t *testing.T) *furtherStage {
	t.Helper()
	jars := filepath.Dir(needTool(t, "more/spring", "spring/lib/"))
	needTool(t, "more/spring", "javac")
	s := &furtherStage{t: t, token: "/oauth2/token", server: further.Spring(t, shared.ledger, filepath.Join(jars, "lib"), t.TempDir())}
	s.pages = func(b *browser, page, user string) string {
		csrf := springCSRF.FindStringSubmatch(page)
		if csrf == nil {
			t.Fatalf("the login page is\n%s", page)
		}
		return b.submit(page, url.Values{"username": {user}, "password": {s.server.Password()}, "_csrf": {csrf[1]}})
	}
	s.Home = program(t).NewHome(t).Set(keyring.Start(t).Bus())
	return s
}

// login logs a user in by the browser, and returns what was said.
func (s *furtherStage) login(user string, args ...string) string {
	s.t.Helper()
	l := startLogin(s.t, s.Home, append([]string{"--browser"}, args...)...)
	b := newBrowser(s.t)
	if page := s.pages(b, b.open(l.until(`^\s+(http\S+)$`)), user); !strings.Contains(page, "You can close this window") {
		s.t.Errorf("the last page is\n%s", page)
	}
	return l.end(0)
}

// refreshes are the requests with a refresh token so far.
func (s *furtherStage) refreshes() (sent []further.Call) {
	for _, c := range s.server.Calls(s.token) {
		// doctor and profile add prove the client by a token that is none.
		if c.Form.Get("grant_type") == "refresh_token" && !strings.HasPrefix(c.Form.Get("refresh_token"), "t2-cred-doctor") {
			sent = append(sent, c)
		}
	}
	return sent
}

// oneRefresh has many processes find the token expired.
func (s *furtherStage) oneRefresh() {
	s.t.Helper()
	before := len(s.refreshes())
	tokens := map[string]int{}
	for _, r := range s.Many(50, run.Cmd{Args: []string{"get"}}) {
		if r.Code != 0 {
			s.t.Errorf("got %s", r)
		}
		tokens[r.Token()]++
	}
	if n := len(s.refreshes()) - before; n != 1 || len(tokens) != 1 {
		s.t.Errorf("50 processes made %d refreshes and printed %d different tokens", n, len(tokens))
	}
}

// userToken logs a user in at the portal, as another program would.
func (s *furtherStage) userToken(user string) string {
	s.t.Helper()
	const redirect = "http://127.0.0.1/callback"
	verifier := strings.Repeat(s.server.Password(), 2)
	sum := sha256.Sum256([]byte(verifier))
	b := newBrowser(s.t)
	var came url.Values
	b.c.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), redirect) {
			came = r.URL.Query()
			return http.ErrUseLastResponse
		}
		return nil
	}
	page := b.open(s.server.Issuer() + "/oauth2/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {further.PortalID}, "redirect_uri": {redirect}, "scope": {"openid profile"}, "state": {"state"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode())
	s.pages(b, page, user)
	_, said := s.server.Post(s.token, url.Values{
		"grant_type": {"authorization_code"}, "client_id": {further.PortalID}, "redirect_uri": {redirect},
		"code": came["code"], "code_verifier": {verifier},
	})
	token, _ := said["access_token"].(string)
	if token == "" {
		s.t.Fatalf("the portal's login: %v", said)
	}
	shared.ledger.Add(ledger.Other, verifier)
	return token
}

// wantNoKeycloak: another product's admin is not told Keycloak's settings.
func (s *furtherStage) wantNoKeycloak(words ...string) {
	s.t.Helper()
	list := oneLine(s.Want(0, "doctor", "--for-admin").Stdout)
	for _, word := range words {
		if !strings.Contains(list, word) {
			s.t.Errorf("the list for the admin does not say %q:\n%s", word, list)
		}
	}
	if all := list + s.Want(0, "doctor").Stdout; strings.Contains(all, "Keycloak") || strings.Contains(all, "realm") {
		s.t.Errorf("another product is named:\n%s", all)
	}
}

// TestMore_Spring is the main job as far as Spring Authorization Server can do it: its
// exchange gives no refresh token, so the user logs in.
func TestMore_Spring(t *testing.T) {
	parts.More(t)
	s := newSpringStage(t)
	s.addProfile("spring", "openid profile email offline_access ellip gep")

	// The first answer is what the message is about, not the refusal of a second try.
	r := s.WantDo(8, run.Cmd{Args: []string{"exchange"}, Stdin: s.userToken("alice")})
	wantFailure(t, r, 8, "the issuer gave an access token but no refresh token", "t2-cred login")
	if strings.Contains(r.Stderr, "Keycloak") {
		t.Errorf("another product is named: %s", r)
	}
	s.Want(4, "get")
	wantFailure(t, s.Input("no-token-of-this-issuer-at-all-0123456789", "exchange"), 7, "invalid_grant", "get a new access token")

	if said := s.login("alice"); !strings.Contains(said, "kept an offline token for alice as spring/default") || !strings.Contains(said, "end unknown") {
		t.Errorf("it says\n%s", said)
	}
	if out := s.Want(0, "status").Stdout; !strings.Contains(out, "end unknown") {
		t.Errorf("status says\n%s", out)
	}
	for range 3 {
		if sub := keycloak.Claims(s.Want(0, "get", "--fresh").Token())["sub"]; sub != "alice" {
			t.Errorf("the token is %v's", sub)
		}
	}
	sent := s.refreshes()
	if len(sent) != 3 || sent[0].Form.Get("refresh_token") == sent[1].Form.Get("refresh_token") {
		t.Fatalf("%d refresh tokens were sent", len(sent))
	}
	if out := s.Want(0, "claims").Stdout; !strings.Contains(out, "alice") {
		t.Errorf("claims says\n%s", out)
	}
	expire(t, s.Want(0, "get").Token())
	s.oneRefresh()
	// A spent refresh token is refused here, and the grant lives on.
	spent := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {sent[0].Form.Get("refresh_token")}}
	if status, said := s.server.Post(s.token, spent, further.ClientID); status != 400 || said["error"] != "invalid_grant" {
		t.Errorf("a spent refresh token: %d %v", status, said)
	}
	s.Want(0, "get", "--fresh")

	// Two accounts of a user: erase ends one.
	s.login("alice", "--account", "second")
	if r := s.Want(0, "erase"); !strings.Contains(r.Stderr, "revoked and erased spring/default") || strings.Contains(r.Stderr, "also ends") {
		t.Errorf("it says %s", r)
	}
	revoked := s.server.Calls("/oauth2/revoke")
	if len(revoked) != 1 || revoked[0].Status != 200 {
		t.Fatalf("the revocation is %v", revoked)
	}
	spent.Set("refresh_token", revoked[0].Form.Get("token"))
	if status, said := s.server.Post(s.token, spent, further.ClientID); status != 400 || said["error"] != "invalid_grant" {
		t.Errorf("a revoked refresh token: %d %v", status, said)
	}
	s.Want(0, "get", "--fresh", "--account", "second")
}

// TestMore_Spring_doctor: its words, and what is told to its admin.
func TestMore_Spring_doctor(t *testing.T) {
	parts.More(t)
	s := newSpringStage(t)
	s.addProfile("spring", "openid profile email offline_access ellip gep")
	wantReport(t, s.Want(0, "doctor"), `ok    discovery  http://`, `ok    keys       signing keys for RS256`, `ok    client     ellip-test-ades proved itself by basic$`,
		`ok    exchange   there is one; whether it gives offline tokens`, `ok    login      the issuer offers t2-cred login --browser and --device$`)
	s.wantNoKeycloak("refresh_token", "Client ellip-test-ades", "http://127.0.0.1:PORT/callback")

	// A device gets no openid there: that is said, and without it the login works.
	wantFailure(t, s.Run("login", "--device"), 8, "invalid_scope", "take the scope out of the profile")
	s.Want(0, "profile", "edit", "spring", "--scope", "profile offline_access")
	l := startLogin(t, s.Home, "--device")
	address := l.until(`^\s+(http\S+)$`)
	code := l.until(`^\s+([A-Z]{4}-[A-Z]{4})$`)
	b := newBrowser(t)
	page := s.pages(b, b.open(address+"?user_code="+code), "bob")
	consent := url.Values{"scope": {"profile", "offline_access"}}
	for _, m := range hiddenInput.FindAllStringSubmatch(page, -1) {
		consent.Set(m[1], html.UnescapeString(m[2]))
	}
	b.submit(page, consent)
	l.end(0)
	if sub := keycloak.Claims(s.Want(0, "get", "--fresh").Token())["sub"]; sub != "bob" {
		t.Errorf("the token is %v's", sub)
	}
	if out := s.Want(0, "status", "--check").Stdout; !strings.Contains(out, "issuer says") || strings.Contains(out, "inactive") {
		t.Errorf("status --check says\n%s", out)
	}

	s.WantDo(0, run.Cmd{Args: []string{"profile", "set-secret", "spring", "--client-secret-file", "-", "--unproven"}, Stdin: "another-secret-0123456789"})
	wantReport(t, s.Want(8, "doctor"), `fail  client     ellip-test-ades, by .*: invalid_client`)
	wantFailure(t, s.Run("get", "--fresh"), 8, "invalid_client", "t2-cred profile set-secret spring")
}

// TestMore_Mock: opaque access tokens, no scope for offline access, no revocation.
func TestMore_Mock(t *testing.T) {
	parts.More(t)
	bin := needTool(t, "more/oidcmock", "venv-oidcmock/bin/oidc-provider-mock")
	const lifespan = 20 * time.Second
	s := &furtherStage{t: t, token: "/oauth2/token", server: further.Mock(t, shared.ledger, bin, lifespan)}
	s.pages = func(b *browser, _, user string) string {
		resp, err := b.c.PostForm(b.at.String(), url.Values{"sub": {user}}) // its form names no address
		return b.read(resp, err)
	}
	s.Home = program(t).NewHome(t).Set(keyring.Start(t).Bus())
	s.addProfile("mock", "openid profile email offline_access")

	wantFailure(t, s.Input("some-token-of-a-user-0123456789abcdef", "exchange"), 8, "unsupported_grant_type", "t2-cred login --profile mock")
	began := time.Now()
	if said := s.login("alice@example.org"); !strings.Contains(said, "kept an offline token") && !strings.Contains(said, "kept a") {
		t.Errorf("it says\n%s", said)
	}
	first := s.Want(0, "get").Token()
	if first == "" || strings.Contains(first, ".") {
		t.Error("the access token is no opaque one")
	}
	if out := s.Want(0, "status").Stdout; !strings.Contains(out, "alice@example.org") || !strings.Contains(out, "end unknown") {
		t.Errorf("status says\n%s", out)
	}
	wantFailure(t, s.Run("claims"), 7, "opaque", "")
	time.Sleep(time.Until(began.Add(lifespan + time.Second)))
	s.oneRefresh()
	if again := s.Want(0, "get").Token(); again == first || again == "" {
		t.Error("the token is the old one, or none")
	}
	s.Want(0, "get", "--fresh")
	// The answer brings no refresh token: the old one goes on.
	sent := s.refreshes()
	if len(sent) != 2 || sent[0].Form.Get("refresh_token") != sent[1].Form.Get("refresh_token") {
		t.Errorf("%d refreshes", len(sent))
	}

	wantReport(t, s.Want(0, "doctor"), `ok    client     ellip-test-ades proved itself by `, `warn  exchange   the issuer lists no token exchange`, `ok    login      the issuer offers t2-cred login --browser$`)
	s.wantNoKeycloak("Client ellip-test-ades may use the grant refresh_token")
	wantFailure(t, s.Run("login", "--device"), 8, "device", "t2-cred login --browser")

	// It revokes nothing: the grant is not forgotten unless that is asked for.
	wantFailure(t, s.Run("erase"), 8, "revocation", "t2-cred erase --local-only --profile mock")
	s.Want(0, "get")
	if r := s.Want(0, "erase", "--local-only"); !strings.Contains(r.Stderr, "not revoked") {
		t.Errorf("it says %s", r)
	}
	s.Want(4, "get")
}
