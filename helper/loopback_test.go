package helper

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// A visitor is a browser, or somebody who has none of its cookies.
type visitor struct {
	t *testing.T
	c *http.Client
}

func newVisitor(t *testing.T) visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return visitor{t, &http.Client{Jar: jar, Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (v visitor) get(address string, header ...string) (status int, page string, location *url.URL) {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := v.c.Do(req)
	if err != nil {
		v.t.Error(err)
		return 0, "", nil
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	location, _ = resp.Location()
	return resp.StatusCode, string(body), location
}

// beginLogin has a login wait for its browser.
func beginLogin(t *testing.T) *loopback {
	t.Helper()
	issuer := oidctest.New()
	t.Cleanup(issuer.Close)
	b, err := listen(t.Context(), nil, hint.Run("login", "--device"), true)
	if err != nil {
		t.Fatal(err)
	}
	a, err := oidc.New(issuer.URL(), oidc.Options{Now: time.Now, Log: slog.New(slog.DiscardHandler)}).Authorize(t.Context(), oidc.Client{ID: oidctest.ClientID}, b.uri, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.begin(a)
	return b
}

// Nothing but the answer in the browser that began ends the login: no scan, no
// prefetch, no other browser, no page that sends the browser here, no other name.
func TestLoopback_goesOnAfterWhatIsNoAnswer(t *testing.T) {
	b := beginLogin(t)
	browser, stranger := newVisitor(t), newVisitor(t)
	if status, _, _ := browser.get(b.start, "Sec-Purpose", "prefetch"); status != http.StatusServiceUnavailable {
		t.Errorf("a prefetch of the start: %d", status)
	}
	status, _, to := browser.get(b.start)
	if status != http.StatusSeeOther {
		t.Fatalf("the start: %d", status)
	}
	state := to.Query().Get("state")
	if state == "" || strings.Contains(b.start, state) {
		t.Fatalf("the start is %s, the state %q", b.start, state)
	}
	right := "?code=c&state=" + state
	for _, tt := range []struct {
		who    visitor
		at     string
		want   int
		header []string
	}{
		{browser, b.uri, http.StatusBadRequest, nil},
		{browser, b.uri + "?state=" + state, http.StatusBadRequest, nil},
		{browser, b.uri + "?code=c", http.StatusBadRequest, nil},
		{browser, b.uri + "?code=c&state=x", http.StatusBadRequest, nil},
		{browser, b.uri + "?error=x", http.StatusBadRequest, nil},
		{browser, b.uri + "x" + right, http.StatusNotFound, nil},
		{browser, b.uri + right, http.StatusNotFound, []string{"Host", "rebound.example"}},
		{stranger, b.uri + right, http.StatusBadRequest, nil},
		{stranger, b.uri + right, http.StatusBadRequest, []string{"Cookie", b.cookie.Name + "=guessed"}},
		{stranger, b.uri + "?error=x&state=" + state, http.StatusBadRequest, nil},
		{stranger, strings.TrimSuffix(b.start, b.start[len(b.start)-3:]) + "xyz", http.StatusNotFound, nil},
	} {
		if status, page, _ := tt.who.get(tt.at, tt.header...); status != tt.want || strings.Contains(page, "Login failed") {
			t.Errorf("%s %v: %d\n%s", tt.at, tt.header, status, page)
		}
	}
	soon, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	last := make(chan string, 1)
	go func() { _, page, _ := browser.get(b.uri + right); last <- page }()
	query, err := b.wait(soon)
	if err != nil || query.Get("code") != "c" {
		t.Fatalf("%v, %v", query, err)
	}
	for _, again := range []string{b.uri + right, b.uri + "?code=other", b.start} {
		if status, page, _ := stranger.get(again); status != http.StatusGone || !strings.Contains(page, "Already answered") {
			t.Errorf("%s after the answer: %d", again, status)
		}
	}
	b.finish(nil)
	if page := <-last; !strings.Contains(page, "You are logged in") {
		t.Error(page)
	}
}

// Another program may have read the address in argv, and have been faster.
func TestLoopback_theStartIsGoodOnce(t *testing.T) {
	b := beginLogin(t)
	browser := newVisitor(t)
	_, _, to := newVisitor(t).get(b.start)
	if status, page, _ := browser.get(b.start); status != http.StatusGone || !strings.Contains(page, "Login ended") {
		t.Errorf("the second use: %d\n%s", status, page)
	}
	soon, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := b.wait(soon)
	refused, ok := errors.AsType[*oidc.VerifyError](err)
	if !ok || !strings.Contains(refused.Why, "twice") || hint.Of(err).String() != "t2-cred login --device" {
		t.Errorf("wait = %v, hint %q", err, hint.Of(err))
	}
	b.finish(err)
	if again, err := http.Get(b.uri + "?code=c&state=" + to.Query().Get("state")); err == nil {
		again.Body.Close()
		t.Error("the port is still open")
	}
}

// The address is of the issuer's making and goes to a terminal and into a QR code.
func TestShowable(t *testing.T) {
	for _, tt := range []struct{ address, want string }{
		{"https://login.example/device?user_code=AB-CD", "https://login.example/device?user_code=AB-CD"},
		{"https://login.example:8443/\u009b31m", "https://login.example:8443/%C2%9B31m"},
		{"https://login.example/\u202egnp.exe", "https://login.example/%E2%80%AEgnp.exe"},
		{"https://login.example/?q=\u009d8;;https://evil.example\u009c", "https://login.example/?q=%C2%9D8;;https://evil.example%C2%9C"},
		{"https://login.example/caf\u00e9 x", "https://login.example/caf%C3%A9%20x"},
		{"https://xn--80ak6aa92e.example/", "https://xn--80ak6aa92e.example/"},
		{"https://\u0430pple.example/", ""},
		{"https://pay\u200bpal.example/", ""},
		{"https://login.example\u3002evil.example/", ""},
		{"https://login.example/\x1b]8;;https://evil.example\x07", ""},
	} {
		for _, d := range []*oidc.Device{{VerificationURI: tt.address}, {VerificationURI: "https://login.example/", Complete: tt.address}} {
			err := showable(d)
			got := d.VerificationURI
			if d.Complete != "" {
				got = d.Complete
			}
			if tt.want != "" && (err != nil || got != tt.want) {
				t.Errorf("%q: %q, %v; want %q", tt.address, got, err, tt.want)
			}
			if _, ok := errors.AsType[*oidc.VerifyError](err); tt.want == "" && !ok {
				t.Errorf("%q: %q, %v; want a refusal", tt.address, got, err)
			}
		}
	}
}

// TestScriptHash: a browser runs the page's script only if the policy names its hash.
func TestScriptHash(t *testing.T) {
	sum := sha256.Sum256([]byte(script))
	if want := "sha256-" + base64.StdEncoding.EncodeToString(sum[:]); scriptHash != want {
		t.Errorf("the script's hash is %s", want)
	}
	if !strings.Contains(pageHTML, "<script>"+script+"</script>") {
		t.Error("the page's script is another")
	}
}
