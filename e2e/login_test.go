package e2e

import (
	"bufio"
	"context"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/keyring"
	"github.com/terradue/t2-cred/e2e/run"
)

// A loginRun is a t2-cred login that waits for its user.
type loginRun struct {
	t      *testing.T
	cmd    *exec.Cmd
	cancel context.CancelFunc
	lines  chan string
	said   strings.Builder
}

func startLogin(t *testing.T, home *run.Home, args ...string) *loginRun {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	l := &loginRun{t: t, cancel: cancel, lines: make(chan string, 100)}
	l.cmd = exec.CommandContext(ctx, program(t).Path, append([]string{"login"}, args...)...)
	l.cmd.Env = home.Env()
	stderr, err := l.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for in := bufio.NewScanner(stderr); in.Scan(); {
			l.lines <- in.Text()
		}
		close(l.lines)
	}()
	return l
}

// until reads standard error up to a line that matches, and returns its first group.
func (l *loginRun) until(pattern string) string {
	l.t.Helper()
	for re := regexp.MustCompile(pattern); ; {
		select {
		case line, ok := <-l.lines:
			if !ok {
				l.t.Fatalf("login ended without a line like %q:\n%s", pattern, l.said.String())
			}
			l.said.WriteString(line + "\n")
			if m := re.FindStringSubmatch(line); m != nil {
				return m[len(m)-1]
			}
		case <-time.After(20 * time.Second):
			l.t.Fatalf("no line like %q in time:\n%s", pattern, l.said.String())
		}
	}
}

// end wants the exit code, and returns all that was said.
func (l *loginRun) end(code int) string {
	l.t.Helper()
	defer l.cancel()
	for line := range l.lines {
		l.said.WriteString(line + "\n")
	}
	_ = l.cmd.Wait() // the code is looked at next
	shared.ledger.Output("login", l.said.String(), false)
	if got := l.cmd.ProcessState.ExitCode(); got != code {
		l.t.Fatalf("login ended with %d, not %d:\n%s", got, code, l.said.String())
	}
	return l.said.String()
}

// A browser is one user's, as far as forms and cookies go.
type browser struct {
	t  *testing.T
	c  *http.Client
	at *url.URL // the last page's address
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t: t, c: &http.Client{Jar: jar, Timeout: 90 * time.Second}}
}

func (b *browser) open(address string) (page string) {
	b.t.Helper()
	resp, err := b.c.Get(address)
	return b.read(resp, err)
}

func (b *browser) read(resp *http.Response, err error) string {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.at = resp.Request.URL
	return string(page)
}

var formAction = regexp.MustCompile(`(?s)<form[^>]*action="([^"]+)"`)

// submit sends a page's form.
func (b *browser) submit(page string, fields url.Values) string {
	b.t.Helper()
	m := formAction.FindStringSubmatch(page)
	if m == nil {
		b.t.Fatalf("no form on the page:\n%s", page)
	}
	action, err := b.at.Parse(html.UnescapeString(m[1]))
	if err != nil {
		b.t.Fatal(err)
	}
	resp, err := b.c.PostForm(action.String(), fields)
	return b.read(resp, err)
}

func (b *browser) logIn(page, user, password string) string {
	b.t.Helper()
	return b.submit(page, url.Values{"username": {user}, "password": {password}})
}

func loginHome(t *testing.T, realm *keycloak.Realm) *run.Home {
	t.Helper()
	home := program(t).NewHome(t).Set(keyring.Start(t).Bus())
	home.Want(0, addProfile(t, realm)...)
	return home
}

// TestLogin_browser needs no exchange: it works on the realm whose exchange
// never gives an offline token.
func TestLogin_browser(t *testing.T) { loginByBrowser(t, server(t).Realm(t, keycloak.Standard)) }

