package e2e

import (
	"html"
	"net"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/e2e/further"
	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/keyring"
	"github.com/terradue/t2-cred/e2e/parts"
	"github.com/terradue/t2-cred/e2e/run"
)

// newDexStage has the port of the browser's answer in the environment of no one: Dex
// compares a confidential client's redirect URI to the letter.
func newDexStage(t *testing.T, connectors ...string) (s *furtherStage, port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().(*net.TCPAddr)
	_, port, _ = net.SplitHostPort(address.String())
	_ = l.Close()
	s = &furtherStage{t: t, token: "/token", server: further.Dex(t, shared.ledger, needTool(t, "more/dex", "bin/dex"), t.TempDir(), address.Port, connectors...)}
	s.pages = func(b *browser, page, _ string) string {
		return b.answer(page, "login", further.DexUser, "password", s.server.Password())
	}
	s.Home = program(t).NewHome(t).Set(keyring.Start(t).Bus())
	s.addProfile("dex", "openid profile email offline_access")
	return s, port
}

// TestMore_Dex is the main job as far as Dex can do it: login, rotation, many processes,
// and one refresh token for each user and client.
func TestMore_Dex(t *testing.T) {
	parts.More(t)
	s, port := newDexStage(t)
	if said := s.login(further.DexUser, "--port", port); !strings.Contains(said, "kept an offline token for ") || strings.Contains(said, "this ended") {
		t.Errorf("it says\n%s", said)
	}
	first := s.Want(0, "get").Token()
	subject := keycloak.Claims(first)["sub"]
	if out := s.Want(0, "status").Stdout; !strings.Contains(out, "end unknown") || subject == nil {
		t.Errorf("of %v, status says\n%s", subject, out)
	}
	expire(t, first)
	s.oneRefresh()
	for range 2 {
		if sub := keycloak.Claims(s.Want(0, "get", "--fresh").Token())["sub"]; sub != subject {
			t.Errorf("the token is %v's", sub)
		}
	}
	sent := s.refreshes()
	if len(sent) != 3 || sent[0].Form.Get("refresh_token") == sent[1].Form.Get("refresh_token") {
		t.Errorf("%d refresh tokens were sent", len(sent))
	}
	s.Want(0, "claims")

	// A second login ends the first grant: its account is named, and is dead.
	if said := s.login(further.DexUser, "--port", port, "--account", "second"); !strings.Contains(said, "this ended the grant of dex/default: Dex keeps one refresh token") || strings.Count(said, "keeps one refresh token") != 1 {
		t.Errorf("it says\n%s", said)
	}
	wantFailure(t, s.Run("get", "--fresh"), 4, "already been claimed", "t2-cred exchange --profile dex")
	s.Want(0, "get", "--fresh", "--account", "second")

	// It has no revocation.
	wantFailure(t, s.Run("erase", "--account", "second"), 8, "revocation", "--local-only")
	s.Want(0, "get", "--account", "second")
	s.Want(0, "erase", "--local-only", "--account", "second")
	s.Want(4, "get", "--account", "second")
}

// TestMore_Dex_device: a login on another device, a thief's use of a spent refresh token,
// doctor and its admin's list.
func TestMore_Dex_device(t *testing.T) {
	parts.More(t)
	s, _ := newDexStage(t)
	wantReport(t, s.Want(0, "doctor"), `ok    discovery  http://`, `ok    keys       signing keys for RS256`, `ok    client     ellip-test-ades proved itself by basic$`,
		`ok    login      the issuer offers t2-cred login --browser and --device$`)
	s.wantNoKeycloak("Client ellip-test-ades may use the grant refresh_token")

	l := startLogin(t, s.Home, "--device")
	address := l.until(`^\s+(http\S+)$`)
	code := l.until(`^\s+([A-Z]{4}-[A-Z]{4})$`)
	b := newBrowser(t)
	page := b.answer(b.open(address), "user_code", code)
	if page = s.pages(b, page, further.DexUser); !strings.Contains(page, "Login Successful") {
		t.Errorf("the device's last page is\n%s", page)
	}
	l.end(0)
	s.Want(0, "get", "--fresh")
	s.Want(0, "get", "--fresh")
	spent := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {s.refreshes()[0].Form.Get("refresh_token")}}
	if status, said := s.server.Post("/token", spent, further.ClientID); status != 400 {
		t.Errorf("a spent refresh token: %d %v", status, said)
	}
	s.Want(0, "get", "--fresh")
	s.WantDo(0, run.Cmd{Args: []string{"profile", "set-secret", "dex", "--client-secret-file", "-", "--unproven"}, Stdin: "another-secret-0123456789"})
	wantReport(t, s.Want(8, "doctor"), `fail  client     ellip-test-ades, by .*: invalid_client`)
}

// TestMore_Dex_exchange: Dex exchanges the tokens of its connectors alone, and its answer
// has no refresh token. So an exchange ends with the hint to log in, and a narrower token
// is not to be had. Nothing is kept or spent by either.
func TestMore_Dex_exchange(t *testing.T) {
	parts.More(t)
	s, port := newDexStage(t, "- {type: mockCallback, id: upstream, name: Upstream}")
	form := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {"a-token-of-the-connector"}, "subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
		"connector_id": {"upstream"}, "scope": {"openid offline_access"},
	}
	status, said := s.server.Post("/token", form, further.ClientID)
	token, _ := said["access_token"].(string)
	if _, refreshes := said["refresh_token"]; status != 200 || token == "" || refreshes || said["issued_token_type"] != form.Get("subject_token_type") {
		t.Fatalf("Dex answers %d with %d members", status, len(said))
	}
	form.Set("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token")
	if status, said := s.server.Post("/token", form, further.ClientID); status != 400 || said["error_description"] != "Invalid requested_token_type." {
		t.Errorf("asked for a refresh token, it answers %d %v", status, said["error_description"])
	}

	r := s.Input(token, "exchange", "--token-file", "-")
	wantFailure(t, r, 8, "Requested connector does not exist.", "t2-cred login --profile dex")
	s.Want(4, "get")

	password := s.pages
	s.pages = func(b *browser, page, user string) string { // the first page has a list of connectors
		link := regexp.MustCompile(`href="([^"]*/auth/mock\?[^"]*)"`).FindStringSubmatch(page)
		if link == nil {
			t.Fatalf("no connector on the page:\n%s", page)
		}
		to, err := b.at.Parse(html.UnescapeString(link[1]))
		if err != nil {
			t.Fatal(err)
		}
		return password(b, b.open(to.String()), user)
	}
	s.login(further.DexUser, "--port", port)
	wantFailure(t, s.Run("get", "--scope", "openid"), 8, "nothing broader is sent", "leave --scope and --audience out")
	if len(s.refreshes()) != 0 {
		t.Error("a refresh token was spent")
	}
	s.Want(0, "get", "--fresh")
}
