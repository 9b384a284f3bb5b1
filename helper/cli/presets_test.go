package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// A browser is a standard error that opens the address that it is shown, once.
type browser struct {
	t    testing.TB
	mu   sync.Mutex
	said bytes.Buffer
	done chan struct{} // closed when the page at the end was read
}

var startAddress = regexp.MustCompile(`http://127\.0\.0\.1:\d+/start/\S+`)

// Write implements io.Writer.
func (b *browser) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.said.Write(p)
	if address := startAddress.FindString(b.said.String()); address != "" && b.done == nil && strings.Contains(b.said.String(), "The answer comes to") {
		b.done = make(chan struct{})
		go b.open(address)
	}
	return len(p), nil
}

func (b *browser) open(address string) {
	defer close(b.done)
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.t.Error(err)
		return
	}
	client := &http.Client{Jar: jar, Timeout: longTimeout}
	resp, err := client.Get(address)
	if err != nil {
		b.t.Errorf("the browser: %v", err)
		return
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
}

// logIn logs the user in by a browser.
func (h *home) logIn() int {
	h.t.Helper()
	h.stdout.Reset()
	h.stderr.Reset()
	b := &browser{t: h.t}
	code := Main(context.Background(), Env{
		Args: []string{"--timeout", h.timeout.String(), "login", "--browser"}, Stdin: strings.NewReader(""), Stdout: &h.stdout, Stderr: b,
		Getenv: func(name string) string { return h.env[name] }, Now: func() time.Time { return time.Now().Add(h.ahead) },
	})
	if b.done != nil {
		<-b.done
	}
	h.stderr.Write(b.said.Bytes())
	h.said.Write(b.said.Bytes())
	return code
}

// setInProfile adds lines to the one profile of the file.
func (h *home) setInProfile(lines string) {
	h.t.Helper()
	file := filepath.Join(h.env["XDG_CONFIG_HOME"], "t2-cred", "profiles.d", "gep.toml")
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, append(text, lines+"\n"...), 0o600)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// statusOf is what status --json says of the account.
func (h *home) statusOf() (s struct{ Subject, Scope, Kind, State string }) {
	h.t.Helper()
	if code := h.run("status", "--json"); code != exitOK {
		h.t.Fatalf("status ends with %d: %s", code, h.stderr.String())
	}
	if err := json.Unmarshal(h.stdout.Bytes(), &s); err != nil {
		h.t.Fatal(err)
	}
	return s
}

// A presetRow is what a product is known to do with t2-cred.
type presetRow struct {
	name   string
	scopes string
	// lines are what the profile needs besides. Without them login ends with code and says words.
	lines string
	code  int
	words string

	said   string // by the login that works, besides; empty for no warning
	kept   string // scopes
	rotate bool   // the refresh token changes with each refresh
	once   bool   // and the old one is refused
	dead   string // the answer for a refused refresh token
}

func presetRows() []presetRow {
	const base = "openid profile email"
	const opaque = "access token is opaque"
	const long = "https://www.googleapis.com/auth/userinfo."
	return []presetRow{
		{name: "INDIGO IAM", scopes: base + " offline_access storage.read:/", kept: "openid profile email offline_access storage.read:/", dead: "invalid_token"},
		{name: "AD FS", scopes: base, kept: "openid profile email", dead: "MSIS9615"},
		{name: "CILogon", scopes: base + " offline_access", said: opaque, kept: "openid profile email offline_access", rotate: true, once: true, dead: "invalid refresh token"},
		{name: "OSDF", scopes: "openid offline_access storage.read:/", kept: "openid offline_access storage.read:/", rotate: true, once: true, dead: "or refresh token is invalid, expired, revoked"},
		{name: "Entra ID", scopes: base + " offline_access", lines: `access_token = "opaque"`, code: exitVerify, words: `set access_token = "opaque" in the profile`,
			said: opaque, kept: "openid profile email User.Read", rotate: true, dead: "AADSTS700082"},
		{name: "Okta", scopes: base + " offline_access", lines: `access_token = "opaque"`, code: exitVerify, words: `set access_token = "opaque" in the profile`,
			said: opaque, kept: "openid profile email offline_access", rotate: true, once: true, dead: "The refresh token is invalid or expired"},
		{name: "Google", scopes: base, lines: `authorize_params = { access_type = "offline", prompt = "consent" }`, code: exitRefused, words: `authorize_params = { access_type = "offline" }`,
			said: opaque, kept: "openid " + long + "profile " + long + "email", dead: "Token has been expired or revoked"},
		{name: "GitLab", scopes: base, said: opaque, kept: "openid profile email", rotate: true, once: true, dead: "The provided authorization grant is invalid"},
	}
}