func loginByBrowser(t *testing.T, realm *keycloak.Realm) {
	t.Helper()
	home := loginHome(t, realm)
	l := startLogin(t, home, "--browser")
	address := l.until(`^\s+(http\S+)$`)
	if !regexp.MustCompile(`^http://127\.0\.0\.1:\d+/start/[A-Z2-7]{26}$`).MatchString(address) {
		t.Errorf("the browser is to open %s", address)
	}
	b := newBrowser(t)
	var sentTo string
	b.c.CheckRedirect = func(req *http.Request, _ []*http.Request) error {
		if sentTo == "" {
			sentTo = req.URL.String()
		}
		return nil
	}
	page := b.open(address)
	// Keycloak takes pushed authorization requests: the browser carries a reference.
	if !strings.Contains(sentTo, "request_uri=urn") || strings.Contains(sentTo, "state=") {
		t.Errorf("the request was not pushed: %s", sentTo)
	}
	page = b.logIn(page, "alice", realm.Password("alice"))
	if !strings.Contains(page, "You can close this window") || !strings.Contains(page, `lang="en"`) || strings.Contains(page, "code=") {
		t.Errorf("the last page is\n%s", page)
	}
	if said := l.end(0); !strings.Contains(said, "kept an offline token for alice as gep/default") {
		t.Errorf("it says\n%s", said)
	}
	realm.Logout("alice")
	if sub := keycloak.Claims(home.Want(0, "get", "--fresh").Token())["sub"]; sub != realm.UserID("alice") {
		t.Errorf("the token is %v's", sub)
	}
}

func TestLogin_device(t *testing.T) { loginByDevice(t, server(t).Realm(t, keycloak.Standard)) }

func loginByDevice(t *testing.T, realm *keycloak.Realm) {
	t.Helper()
	home := loginHome(t, realm)
	l := startLogin(t, home, "--device")
	address := l.until(`^\s+(http\S+)$`)
	code := l.until(`^\s+([A-Z]{4}-[A-Z]{4})$`)
	b := newBrowser(t)
	page := b.open(address + "?user_code=" + code)
	page = b.logIn(page, "bob", realm.Password("bob"))
	page = b.submit(page, url.Values{"accept": {"Yes"}})
	if !strings.Contains(page, "Device Login Successful") {
		t.Fatalf("the device's last page is\n%s", page)
	}
	l.end(0)
	if sub := keycloak.Claims(home.Want(0, "get", "--fresh").Token())["sub"]; sub != realm.UserID("bob") {
		t.Errorf("the token is %v's", sub)
	}
}

