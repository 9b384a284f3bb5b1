package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/keyring"
	"github.com/terradue/t2-cred/e2e/run"
)

// wantReport wants the report to have these lines, each a pattern for its beginning.
func wantReport(t *testing.T, r run.Result, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if !regexp.MustCompile(`(?m)^` + l).MatchString(r.Stdout) {
			t.Errorf("the report has no line %q:\n%s", l, r)
		}
	}
	for line := range strings.Lines(r.Stdout) {
		if strings.Contains(line, " hint: ") {
			continue // a hint is never broken: there may be a command in it
		}
		if len([]rune(line)) > 81 && strings.Count(line, " ") > 20 && !strings.Contains(line, "/") {
			t.Errorf("a line is wider than a terminal: %q", line)
		}
	}
}

func TestDoctor_goodProfile(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Legacy)
	home := loginHome(t, realm)
	home.WantDo(0, run.Cmd{Args: []string{"exchange"}, Stdin: realm.UserToken("alice")})
	wantReport(t, home.Want(0, "doctor"),
		`ok    config `, `ok    store      keyring: it can be read, and has room for a renewed credential$`, `ok    proxy      none`, `ok    ca         the system's$`,
		`ok    discovery  http://`, `ok    clock      as the issuer's$`, `ok    keys       signing keys for RS256`,
		`ok    client     ellip-test-ades proved itself by basic$`, `ok    exchange   there is one`,
		`ok    login      the issuer offers t2-cred login --browser and --device$`, `ok    account    gep/default: offline, of alice, `)
	// Nothing was spent, and the grant lives.
	if n := realm.RefreshCount(); n != 0 {
		t.Errorf("%d refreshes", n)
	}
	home.Want(0, "get", "--fresh")

	var report struct {
		Checks []struct{ Status, Name string }
		Admin  []string `json:"for_admin"`
	}
	if err := json.Unmarshal([]byte(home.Want(0, "doctor", "--json").Stdout), &report); err != nil || len(report.Checks) < 11 || len(report.Admin) < 6 {
		t.Errorf("%v: %+v", err, report)
	}
	list := home.Want(0, "doctor", "--for-admin").Stdout
	for _, word := range []string{"realm " + realm.Name(), keycloak.ClientID, "offline_access", "Capability config"} {
		if !strings.Contains(list, word) {
			t.Errorf("the list for the admin does not say %q:\n%s", word, list)
		}
	}
}

func TestDoctor_findsWhatIsWrong(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Legacy)
	ring := keyring.Start(t)
	home := program(t).NewHome(t).Set(ring.Bus())
	home.Want(0, addProfile(t, realm)...)

	realm.ChangeClientSecret()
	r := home.Want(8, "doctor")
	wantReport(t, r, `ok    discovery`, `fail  client     ellip-test-ades, by basic: unauthorized_client`)
	if !strings.Contains(r.Stderr, "t2-cred profile set-secret") {
		t.Errorf("the hint is %q", r.Stderr)
	}
	home.WantDo(0, run.Cmd{Args: []string{"profile", "set-secret", "gep", "--client-secret-file", "-"}, Stdin: realm.ClientSecret()})
	home.Want(0, "doctor")

	// The same server by another name: it calls itself otherwise.
	moved := strings.Replace(realm.Issuer(), "127.0.0.1", "localhost", 1)
	config := "issuer = \"" + moved + "\"\nclient_id = \"" + keycloak.ClientID + "\"\n"
	if err := os.WriteFile(filepath.Join(home.Dir, ".config/t2-cred/profiles.d/gep.toml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	wantReport(t, home.Want(3, "doctor"), `fail  discovery  `, `warn  issuer     clock, keys`)

	ring.Lock()
	wantReport(t, home.Want(5, "doctor"), `fail  store      keyring: store is locked`, `fail  discovery`)
	ring.Unlock()
	home.Set("T2_CRED_CONFIG=/nowhere/config.toml")
	wantReport(t, home.Want(0, "doctor"), `warn  config     no profile`, `ok    store`)
}

// TestDoctor_standardExchange: that it will give no offline token cannot be seen
// without a user's token, so doctor says what to know, and that login is there.
func TestDoctor_standardExchange(t *testing.T) {
	realm := server(t).NewRealm(t, keycloak.Standard)
	home := loginHome(t, realm)
	r := home.Want(0, "doctor")
	wantReport(t, r, `ok    exchange   there is one; whether it gives offline tokens shows`, `ok    login      .*--device`)
	if !strings.Contains(strings.Join(strings.Fields(r.Stdout), " "), "its standard one never") {
		t.Errorf("it says\n%s", r.Stdout)
	}
	// A client that may not refresh at all cannot be told from one that may.
	realm.ConfigureClient(keycloak.ClientID, map[string]any{"publicClient": true})
	home.Want(0, "profile", "edit", "gep", "--client-auth", "none")
	r = home.Want(0, "doctor")
	wantReport(t, r, `ok    client     ellip-test-ades is known, and has nothing to prove$`)
	home.Want(0, "profile", "edit", "gep", "--unproven", "--client-id", "nobody")
	wantReport(t, home.Want(8, "doctor"), `fail  client     nobody, by none: invalid_client`)
}