// TestPresets runs login by browser, refresh, a replay, the end of a grant and erase at
// each product that the test issuer can answer as.
func TestPresets(t *testing.T) {
	rows := presetRows()
	for n, p := range oidctest.Presets() {
		if n >= len(rows) || rows[n].name != p.Name {
			t.Fatalf("no row for %s", p.Name)
		}
		t.Run(p.Name, func(t *testing.T) { rows[n].run(t, p) })
	}
}

func (row presetRow) run(t *testing.T, p oidctest.Preset) {
	h := newHomeWith(t, oidctest.As(p))
	h.addProfile(row.scopes)
	if row.lines != "" {
		code := h.logIn()
		if code != row.code || !strings.Contains(h.stderr.String(), row.words) {
			t.Errorf("without %s, login ends with %d: %s", row.lines, code, h.stderr.String())
		}
		left := h.issuer.Grants(oidctest.PresetUser)
		if len(h.stored()) != 0 || left != 0 && !strings.Contains(h.stderr.String(), "is not kept and lives on there") {
			t.Errorf("a login that failed left %d grants: %s", left, h.stderr.String())
		}
		h.setInProfile(row.lines)
	}
	if code := h.logIn(); code != exitOK {
		t.Fatalf("login ends with %d: %s", code, h.stderr.String())
	}
	if said := h.stderr.String(); strings.Contains(said, "access token is opaque") != (row.said != "") || strings.Contains(said, "not grant") {
		t.Errorf("login says %q", said)
	}
	row.look(t, h)
	row.refresh(t, h)
	row.look(t, h)
	row.end(t, h, p)
	row.erase(t, h, p)
	h.check()
}

func (row presetRow) look(t *testing.T, h *home) {
	t.Helper()
	s := h.statusOf()
	if s.Subject != h.issuer.Sub(oidctest.PresetUser) || s.Kind != "offline" || s.State != "ok" || s.Scope != row.kept {
		t.Errorf("kept %+v, want the scopes %q", s, row.kept)
	}
}

// refresh refreshes three times. No refresh token that serves once is sent twice.
func (row presetRow) refresh(t *testing.T, h *home) {
	t.Helper()
	spent, stop := h.issuer.Watch()
	defer stop()
	for range 3 {
		h.advance(2 * time.Hour)
		if code := h.run("get"); code != exitOK {
			t.Fatalf("get ends with %d: %s", code, h.stderr.String())
		}
		if strings.Contains(h.stderr.String(), "warning") {
			t.Errorf("get says %q", h.stderr.String())
		}
	}
	all := spent.All()
	if len(all) != 3 || (all[0].Token != all[1].Token) != row.rotate || row.once && len(spent.Twice()) != 0 {
		t.Errorf("%d refreshes, rotates %t, sent twice %d", len(all), row.rotate, len(spent.Twice()))
	}
}

// end has the issuer end the grant: exit 4, and the hint is a command that works there.
func (row presetRow) end(t *testing.T, h *home, p oidctest.Preset) {
	t.Helper()
	if h.issuer.EndGrants(oidctest.PresetUser) == 0 {
		t.Fatal("there was no grant to end")
	}
	h.advance(2 * time.Hour)
	for n, args := range [][]string{{"get"}, {"get"}, {"keepalive"}, {"doctor"}} { // all but the first are of what is stored
		code := h.run(args...)
		said := h.stderr.String() + h.stdout.String()
		if code != exitLogin || n == 0 && !strings.Contains(said, row.dead) {
			t.Errorf("%v after the end: %d, %s", args, code, said)
		}
		if strings.Contains(said, "t2-cred exchange") != p.Exchange() || !p.Exchange() && !strings.Contains(said, "t2-cred login --profile gep") {
			t.Errorf("%v, exchange %t: %s", args, p.Exchange(), said)
		}
	}
}