// TestLogin_endsWell has each way in which a login does not succeed: its exit
// code, and nothing stored.
func TestLogin_endsWell(t *testing.T) {
	realm := server(t).Realm(t, keycloak.Standard)
	home := loginHome(t, realm)
	t.Run("the user denies the device", func(t *testing.T) {
		l := startLogin(t, home, "--device")
		address := l.until(`^\s+(http\S+)$`)
		code := l.until(`^\s+([A-Z]{4}-[A-Z]{4})$`)
		b := newBrowser(t)
		b.submit(b.logIn(b.open(address+"?user_code="+code), "bob", realm.Password("bob")), url.Values{"cancel": {"No"}})
		if said := l.end(8); !strings.Contains(said, "access_denied") {
			t.Errorf("it says\n%s", said)
		}
	})
	t.Run("nobody answers the device", func(t *testing.T) {
		// On a terminal, where the time that is left is counted down; in a log it is not.
		command := program(t).Path + " login --device --timeout 4s"
		cmd := exec.Command("script", "--quiet", "--return", "--command", command, "/dev/null")
		cmd.Env = home.Env()
		out, err := cmd.CombinedOutput()
		shared.ledger.Output("login on a terminal", string(out), false)
		if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 8 {
			t.Fatalf("%v:\n%s", err, out)
		}
		if n := strings.Count(string(out), "\rwaiting for the login, 0:0"); n < 3 {
			t.Errorf("counted down %d times: %q", n, out)
		}
		if said := home.Want(8, "login", "--device", "--timeout", "3s").Stderr; strings.Contains(said, "waiting for the login") || strings.Contains(said, "\r") {
			t.Errorf("a log has a countdown: %q", said)
		}
	})
	t.Run("nobody answers", func(t *testing.T) {
		l := startLogin(t, home, "--browser", "--timeout", "2s")
		l.until(`^\s+(http\S+)$`)
		if said := l.end(4); !strings.Contains(said, "redirect URI") {
			t.Errorf("the hint does not name the redirect URI:\n%s", said)
		}
	})
	t.Run("nobody's answers", func(t *testing.T) {
		l := startLogin(t, home, "--browser", "--timeout", "6s")
		address, back := l.until(`^\s+(http\S+)$`), l.until(`^The answer comes to (\S+)\.$`)
		b := newBrowser(t)
		b.open(address)
		if page := b.open(back + "x"); !strings.Contains(page, "404") {
			t.Errorf("another path answers\n%s", page)
		}
		for _, query := range []string{"state=wrong", "code=abc&state=wrong", "code=abc", "error=x", "code=abc&iss=https://evil.example.org"} {
			if page := b.open(back + "?" + query); !strings.Contains(page, "goes on waiting") {
				t.Errorf("%s is answered by\n%s", query, page)
			}
		}
		l.end(4)
		noListener(t, back)
	})
	t.Run("a second use of the address", func(t *testing.T) {
		l := startLogin(t, home, "--browser")
		address, back := l.until(`^\s+(http\S+)$`), l.until(`^The answer comes to (\S+)\.$`)
		newBrowser(t).open(address)
		if page := newBrowser(t).open(address); !strings.Contains(page, "Login ended") {
			t.Errorf("the page says\n%s", page)
		}
		if said := l.end(7); !strings.Contains(said, "opened twice") {
			t.Errorf("it says\n%s", said)
		}
		noListener(t, back)
	})
	var state string
	realm.Intercept(func(keycloak http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/ext/par/request") {
				body, _ := io.ReadAll(r.Body)
				form, _ := url.ParseQuery(string(body))
				state = form.Get("state")
				if form.Get("code_challenge_method") != "S256" || form.Get("nonce") == "" {
					t.Errorf("the request lacks PKCE or a nonce: %v", form)
				}
				r.Body = io.NopCloser(strings.NewReader(string(body)))
			}
			keycloak.ServeHTTP(w, r)
		})
	})
	defer realm.Intercept(nil)
	for name, c := range map[string]struct {
		code  int
		said  string
		query url.Values
	}{
		"the user says no": {8, "access_denied", url.Values{"error": {"access_denied"}, "error_description": {"no\x1b[31m"}, "iss": {realm.Issuer()}}},
		"another issuer":   {7, "evil.example.org", url.Values{"code": {"abc"}, "iss": {"https://evil.example.org"}}},
	} {
		t.Run(name, func(t *testing.T) {
			l := startLogin(t, home, "--browser")
			address, back := l.until(`^\s+(http\S+)$`), l.until(`^The answer comes to (\S+)\.$`)
			b := newBrowser(t)
			b.open(address)
			c.query.Set("state", state)
			if page := b.open(back + "?" + c.query.Encode()); !strings.Contains(page, "Login failed") {
				t.Errorf("the page says\n%s", page)
			}
			if said := l.end(c.code); strings.Contains(said, "\x1b") || !strings.Contains(said, c.said) {
				t.Errorf("it says %q", said)
			}
			noListener(t, back)
		})
	}
	home.Want(4, "get")
}

// noListener wants nothing to be left that a browser could reach.
func noListener(t *testing.T, back string) {
	t.Helper()
	u, err := url.Parse(back)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.DialTimeout("tcp", u.Host, time.Second)
	if err == nil {
		c.Close()
		t.Errorf("something still listens at %s", u.Host)
	}
}
