package cli

import (
	"strings"
	"testing"

	"github.com/terradue/t2-cred/helper/secret"
)

// TestOddClient looks at what may be wrong with a client that was refused. An issuer can
// make any secret, so that most of them must say nothing.
func TestOddClient(t *testing.T) {
	const value = "vK7qZ2mWx9RbT4nYc8LdPj3sHf6uEg1a"
	for secretText, want := range map[string]string{
		value: "", value + "==": "", "a b" + value: "", "x=" + value: "",
		`"` + value + `"`: "quotes", "'" + value: "quotes", "\ufeff" + value: "byte order mark", " " + value: "space", `{"a":1}`: "JSON",
		"CLIENT_SECRET=" + value: "a name and =", "password=x": "a name and =", "the-client": "the client's id",
	} {
		got := oddClient("the-client", secret.Secret(secretText))
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%q: %q, not %q", secretText, got, want)
		}
		if strings.Contains(got, value) {
			t.Errorf("it shows the secret: %q", got)
		}
	}
	if got := oddClient("the client", value); got != "the client's id has a space in it" {
		t.Errorf("%q", got)
	}
}

func TestNameLike(t *testing.T) {
	for typed, want := range map[string]string{
		"my profile": "; did you mean my-profile?", " gep ": "; did you mean gep?", "a/b": "; did you mean a-b?", "über": "; did you mean ber?",
		"": "", "--": "", "https://x": "", "vK7qZ2mWx9RbT4nYc8LdPj3sHf6uEg1a=": "", strings.Repeat("x", 65): "",
	} {
		if got := nameLike(typed); got != want {
			t.Errorf("%q: %q, not %q", typed, got, want)
		}
	}
}

// TestMendLine shows how a line of TOML is written. It never shows what may be a secret.
func TestMendLine(t *testing.T) {
	for line, want := range map[string]string{
		"issuer=https://x":        `write it as: issuer = "https://x"`,
		"issuer = “https://x”":    `write it as: issuer = "https://x"`,
		"issuer = 'https://x":     `write it as: issuer = "https://x"`,
		"profiles:":               "the file is TOML, not YAML: a profile begins with a line [profiles.NAME]",
		"client_secret = hunter2": "mend the line", "[profiles.x": "mend the line", "x": "mend the line", "hosts = [a, b]": "mend the line",
		"ca_file = vK7qZ2mWx9RbT4nYc8LdPj3sHf6uEg1a": `write it as: ca_file = "` + notShown + `"`,
	} {
		if got := mendLine([]byte("[profiles.a]\n"+line+"\n"), 2); got != want {
			t.Errorf("%q: %q, not %q", line, got, want)
		}
	}
	if got := mendLine(nil, 7); got != "mend the line" {
		t.Errorf("%q", got)
	}
}
