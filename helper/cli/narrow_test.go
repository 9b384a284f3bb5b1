package cli

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

// cmdClaims compares claims of the one JWT in a file, a part of a tool's answer perhaps:
// claims FILE NAME=VALUE…. A list is its values with spaces between.
func cmdClaims(ts *testscript.TestScript, _ bool, args []string) {
	for _, problem := range wrongClaims(ts.ReadFile(args[0]), args[1:]) {
		ts.Fatalf("%s", problem)
	}
}

// cmdActor has the issuer's access tokens carry a claim from now on: actor CLAIM JSON.
func cmdActor(ts *testscript.TestScript, _ bool, args []string) {
	var value any
	ts.Check(json.Unmarshal([]byte(args[1]), &value))
	here(ts).issuer.Inject(oidctest.Fault{Endpoint: oidctest.Token, Token: func(_ *oidctest.Call, d *oidctest.Draft) {
		if d.Claims["typ"] == "Bearer" {
			d.Claims[args[0]] = value
		}
	}})
}

// wrongClaims says which claims of the one JWT in a text are not as wanted.
func wrongClaims(text string, want []string) (problems []string) {
	jwt := regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]+`).FindAllString(text, -1)
	if len(jwt) != 1 {
		return []string{fmt.Sprintf("there are %d JWTs, not one", len(jwt))}
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(jwt[0], ".")[1])
	if err != nil {
		return []string{err.Error()}
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		return []string{err.Error()}
	}
	for _, w := range want {
		name, value, _ := strings.Cut(w, "=")
		if got := strings.Trim(fmt.Sprint(claims[name]), "[]"); got != value {
			problems = append(problems, fmt.Sprintf("%s is %q, not %q", name, got, value))
		}
	}
	return problems
}

// TestConfig_narrowLine: what is wrong with a table is said with its line, in either file.
func TestConfig_narrowLine(t *testing.T) {
	text := []byte("[profiles.a]\nhosts = [\"x\"]\n[[profiles.a.narrow]]\nhosts = [\"x\"]\n[profiles.b]\n[[profiles.a.narrow]]\nscopes = []\nhosts = [\"y\"]\n")
	for _, tt := range []struct {
		n    int
		key  string
		want int
	}{{1, "hosts", 4}, {2, "hosts", 8}, {2, "scopes", 7}, {2, "audience", 6}, {3, "hosts", 0}} {
		if got := lineInNth(text, []string{"profiles", "a", "narrow"}, tt.n, tt.key); got != tt.want {
			t.Errorf("table %d, %s: line %d, not %d", tt.n, tt.key, got, tt.want)
		}
	}
}

// TestConfig_narrow: tables that would have no meaning are refused, each at its line.
func TestConfig_narrow(t *testing.T) {
	const head = "issuer = 'https://i.example.org'\nclient_id = 'x'\nhosts = ['api.example.org', 'q.example.org:8443', '*.wild.example.org']\n[[narrow]]\n"
	for name, tt := range map[string]struct {
		text, want string
		line       int
	}{
		"good":              {"hosts = ['api.example.org', '*.a.wild.example.org']\nscopes = ['gep']", "", 0},
		"no hosts":          {"scopes = ['gep']", "hosts is missing", 4},
		"nothing narrower":  {"hosts = ['api.example.org']", "scopes or audience is missing", 4},
		"another host":      {"scopes = ['gep']\nhosts = ['evil.example.org']", "evil.example.org is not among the profile's hosts", 6},
		"another port":      {"scopes = ['gep']\nhosts = ['q.example.org']", "q.example.org is not among the profile's hosts", 6},
		"above a wildcard":  {"scopes = ['gep']\nhosts = ['wild.example.org']", "wild.example.org is not among the profile's hosts", 6},
		"a wider wildcard":  {"scopes = ['gep']\nhosts = ['*.example.org']", "*.example.org is not among the profile's hosts", 6},
		"no host at all":    {"scopes = ['gep']\nhosts = ['https://api.example.org/x']", "would never match", 6},
		"twice":             {"scopes = ['gep']\nhosts = ['api.example.org']\n[[narrow]]\naudience = ['a']\nhosts = ['API.example.org']", "API.example.org is in table 1 already", 9},
		"not one scope":     {"hosts = ['api.example.org']\nscopes = ['gep ellip']", `"gep ellip" is not one scope`, 6},
		"not one audience":  {"hosts = ['api.example.org']\naudience = ['']", `"" is not one scope or audience`, 6},
		"an unknown key":    {"hosts = ['api.example.org']\nscope = ['gep']", "unknown key narrow.scope", 6},
		"a string for list": {"hosts = 'api.example.org'", "narrow.hosts must be a list", 5},
	} {
		var p profileConfig
		text := []byte(head + tt.text + "\n")
		err := decodeStrictly("FILE", text, &p)
		place := ""
		if err == nil {
			if err = checkProfile("gep", p); err != nil {
				place = atKey("FILE", text, err)
			}
		}
		switch {
		case tt.want == "" && err != nil, tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v", name, err)
		case place != "" && place != fmt.Sprintf("FILE:%d", tt.line),
			place == "" && err != nil && !strings.Contains(err.Error(), fmt.Sprintf("line %d:", tt.line)):
			t.Errorf("%s: at %q, not line %d: %v", name, place, tt.line, err)
		}
	}
}

// TestConfig_narrowIsKept: what profile edit and a hand write means the same.
func TestConfig_narrowIsKept(t *testing.T) {
	p := profileConfig{Issuer: "https://i.example.org", ClientID: "x", Hosts: []string{"a.example.org"}, Narrow: []narrowConfig{
		{Hosts: []string{"a.example.org"}, Scopes: []string{"gep"}, Audience: []string{"api"}},
	}}
	var file profileConfig
	if err := decodeStrictly("FILE", profileText(p), &file); err != nil || fmt.Sprint(file) != fmt.Sprint(p) {
		t.Errorf("%v: %v\n%s", err, file, profileText(p))
	}
	byHand, err := parseByHand("FILE", profileTable("gep", p))
	if err != nil || fmt.Sprint(byHand.Profiles["gep"]) != fmt.Sprint(p) {
		t.Errorf("%v: %v\n%s", err, byHand.Profiles, profileTable("gep", p))
	}
}
