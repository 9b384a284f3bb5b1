package cli

import (
	"errors"
	"fmt"
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

// TestTyped_amongOtherWords: a secret may be a part of what was typed, and a hook may say
// what was wrong in its answer.
func TestTyped_amongOtherWords(t *testing.T) {
	h := newHome(t)
	places := [][]string{
		{"S"}, {"get", "--account", "S"}, {"get", "--config", "S"}, {"get", "--url-env", "S"}, {"get", "--scope", "S"}, {"get", "--url", "S"}, {"setup", "S"}, {"store", "release", "--account", "S"},
		{"git", "S"}, {"docker", "S"}, {"docker", "--username", "S", "get"}, {"kubernetes", "S"}, {"kubernetes", "--url", "S"}, {"aws", "S"}, {"aws", "--endpoint", "S"},
		{"aws", "--endpoint", "https://h.example", "--duration", "S"}, {"aws", "--endpoint", "https://h.example", "--ca-file", "S"}, {"cargo", "S"}, {"goauth", "--prefix", "S"},
		{"pnpm", "--url", "S"}, {"terraform", "S", "h"}, {"google", "S"}, {"google", "--url", "S"}, {"bazel", "S"}, {"kubelet", "S"}, {"kubelet", "--min-valid", "S"},
	}
	for _, secret := range []string{h.issuer.UserToken("alice"), "eq7Rb0ZkGm2vWq5xT1nYc8LdPj3sHf6u", "1//0gKx8Rw.Yk2Mx9Tb_5QzLf7Nc-4Gd1PsJhVq3"} {
		for _, shape := range []string{"%s", "Bearer %s", "Authorization: Bearer %s", "client_secret=%s", `{"access_token":"%s"}`, "https://u:%s@h.example/"} {
			for _, place := range places {
				args := make([]string, len(place))
				for n, word := range place {
					args[n] = strings.ReplaceAll(word, "S", fmt.Sprintf(shape, secret))
				}
				code := h.run(args...)
				if said := h.stderr.String() + h.stdout.String(); strings.Contains(said, secret) {
					t.Errorf("%q as %s: exit code %d, %s", place, shape, code, said)
				}
			}
		}
	}
}

// TestTyped_intoTheConfiguration: a secret where the name of its file is due is not shown,
// neither whole nor in part.
func TestTyped_intoTheConfiguration(t *testing.T) {
	const secret = "eq7Rb0ZkGm2vWq5xT1nYc8LdPj3sHf6u"
	for _, line := range []string{
		"client_secret_file = %q", "client_secret_command = %q", "client_secret_command = [%q]", "client_key_file = %q\nclient_auth = \"private_key_jwt\"",
		"client_assertion_file = %q\nclient_auth = \"jwt_file\"", "ca_file = %q", "client_secret = %q", "client_auth = %q", "client_secret_file = \"hunter2!hunter2!\"",
	} {
		h := newHome(t)
		if strings.Contains(line, "%q") {
			line = fmt.Sprintf(line, secret)
		}
		text := "[profiles.gep]\nissuer = \"" + h.issuer.URL() + "\"\nclient_id = \"c\"\n" + line + "\n"
		path := filepath.Join(h.env["XDG_CONFIG_HOME"], "t2-cred", "config.toml")
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		for _, command := range [][]string{{"get"}, {"doctor"}, {"profile", "show", "gep"}, {"config", "show"}} {
			code := h.run(command...)
			if said := h.stderr.String() + h.stdout.String(); code == exitOK && command[0] != "config" || strings.Contains(said, secret[:20]) || strings.Contains(said, "hunter2") {
				t.Errorf("%q with %s: exit code %d: %s", command, line, code, said)
			}
		}
	}
	h := newHome(t)
	for name, value := range map[string]string{
		"IDENTITY_FILE": "AGE-SECRET-KEY-1UW7CEUGQ5ZSUD7CM6Z9HJZLEG7TWFDYPS8SR42XGN65EDWLJ93PSC7SY6H", "CA_FILE": secret, "PROFILE": h.issuer.UserToken("alice"),
	} {
		h := newHome(t)
		if code := h.run("profile", "add", "gep", "--issuer", h.issuer.URL(), "--client-id", "c", "--client-secret-file", "-", "--unproven"); code != exitOK && name == "CA_FILE" {
			t.Log(h.stderr.String())
		}
		h.env["T2_CRED_STORE"], h.env["T2_CRED_"+name] = "file", value
		for _, command := range [][]string{{"get"}, {"doctor"}, {"store", "status"}, {"store", "init"}} {
			h.run(command...)
			if said := h.stderr.String() + h.stdout.String(); strings.Contains(said, value[:20]) {
				t.Errorf("%q with it in T2_CRED_%s: %s", command, name, said)
			}
		}
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
