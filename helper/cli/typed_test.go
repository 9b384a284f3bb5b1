package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// TestTyped_isNeverEchoed puts a token and a client's secret into every place of a
// command line where somebody may put one. No output has it; each is an error.
func TestTyped_isNeverEchoed(t *testing.T) {
	h := newHome(t)
	secrets := map[string]string{
		"token": h.issuer.UserToken("alice"), "secret": "eq7Rb0ZkGm2vWq5xT1nYc8LdPj3sHf6u",
		"base64": "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=", "short": "hunter2!hunter2!",
	}
	places := [][]string{
		{"S"}, {"S", "get"}, {"exchange", "S"}, {"get", "S"}, {"import", "S"}, {"login", "S"}, {"erase", "S"}, {"list", "S"}, {"claims", "S"},
		{"exchange", "--token-file", "S"}, {"exchange", "--token-file=S"}, {"import", "--token-file", "S"}, {"exchange", "--S"}, {"exchange", "-S"},
		{"exchange", "--account", "a", "--token", "S"}, {"profile", "S"}, {"profile", "show", "S"}, {"profile", "remove", "S"}, {"profile", "use", "S"},
		{"profile", "edit", "S", "--host", "h"}, {"profile", "set-secret", "S", "--client-secret-file", "-"}, {"profile", "set-secret", "gep", "--client-secret-file", "S"},
		{"profile", "set-secret", "gep", "S"}, {"profile", "add", "S", "--issuer", h.issuer.URL(), "--client-id", oidctest.ClientID},
		{"profile", "add", "x", "--issuer", "S", "--client-id", "c"}, {"profile", "add", "x", "--issuer", h.issuer.URL(), "--client-id", "c", "--client-secret", "S"},
		{"profile", "add", "x", "--issuer", h.issuer.URL(), "--client-id", "c", "--client-auth", "S"}, {"profile", "add", "x", "--issuer", h.issuer.URL(), "--client-id", "c", "--client-secret-file", "S"},
		{"get", "--min-valid", "S"}, {"get", "--format", "S"}, {"get", "--timeout", "S"}, {"get", "--profile", "S"}, {"get", "--store", "S"}, {"get", "--json=S"},
		{"get", "--config", filepath.Join(h.dir, "nowhere"), "--profile", "S"}, {"store", "S"}, {"store", "move", "--to", "S"}, {"keepalive", "--older-than", "S"},
		{"config", "S"}, {"help", "S"}, {"doctor", "S"}, {"exec", "S"}, {"exec", "--env", "S", "--", "true"},
	}
	for kind, value := range secrets {
		for _, place := range places {
			args := make([]string, len(place))
			for n, word := range place {
				args[n] = strings.ReplaceAll(word, "S", value)
				if kind == "short" && !strings.HasSuffix(strings.Join(place, " "), "-file S") && !strings.HasSuffix(strings.Join(place, " "), "-file=S") {
					args = nil // a short one looks like a name; only a file's may not be shown
					break
				}
			}
			if args == nil {
				continue
			}
			for _, mode := range []string{"", "--json"} {
				typed := args
				if mode != "" {
					typed = append([]string{mode}, args...)
				}
				code := h.run(typed...)
				if code == exitOK && place[0] != "help" || strings.Contains(h.stderr.String()+h.stdout.String(), value) {
					t.Errorf("%s in %q: exit code %d, %s%s", kind, place, code, h.stdout.String(), h.stderr.String())
				}
			}
		}
	}
	for _, name := range []string{"PROFILE", "STORE", "JSON", "VERBOSE"} {
		old := h.env["T2_CRED_"+name]
		h.env["T2_CRED_"+name] = secrets["secret"]
		if code := h.run("status"); code == exitOK || strings.Contains(h.stderr.String(), secrets["secret"]) {
			t.Errorf("T2_CRED_%s: exit code %d, %s", name, code, h.stderr.String())
		}
		h.env["T2_CRED_"+name] = old
	}
}

func TestLooksSecret(t *testing.T) {
	for word, want := range map[string]bool{
		"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.": true, "eq7Rb0ZkGm2vWq5xT1nYc8LdPj3sHf6u": true, "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQ==": true,
		"gep": false, "api.terradue.com": false, "https://iam.terradue.com/auth/realms/master": false, "/home/alice/a-long-directory-2026/token.jwt": false,
		"4f2c1f0e-0d6b-4b6e-9a55-2f1c3a6b7c8d": false, "openid email profile offline_access": false, "a-very-long-name-without-any-number": false, "ellip-production-2026-eu-west": false, "0123456789abcdef0123456789abcdef01234567": true, "": false,
	} {
		if got := looksSecret(word); got != want {
			t.Errorf("%q: %v", word, got)
		}
	}
	for _, c := range []struct{ typed, want string }{
		{"exchagne", "exchange"}, {"stauts", "status"}, {"lgoin", "login"}, {"kepalive", "keepalive"}, {"zzz", ""}, {"EXCHANGE", "exchange"}, {"clai", "claims"},
	} {
		if got := nearest(c.typed, []string{"exchange", "status", "login", "keepalive", "get", "claims", "list"}); got != c.want {
			t.Errorf("%q is near %q, want %q", c.typed, got, c.want)
		}
	}
}

// TestTyped_fileIsShown: the name of a file that exists is no secret.
func TestTyped_fileIsShown(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	const file = "eq7Rb0ZkGm2vWq5xT1nYc8LdPj3sHf6u"
	a := &app{Env: Env{Args: []string{"exchange", "--token-file", file}, Getenv: func(string) string { return "" }}}
	if text := a.hideTyped("open " + file); strings.Contains(text, file) {
		t.Errorf("not there: %s", text)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if text := a.hideTyped("open " + file); !strings.Contains(text, file) {
		t.Errorf("there: %s", text)
	}
}
