package hook

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
)

func runGoogle(t *testing.T, g *toolGetter, args []string, option, env map[string]string) (answer googleAnswer, text string) {
	t.Helper()
	all := map[string]string{"url": "", "min-valid": ""}
	for name, value := range option {
		all[name] = value
	}
	var out, errs bytes.Buffer
	err := google.Serve(context.Background(), &Call{
		Args: args, Option: all, Stdin: strings.NewReader("x"), Stdout: &out, Stderr: &errs, Getter: g, Getenv: func(name string) string { return env[name] },
	})
	if err != nil || errs.Len() > 0 || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("%v, %q, %q", err, errs.String(), out.String())
	}
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil || answer.Version != 1 || answer.Success != (answer.IDToken != "") || answer.Success == (answer.Code != "" && answer.Message != "") {
		t.Errorf("%v: %q", err, out.String())
	}
	return answer, out.String()
}

func TestGoogle_environment(t *testing.T) {
	const types = "urn:ietf:params:oauth:token-type:"
	for _, c := range []struct{ kind, revoke, wantType, wantCode string }{
		{types + "jwt", "0", types + "jwt", ""},
		{types + "id_token", "0", types + "id_token", ""},
		{"", "", types + "jwt", ""},
		{types + "saml2", "0", "", "400"},
		{types + "access_token", "0", "", "400"},
		{"\x1b[31m\n", "0", "", "400"},
		{types + "jwt", "1", "", "400"},
	} {
		g := &toolGetter{}
		answer, text := runGoogle(t, g, nil, nil, map[string]string{"GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE": c.kind, "GOOGLE_EXTERNAL_ACCOUNT_REVOKE": c.revoke})
		if answer.TokenType != c.wantType || answer.Code != c.wantCode || (len(g.log) > 0) != answer.Success {
			t.Errorf("%q, %q: %s, asked %q", c.kind, c.revoke, text, g.log)
		}
	}
	if answer, _ := runGoogle(t, &toolGetter{}, []string{"get"}, nil, nil); answer.Code != "400" {
		t.Errorf("an argument: %+v", answer)
	}
	if answer, text := runGoogle(t, &toolGetter{noExpiry: true}, nil, nil, nil); !answer.Success || strings.Contains(text, "expiration_time") {
		t.Errorf("no expiry: %s", text)
	}
}

func googleWays() []way {
	says := func(code string) func(string, error) bool {
		return func(stdout string, err error) bool { return err == nil && googleSays(stdout, code) }
	}
	// The message names the place.
	return []way{{name: "google", protocol: google, call: toOption("url"), says: asURL, refusal: says("400"), saysNotMine: says("403")}}
}

// googleSays reports whether an answer is a failure with that code.
func googleSays(stdout, code string) bool {
	var answer googleAnswer
	return json.Unmarshal([]byte(stdout), &answer) == nil && !answer.Success && answer.Code == code
}
