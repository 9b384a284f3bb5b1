package e2e

import (
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/e2e/keycloak"
	"github.com/terradue/t2-cred/e2e/run"
)

// TestKeepalive sees to two realms at once: one account is dead, one issuer is down,
// and neither is in the way of the others.
func TestKeepalive(t *testing.T) {
	realm, other := server(t).NewRealm(t, keycloak.Legacy), server(t).NewRealm(t, keycloak.Rotation)
	home := loginHome(t, realm)
	home.WantDo(0, run.Cmd{Stdin: other.ClientSecret(), Args: []string{
		"profile", "add", "other", "--issuer", other.Issuer(), "--client-id", keycloak.ClientID, "--scope", keycloak.Scopes, "--client-secret-file", "-",
	}})
	for _, user := range []string{"alice", "bob"} {
		home.WantDo(0, run.Cmd{Args: []string{"exchange", "--account", user}, Stdin: realm.UserToken(user)})
	}
	home.WantDo(0, run.Cmd{Args: []string{"exchange", "--profile", "other"}, Stdin: other.UserToken("alice")})
	refreshes := func(inRealm, inOther int) {
		t.Helper()
		if a, b := realm.RefreshCount(), other.RefreshCount(); a != inRealm || b != inOther {
			t.Errorf("%d and %d refreshes, want %d and %d", a, b, inRealm, inOther)
		}
	}

	// A minute after the exchange nothing is idle.
	if r := home.Want(0, "keepalive"); strings.Count(r.Stdout, "in use") != 3 {
		t.Errorf("it says %s", r)
	}
	refreshes(0, 0)
	home.Want(0, "keepalive", "--older-than", "0s")
	refreshes(2, 1)

	realm.DisableUser("bob")
	r := home.Want(4, "keepalive", "--older-than", "0s")
	if !regexp.MustCompile(`(?m)^dead +gep/bob  .*User disabled`).MatchString(r.Stdout) ||
		!strings.Contains(r.Stderr, "1 of 3 dead, the first gep/bob") {
		t.Errorf("it says %s", r)
	}
	refreshes(3, 2)

	// A user who is back: asked for by name, and alive again.
	realm.EnableUser("bob")
	home.Want(4, "keepalive", "--account", "bob")
	home.Want(0, "get", "--fresh", "--account", "bob")
	home.Want(0, "keepalive", "--account", "bob", "--older-than", "0s")
	refreshes(5, 2)

	realm.Intercept(func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	})
	r = home.Want(6, "keepalive", "--older-than", "0s")
	if strings.Count(r.Stdout, "failed ") != 2 || !strings.Contains(r.Stdout, "refreshed  other/default") {
		t.Errorf("it says %s", r)
	}
	realm.Intercept(nil)
	home.Want(0, "keepalive", "--older-than", "0s")
	refreshes(7, 4)
}

// TestRecipeKeepalive checks the units with systemd's own tool and runs their command.
func TestRecipeKeepalive(t *testing.T) {
	needTool(t, "eo", "systemd-analyze")
	s := newToolStage(t, http.NotFoundHandler())
	s.version("systemd-analyze", "--version")
	units := snippets(t, "recipes/keepalive.md", "ini")
	if len(units) != 2 {
		t.Fatalf("the page has %d units", len(units))
	}
	command := regexp.MustCompile(`ExecStart=/usr/local/bin/t2-cred (.*)\n`).FindStringSubmatch(units[0])
	if command == nil {
		t.Fatalf("the service has no command:\n%s", units[0])
	}
	s.write("t2-cred-keepalive.service", strings.Replace(units[0], "/usr/local/bin/t2-cred", filepath.Join(s.bin, "t2-cred"), 1))
	s.write("t2-cred-keepalive.timer", units[1])
	if out := s.wantTool(".", nil, "systemd-analyze", "--user", "verify", "./t2-cred-keepalive.timer", "./t2-cred-keepalive.service"); strings.Contains(out, "t2-cred-keepalive.") {
		t.Error(out)
	}
	s.Want(0, strings.Fields(command[1])...)
	cron := block(t, "recipes/keepalive.md", "crontab")
	if !regexp.MustCompile(`^17 4 \* \* \* /usr/local/bin/t2-cred keepalive >/dev/null\n$`).MatchString(cron) {
		t.Errorf("the crontab is %q", cron)
	}
}
