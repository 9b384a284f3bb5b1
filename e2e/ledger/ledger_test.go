package ledger

import (
	"encoding/base64"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLedger_findsSecretsWhereTheyDoNotBelong(t *testing.T) {
	const (
		access  = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLW9mLWFsaWNl"
		refresh = "eyJhbGciOiJIUzUxMiJ9.eyJ0eXAiOiJPZmZsaW5lIn0.c2lnbmF0dXJlLW9mLXNlcnZlcg"
		client  = "s3cr3t-of+the/client?app"
	)
	payload := strings.Split(refresh, ".")[1]
	basic := base64.StdEncoding.EncodeToString([]byte("ellip-test-ades:" + client))
	for name, c := range map[string]struct {
		text    string
		product bool
		leak    string
	}{
		"nothing":                       {"t2-cred: refresh profile \"work\": invalid_grant\nhint: t2-cred exchange\n", false, ""},
		"the product":                   {access + "\n", true, ""},
		"the product, as a header":      {"Authorization: Bearer " + access + "\n", true, ""},
		"the product, with a prefix":    {"x=" + access, true, ""},
		"a token in an error":           {"t2-cred: token " + access, false, "access token"},
		"a refresh token as product":    {refresh + "\n", true, "refresh token"},
		"a refresh token after another": {access + "." + refresh + "\n", true, "refresh token"},
		"a payload alone":               {`{"payload":"` + payload + `"}`, true, "refresh token"},
		"a client secret":               {"secret=" + url.QueryEscape(client), true, "client secret"},
		"a client secret as it is":      {"secret " + client, true, "client secret"},
		"a client secret in basic":      {"Authorization: Basic " + basic, true, "client secret"},
	} {
		t.Run(name, func(t *testing.T) {
			l := New()
			l.Add(Access, access)
			l.Add(Refresh, refresh)
			l.Add(Client, client)
			l.Output("here", c.text, c.product)
			leaks := l.Leaks()
			switch {
			case c.leak == "" && len(leaks) > 0:
				t.Errorf("found %q", leaks)
			case c.leak != "" && (len(leaks) == 0 || !strings.Contains(leaks[0], c.leak)):
				t.Errorf("found %q, want a %s", leaks, c.leak)
			}
			for _, leak := range leaks {
				if strings.Contains(leak, access) || strings.Contains(leak, client) {
					t.Errorf("the report gives the secret away: %s", leak)
				}
			}
		})
	}
}

func TestLedger_readsFiles(t *testing.T) {
	l := New()
	l.Add(Client, "a-secret-of-enough-length")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.toml"), []byte("x = \"a-secret-of-enough-length\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.Tree("home", dir); err != nil {
		t.Fatal(err)
	}
	if leaks := l.Leaks(); len(leaks) != 1 || !strings.Contains(leaks[0], "config.toml") {
		t.Errorf("found %q", leaks)
	}
}