// erase ends a grant at the issuer where it can, and says what to do where it cannot.
func (row presetRow) erase(t *testing.T, h *home, p oidctest.Preset) {
	t.Helper()
	if code := h.logIn(); code != exitOK {
		t.Fatalf("login again ends with %d: %s", code, h.stderr.String())
	}
	code := h.run("erase", "--yes")
	said, alive := h.stderr.String(), h.issuer.Grants(oidctest.PresetUser)
	if p.Revocation {
		if code != exitOK || alive != 0 || len(h.stored()) != 0 {
			t.Errorf("erase ends with %d, %d grants live: %s", code, alive, said)
		}
		return
	}
	if code != exitRefused || alive != 1 || !strings.Contains(said, "t2-cred erase --local-only") {
		t.Errorf("erase ends with %d, %d grants live: %s", code, alive, said)
	}
	if code := h.run("erase", "--yes", "--local-only"); code != exitOK || len(h.stored()) != 0 {
		t.Errorf("erase --local-only ends with %d: %s", code, h.stderr.String())
	}
}

// TestPresets_page: docs/issuers.md names each product, and no other.
func TestPresets_page(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "issuers.md"))
	if err != nil {
		t.Fatal(err)
	}
	var named, made []string
	for _, m := range regexp.MustCompile(`(?m)^- \*\*([^*]+)\*\* \(.oidctest\.PresetNamed\("([^"]+)"\)`).FindAllStringSubmatch(string(page), -1) {
		if m[1] != m[2] {
			t.Errorf("%s names the preset %s", m[1], m[2])
		}
		named = append(named, m[2])
	}
	for _, p := range oidctest.Presets() {
		made = append(made, p.Name)
	}
	if !slices.Equal(named, made) || len(made) < 8 {
		t.Errorf("the page names %q, the presets are %q", named, made)
	}
	if !strings.Contains(string(page), "were never run") {
		t.Error("the page does not say that the products were not run")
	}
}

// TestPresets_tenantTemplate: the document of Entra's address for all tenants names no
// tenant. It is refused, and nothing is saved.
func TestPresets_tenantTemplate(t *testing.T) {
	h := newHomeWith(t, oidctest.As(oidctest.PresetNamed("Entra ID")))
	h.issuer.Inject(oidctest.Fault{Name: "template", Endpoint: oidctest.Discovery, Edit: func(_ *oidctest.Call, o map[string]any) {
		o["issuer"] = "https://login.example/{tenantid}/v2.0"
	}})
	code := h.run("profile", "add", "gep", "--issuer", h.issuer.URL(), "--client-id", oidctest.ClientID, "--scope", "openid",
		"--client-secret-file", filepath.Join(h.dir, "client.secret"))
	if said := h.stderr.String(); code != exitConfig || !strings.Contains(said, "{tenantid}") || !strings.Contains(said, "hint: ") {
		t.Errorf("profile add ends with %d: %s", code, said)
	}
	if code := h.run("status"); code == exitOK {
		t.Error("a profile was saved")
	}
}

// TestPresets_requiredScopes: Google's long name of a scope is that scope. One that it
// does not grant is an error where it is required.
func TestPresets_requiredScopes(t *testing.T) {
	for scope, code := range map[string]int{"email": exitOK, "groups": exitRefused} {
		h := newHomeWith(t, oidctest.As(oidctest.PresetNamed("Google")))
		h.addProfile("openid email profile groups")
		h.setInProfile(`authorize_params = { access_type = "offline" }` + "\n" + `required_scopes = ["` + scope + `"]`)
		if got := h.logIn(); got != code {
			t.Errorf("with %s required, login ends with %d: %s", scope, got, h.stderr.String())
		}
	}
}
