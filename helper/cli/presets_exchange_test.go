package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// TestPresets_exchange runs the exchange of a user's token at the products that have one:
// what is kept, a refresh, a second exchange, a narrower token, and each of the refusals.
func TestPresets_exchange(t *testing.T) {
	rows := map[string]struct {
		scopes    string
		life      string // what the exchange says of the access token
		narrow    int    // how get --scope ends
		narrowed  string // what it says
		unknown   string
		forbidden [2]string // words and hint
	}{
		"INDIGO IAM": {
			"openid profile email offline_access storage.read:/ storage.modify:/", "ends in 4m", exitOK, "", "Invalid subject token: not found on database",
			[2]string{"Token exchange not allowed", "ask the issuer's admin: may this client exchange this user's token?"},
		},
		"CILogon": {
			"openid profile email offline_access", "ends in 59s", exitRefused, "neither the answer nor the token names its scopes", "no pending transaction found.",
			[2]string{"does not have permission to substitute", "let this client substitute for the client where the user logs in"},
		},
	}
	for _, p := range oidctest.Presets() {
		if !p.Exchange() {
			continue
		}
		t.Run(p.Name, func(t *testing.T) {
			row, ok := rows[p.Name]
			if !ok {
				t.Fatal("no row")
			}
			h := newHomeWith(t, oidctest.As(p))
			h.addProfile(row.scopes)
			user := h.userToken("bob")
			if code := h.run("exchange", "--token-file", user); code != exitOK || !strings.Contains(h.stderr.String(), "kept an offline token") || !strings.Contains(h.stderr.String(), row.life) {
				t.Fatalf("exchange ends with %d: %s", code, h.stderr.String())
			}
			if strings.Contains(h.stderr.String(), "may be refused") || strings.Contains(h.stderr.String(), "did not grant") {
				t.Errorf("exchange warns: %s", h.stderr.String())
			}
			if s := h.statusOf(); s.Subject != h.issuer.Sub("bob") || s.Kind != "offline" || s.Scope != row.scopes && s.Scope != "" { // the issuer may name none (RFC 8693 §2.2.1)
				t.Errorf("kept %+v", s)
			}
			if first := h.statusOf().Scope; (first == "") != (p.Name == "CILogon") {
				t.Errorf("granted %q", first)
			}
			for range 2 {
				h.advance(2 * time.Hour)
				if code := h.run("get"); code != exitOK {
					t.Fatalf("get ends with %d: %s", code, h.stderr.String())
				}
			}
			spent := h.issuer.Refreshes()
			if code := h.run("get", "--scope", "openid"); code != row.narrow || !strings.Contains(h.stderr.String(), row.narrowed) || h.issuer.Refreshes() != spent {
				t.Errorf("get --scope ends with %d: %s", code, h.stderr.String())
			}
			refusedExchanges(t, h, row.unknown)
			if code := h.run("erase", "--yes"); code != exitOK {
				t.Errorf("erase ends with %d: %s", code, h.stderr.String())
			}
			h.check()

			h = newHomeWith(t, oidctest.As(p), oidctest.Exchange(oidctest.LegacyForbidden))
			h.addProfile(row.scopes)
			code := h.run("exchange", "--token-file", h.userToken("bob"))
			if said := h.stderr.String(); code != exitRefused || !strings.Contains(said, row.forbidden[0]) || !strings.Contains(said, "hint: ") || !strings.Contains(said, row.forbidden[1]) {
				t.Errorf("where it is not allowed, exchange ends with %d: %s", code, said)
			}
			h.check()
		})
	}
}

// refusedExchanges has the user's token be no longer good, and then one of our own.
func refusedExchanges(t *testing.T, h *home, unknown string) {
	t.Helper()
	user := h.userToken("carol")
	h.issuer.Logout("carol")
	code := h.run("exchange", "--account", "carol", "--token-file", user)
	if said := h.stderr.String(); code != exitVerify || !strings.Contains(said, unknown) || !strings.Contains(said, "get a new access token for the user") {
		t.Errorf("of a session that has ended, exchange ends with %d: %s", code, said)
	}
	if !strings.Contains(unknown, "database") { // INDIGO IAM alone looks at whose the token is
		return
	}
	own := filepath.Join(h.dir, "own.jwt")
	if err := os.WriteFile(own, []byte(h.issuer.UserToken("carol", oidctest.IssuedTo(oidctest.ClientID))), 0o600); err != nil {
		t.Fatal(err)
	}
	code = h.run("exchange", "--account", "carol", "--token-file", own)
	if said := h.stderr.String(); code != exitRefused || !strings.Contains(said, "same client and offline_access") || !strings.Contains(said, "get a new access token for the user") {
		t.Errorf("of our own token, exchange ends with %d: %s", code, said)
	}
}
