package hook

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func bazelRequest(t testing.TB, uri string) string {
	text, err := json.Marshal(map[string]string{"uri": uri})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestBazel_hostileInput(t *testing.T) {
	good := bazelRequest(t, "https://tool.example.org/")
	for name, stdin := range map[string]string{
		"nothing": "", "cut off": good[:len(good)-2], "more": good + good, "NUL": good + "\x00", "no uri": `{"url":"https://tool.example.org/"}`, "other case": `{"URI":"https://tool.example.org/"}`,
		"twice":    `{"uri":"https://evil.org/","uri":"https://tool.example.org/"}`,
		"a list":   `{"uri":["https://tool.example.org/"]}`,
		"null":     `{"uri":null}`,
		"oversize": `{"uri":"https://tool.example.org/","x":"` + strings.Repeat("x", maxInput) + `"}`,
		"deep":     strings.Repeat(`{"a":`, maxInput/6),
	} {
		g := &toolGetter{hosts: []string{"tool.example.org"}}
		stdout, _, err := runTool(bazel, g, []string{"get"}, nil, stdin)
		if stdout != "" || !errors.Is(err, ErrUsage) || len(g.log) > 0 {
			t.Errorf("%s: %q, %v", name, stdout, err)
		}
	}
	for _, args := range [][]string{nil, {"set"}, {"get", "x"}} {
		wantUsage(t, bazel, &toolGetter{}, args, nil)
	}
}

// wantBazelSchema checks an answer with what the specification's schema says:
// headers of lists of strings, and a time of RFC 3339.
func wantBazelSchema(t *testing.T, stdout string) {
	t.Helper()
	var answer struct {
		Headers map[string][]string `json:"headers"`
		Expires *string             `json:"expires"`
	}
	dec := json.NewDecoder(strings.NewReader(stdout))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&answer); err != nil || dec.More() {
		t.Fatalf("%v: %q", err, stdout)
	}
	if answer.Expires != nil {
		if _, err := time.Parse(time.RFC3339, *answer.Expires); err != nil || len(answer.Headers) == 0 {
			t.Errorf("%v: %q", err, stdout)
		}
	}
}

func TestBazel_schema(t *testing.T) {
	for _, uri := range []string{"https://tool.example.org/a?b=c", "https://tool.example.org/google.devtools.build.v1.PublishBuildEvent", "https://other.example.org/", "grpcs://tool.example.org"} {
		for _, noExpiry := range []bool{false, true} {
			g := &toolGetter{hosts: []string{"tool.example.org"}, noExpiry: noExpiry}
			stdout, _, err := runTool(bazel, g, []string{"get"}, nil, bazelRequest(t, uri))
			if err != nil {
				t.Fatal(err)
			}
			wantBazelSchema(t, stdout)
			if strings.Contains(stdout, "token-1") != strings.HasPrefix(uri, "https://tool.") || strings.Contains(stdout, "expires") != (strings.Contains(stdout, "token-1") && !noExpiry) {
				t.Errorf("%s: %q", uri, stdout)
			}
		}
	}
}

// FuzzBazel: whatever comes, the answer is one object of the schema, or none.
func FuzzBazel(f *testing.F) {
	f.Add(bazelRequest(f, "https://tool.example.org/"))
	f.Add(bazelRequest(f, "https://eviltool.example.org/"))
	f.Add(`{"uri":"https://tool.example.org/","more":{"uri":1}}`)
	f.Fuzz(func(t *testing.T, stdin string) {
		g := &toolGetter{hosts: []string{"tool.example.org"}}
		stdout, _, err := runTool(bazel, g, []string{"get"}, nil, stdin)
		if err != nil {
			if stdout != "" {
				t.Fatalf("%q and %v", stdout, err)
			}
			return
		}
		wantBazelSchema(t, stdout)
	})
}

func bazelWays() []way {
	return []way{{
		name: "bazel", protocol: bazel, call: toStdin("get"), says: asJSON(`{"uri":`, "", "}"), notMine: "{}\n",
		more:  func(value string) string { return `{"uri":"https://tool.example.org/","colour":"` + value + `"}` },
		twice: pair("{", "uri", "", "}"),
	}}
}
