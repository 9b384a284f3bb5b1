package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/proc"
)

// A window is one of a real Chromium without a screen, with a profile of its own.
type window struct {
	t     *testing.T
	ctx   context.Context
	close func()

	mu   sync.Mutex
	seen []*network.Response // documents and all that they load
}

func openWindow(t *testing.T) *window {
	t.Helper()
	options := append([]chromedp.ExecAllocatorOption{}, chromedp.DefaultExecAllocatorOptions[:]...)
	options = append(options, chromedp.ExecPath(needTool(t, "chromium", "chromium")),
		chromedp.NoSandbox, chromedp.DisableGPU, // as root, in a container
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	// Not the test's own context, which ends before its clean-ups: Chromium is to end by itself.
	ctx, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	ctx, _ = chromedp.NewContext(ctx)
	w := &window{t: t, ctx: ctx, close: sync.OnceFunc(func() {
		end, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		_ = chromedp.Cancel(end) // closed by the test, or dead: stop waits for its end
		stop()
	})}
	t.Cleanup(w.close)
	w.listen()
	return w
}

// listen keeps what comes over the network. The first use of a window's context starts
// Chromium, and must have no deadline.
func (w *window) listen() {
	w.t.Helper()
	err := chromedp.Listen(w.ctx, func(event any) {
		if got, ok := event.(*network.EventResponseReceived); ok {
			w.mu.Lock()
			w.seen = append(w.seen, got.Response)
			w.mu.Unlock()
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := chromedp.Call(w.ctx, network.Enable, network.EnableParams{}); err != nil {
		w.t.Fatal(err)
	}
}

// tab is another tab of the same window.
func (w *window) tab() *window {
	w.t.Helper()
	ctx, closeTab := chromedp.NewContext(w.ctx)
	tab := &window{t: w.t, ctx: ctx, close: closeTab}
	tab.listen()
	return tab
}

// patience is how long a window may take for one thing.
const patience = 20 * time.Second

func (w *window) try(actions ...chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	return chromedp.Do(ctx, actions...)
}

func (w *window) do(actions ...chromedp.Action[chromedp.Void]) {
	w.t.Helper()
	if err := w.try(actions...); err != nil {
		w.t.Fatalf("Chromium: %v at %s", err, ask(w, chromedp.Location()))
	}
}

// ask is what an action tells.
func ask[T any](w *window, action chromedp.Action[T]) T {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	told, err := chromedp.Run(ctx, action)
	if err != nil {
		w.t.Fatalf("Chromium: %v", err)
	}
	return told
}

// logIn fills Keycloak's form as a person does.
func (w *window) logIn(address, user, password string) {
	w.t.Helper()
	w.do(chromedp.Navigate(address), chromedp.WaitVisible(chromedp.CSS("#username")),
		chromedp.SendKeys(chromedp.CSS("#username"), user), chromedp.SendKeys(chromedp.CSS("#password"), password),
		chromedp.Click(chromedp.CSS("#kc-login")))
}

// headed waits for a page with this heading, and returns all that it shows.
func (w *window) headed(title string) (text string) {
	w.t.Helper()
	w.do(chromedp.WaitVisible(fmt.Sprintf(`//h1[contains(., %q)]`, title)))
	return ask(w, chromedp.Text(chromedp.CSS("body")))
}

// response is what came with the page that the window shows, looked up by the start of
// its address.
func (w *window) response(start string) *network.Response {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.seen {
		if strings.HasPrefix(r.URL, start) {
			return r
		}
	}
	w.t.Fatalf("nothing came from %s", start)
	return nil
}

// picture keeps what the window shows, for a person to look at: go test -artifacts.
func (w *window) picture(name string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.t.ArtifactDir(), name+".png"), ask(w, chromedp.CaptureScreenshot()), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// contrastOf is WCAG 2's contrast of text and ground (its definition of relative luminance).
const contrastOf = `(() => {
	const light = (colour) => {
		const [r, g, b] = colour.match(/\d+/g).slice(0, 3).map((c) => c / 255)
			.map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const s = getComputedStyle(document.body), [a, b] = [light(s.color), light(s.backgroundColor)];
	return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
})()`

// wantGoodPage looks at our page as its user, by day and by night, on a wide screen and
// on the narrowest, and at what it leaves behind. shown are the answer's parameters that
// it may show.
func (w *window) wantGoodPage(back, name string, shown ...string) {
	w.t.Helper()
	from := w.response(back + "?")
	sent, err := url.Parse(from.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	for header, want := range map[string]string{
		"Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none';",
	} {
		if got := fmt.Sprint(from.Headers[header]); !strings.HasPrefix(got, want) {
			w.t.Errorf("%s is %q", header, got)
		}
	}
	address, source, title := ask(w, chromedp.Location()), ask(w, chromedp.OuterHTML(chromedp.CSS("html"))), ask(w, chromedp.Title())
	language := ask(w, chromedp.Evaluate[string](`document.documentElement.lang`))
	loaded := ask(w, chromedp.Evaluate[int](`performance.getEntriesByType("resource").length`))
	if address != back {
		w.t.Errorf("the address bar shows %s", address)
	}
	if language != "en" || !strings.HasPrefix(title, "t2-cred: ") || loaded != 0 {
		w.t.Errorf("lang %q, title %q, %d things loaded", language, title, loaded)
	}
	for parameter, values := range sent.Query() {
		if len(values[0]) > 15 && !slices.Contains(shown, parameter) && strings.Contains(source, values[0]) {
			w.t.Errorf("the page holds the answer's %s:\n%s", parameter, source)
		}
	}
	shared.ledger.Output("the page of "+name, address+"\n"+source, false)
	for _, e := range ask(w, chromedp.NavigationEntries()).Entries {
		if strings.HasPrefix(e.URL, back+"?") {
			w.t.Errorf("the history has %s", e.URL)
		}
	}
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{1280, 320} {
			media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
			if _, err := chromedp.Call(w.ctx, emulation.SetEmulatedMedia, media); err != nil {
				w.t.Fatal(err)
			}
			w.do(chromedp.EmulateViewport(width, 640))
			contrast, wide := ask(w, chromedp.Evaluate[float64](contrastOf)), ask(w, chromedp.Evaluate[int64](`document.documentElement.scrollWidth`))
			if contrast < 7 || wide > width {
				w.t.Errorf("%s, %d px wide: contrast %.1f, content %d px wide", scheme, width, contrast, wide)
			}
			w.picture(fmt.Sprintf("%s-%s-%d", name, scheme, width))
		}
	}
}

// TestChromium_browser: a person's login, then back and reload, which change nothing.
func TestChromium_browser(t *testing.T) {
	realm := server(t).Realm(t, keycloak.Standard)
	home := loginHome(t, realm)
	w := openWindow(t)
	l := startLogin(t, home, "--browser")
	address, back := l.until(`^\s+(http\S+)$`), l.until(`^The answer comes to (\S+)\.$`)
	w.logIn(address, "alice", realm.Password("alice"))
	if text := w.headed("Logged in"); !strings.Contains(text, "You can close this window") {
		t.Errorf("the page says\n%s", text)
	}
	l.end(0)
	noListener(t, back)
	w.wantGoodPage(back, "logged-in")
	if err := w.try(chromedp.Reload()); err == nil || !strings.Contains(err.Error(), "ERR_CONNECTION_REFUSED") {
		t.Errorf("a reload: %v", err)
	}
	_ = w.try(chromedp.NavigateBack()) // Keycloak may well send it to the closed port again
	realm.Logout("alice")
	if sub := keycloak.Claims(home.Want(0, "get", "--fresh").Token())["sub"]; sub != realm.UserID("alice") {
		t.Errorf("the token is %v's", sub)
	}
}

// TestChromium_opened: on a terminal the system's opener, xdg-open, is handed the address.
func TestChromium_opened(t *testing.T) {
	realm := server(t).Realm(t, keycloak.Standard)
	home := loginHome(t, realm)
	dir := t.TempDir()
	opened := filepath.Join(dir, "opened")
	browser := filepath.Join(dir, "browser")
	if err := os.WriteFile(browser, []byte("#!/bin/sh\nprintf %s \"$1\" >"+opened+".new && mv "+opened+".new "+opened+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	needTool(t, "chromium", "xdg-open")
	w := openWindow(t)
	cmd := exec.Command("script", "--quiet", "--return", "--command", program(t).Path+" login --browser --timeout 40s", "/dev/null")
	cmd.Env = append(home.Env(), "BROWSER="+browser)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	process, err := proc.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(process.Kill)
	var address []byte
	for end := time.Now().Add(patience); time.Now().Before(end) && process.Alive(); time.Sleep(50 * time.Millisecond) {
		if address, err = os.ReadFile(opened); err == nil {
			break
		}
	}
	if err != nil {
		process.Kill()
		t.Fatalf("nothing was opened: %v\n%s", err, said.String())
	}
	w.logIn(string(address), "alice", realm.Password("alice"))
	w.headed("Logged in")
	code, _, _ := process.Wait()
	shared.ledger.Output("login on a terminal", said.String(), false)
	if code != 0 || !strings.Contains(said.String(), "kept an offline token for alice") || !strings.Contains(said.String(), string(address)) {
		t.Errorf("exit %d:\n%s", code, said.String())
	}
}

// TestChromium_twice: a second answer while the first is looked at changes nothing.
func TestChromium_twice(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Standard)
	home := loginHome(t, realm)
	reached, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	realm.Intercept(func(keycloakItself http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/token") {
				once.Do(func() { close(reached); <-goOn })
			}
			keycloakItself.ServeHTTP(rw, r)
		})
	})
	w := openWindow(t)
	l := startLogin(t, home, "--browser")
	address, back := l.until(`^\s+(http\S+)$`), l.until(`^The answer comes to (\S+)\.$`)
	w.logIn(address, "alice", realm.Password("alice"))
	<-reached
	second := w.tab()
	second.do(chromedp.Navigate(back + "?code=anothers&state=anothers"))
	second.headed("Already answered")
	second.wantGoodPage(back, "already-answered")
	close(goOn)
	w.headed("Logged in")
	l.end(0)
	home.Want(0, "get", "--fresh")
}

// TestChromium_refused: the ways in which a login in the browser comes to nothing.
func TestChromium_refused(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Standard)
	realm.ConfigureClient(keycloak.ClientID, object{"consentRequired": true})
	home := loginHome(t, realm)
	t.Run("no consent", func(t *testing.T) {
		w := openWindow(t)
		l := startLogin(t, home, "--browser")
		address, back := l.until(`^\s+(http\S+)$`), l.until(`^The answer comes to (\S+)\.$`)
		w.logIn(address, "alice", realm.Password("alice"))
		w.do(chromedp.Click(chromedp.CSS(`[name="cancel"]`)))
		if text := w.headed("Login failed"); !strings.Contains(text, "access_denied") || !strings.Contains(text, "You can close this window") {
			t.Errorf("the page says\n%s", text)
		}
		if said := l.end(8); !strings.Contains(said, "access_denied") {
			t.Errorf("it says\n%s", said)
		}
		noListener(t, back)
		w.wantGoodPage(back, "refused")
	})
	t.Run("the window is closed", func(t *testing.T) {
		w := openWindow(t)
		l := startLogin(t, home, "--browser", "--timeout", "6s")
		address, back := l.until(`^\s+(http\S+)$`), l.until(`^The answer comes to (\S+)\.$`)
		w.do(chromedp.Navigate(address), chromedp.WaitVisible(chromedp.CSS("#username")))
		w.close()
		if said := l.end(4); !strings.Contains(said, "nobody answered in the browser in time") {
			t.Errorf("it says\n%s", said)
		}
		noListener(t, back)
	})
	t.Run("nobody's answer, then the address again", func(t *testing.T) {
		w := openWindow(t)
		l := startLogin(t, home, "--browser")
		address, back := l.until(`^\s+(http\S+)$`), l.until(`^The answer comes to (\S+)\.$`)
		w.do(chromedp.Navigate(address), chromedp.WaitVisible(chromedp.CSS("#username")))
		w.do(chromedp.Navigate(back + "?" + url.Values{"code": {"the-code-of-another"}, "state": {"anothers"}}.Encode()))
		w.headed("Not an answer")
		w.wantGoodPage(back, "not-an-answer")
		w.do(chromedp.Navigate(address))
		w.headed("Login ended")
		l.end(7)
		noListener(t, back)
	})
	home.Want(4, "get")
	// With consent, it is kept.
	w := openWindow(t)
	l := startLogin(t, home, "--browser")
	w.logIn(l.until(`^\s+(http\S+)$`), "alice", realm.Password("alice"))
	w.do(chromedp.Click(chromedp.CSS(`[name="accept"]`)))
	w.headed("Logged in")
	l.end(0)
	home.Want(0, "get", "--fresh")
}

// TestChromium_device: the address with the code in it, as a QR code has it; Yes and No.
func TestChromium_device(t *testing.T) {
	realm := server(t).Realm(t, keycloak.Standard)
	home := loginHome(t, realm)
	for _, c := range []struct {
		button string
		code   int
		title  string
	}{{"cancel", 8, ""}, {"accept", 0, "Device Login Successful"}} {
		w := openWindow(t)
		l := startLogin(t, home, "--device")
		address, code := l.until(`^\s+(http\S+)$`), l.until(`^\s+([A-Z]{4}-[A-Z]{4})$`)
		w.logIn(address+"?user_code="+code, "bob", realm.Password("bob"))
		w.do(chromedp.Click(chromedp.CSS(fmt.Sprintf(`[name=%q]`, c.button))))
		if c.title != "" {
			w.headed(c.title)
		}
		said := l.end(c.code)
		if c.code == 0 {
			continue
		}
		if !strings.Contains(said, "access_denied") {
			t.Errorf("it says\n%s", said)
		}
		home.Want(4, "get")
	}
	if sub := keycloak.Claims(home.Want(0, "get", "--fresh").Token())["sub"]; sub != realm.UserID("bob") {
		t.Errorf("the token is %v's", sub)
	}
}
