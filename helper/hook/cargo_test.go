package hook

import (
	"encoding/json"
	"strings"
	"testing"
)

func cargoRequest(t testing.TB, index string) string {
	text, err := json.Marshal(map[string]any{"v": 1, "kind": "get", "operation": "read", "registry": map[string]string{"index-url": index}})
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

func TestCargo_hostileInput(t *testing.T) {
	good := strings.TrimSuffix(cargoRequest(t, "sparse+https://tool.example.org/index/"), "\n")
	for name, c := range map[string]struct{ stdin, want string }{
		"no request":     {"", ""},
		"no line end":    {good, `"token":"Bearer token-1"`},
		"CR":             {good + "\r\n", "a control character is in it"},
		"NUL":            {good + "\x00\n", "a control character is in it"},
		"NUL in the URL": {strings.Replace(good, "index/", `index/\u0000`, 1) + "\n", "url-not-supported"},
		"oversize":       {`{"v":1,"args":["` + strings.Repeat("x", maxInput) + `"]}` + "\n" + good + "\n", "longer than 65536 bytes"},
		"deep":           {strings.Repeat(`{"a":`, maxInput/6) + "\n", "cut off"},
		"wrong type":     {strings.Replace(good, `"get"`, `["get"]`, 1) + "\n", `\"kind\" is not what the protocol has there`},
		"no version":     {strings.Replace(good, `"v":1`, `"w":1`, 1) + "\n", "version 0 of the protocol"},
		"bare argument":  {strings.Replace(good, `"v":1`, `"v":1,"args":["--profile"]`, 1) + "\n", "is not --profile NAME"},
	} {
		g := &toolGetter{hosts: []string{"tool.example.org"}}
		stdout, _, err := runTool(cargo, g, []string{"--cargo-plugin"}, nil, c.stdin)
		hello, answer, _ := strings.Cut(stdout, "\n")
		if hello != `{"v":[1]}` || err != nil || !strings.Contains(answer, c.want) || strings.Count(answer, "\n") > 1 || c.want == "" && answer != "" {
			t.Errorf("%s: %q, %v", name, stdout, err)
		}
	}
	if _, _, err := runTool(cargo, &toolGetter{}, nil, nil, good); err == nil || !strings.HasPrefix(err.Error(), "usage: ") {
		t.Errorf("without %s: %v", cargoFlag, err)
	}
}

func TestCargo_tokenWithoutExpiry(t *testing.T) {
	g := &toolGetter{hosts: []string{"tool.example.org"}, noExpiry: true}
	stdout, _, _ := runTool(cargo, g, []string{"--cargo-plugin"}, nil, cargoRequest(t, "sparse+https://tool.example.org/"))
	if want := `{"Ok":{"kind":"get","token":"Bearer token-1","cache":"session","operation_independent":true}}`; !strings.Contains(stdout, want) {
		t.Errorf("%s", stdout)
	}
}

// FuzzCargo: whatever comes, each line gets at most one answer, which is JSON.
func FuzzCargo(f *testing.F) {
	f.Add(cargoRequest(f, "sparse+https://tool.example.org/index/"))
	f.Add(cargoRequest(f, "sparse+https://eviltool.example.org/index/") + "{}\n\n")
	f.Add(`{"v":1,"registry":{"index-url":"https://tool.example.org"},"kind":"login","token":"x","args":["--profile","x"]}`)
	f.Fuzz(func(t *testing.T, stdin string) {
		g := &toolGetter{hosts: []string{"tool.example.org"}}
		stdout, _, err := runTool(cargo, g, []string{"--cargo-plugin"}, nil, stdin)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
		if lines[0] != `{"v":[1]}` || len(lines)-1 > strings.Count(stdin, "\n")+1 {
			t.Fatalf("%d lines for %q: %q", len(lines), stdin, stdout)
		}
		for _, line := range lines[1:] {
			var answer cargoAnswer
			if err := json.Unmarshal([]byte(line), &answer); err != nil || (answer.Ok == nil) == (answer.Err == nil) {
				t.Fatalf("%q is no answer: %v", line, err)
			}
			if answer.Ok != nil && len(g.log) == 0 {
				t.Fatalf("a token out of nowhere for %q", stdin)
			}
		}
	})
}

func cargoWays() []way { return []way{cargoWay("get"), cargoWay("login")} }

func cargoWay(kind string) way {
	const hello = "{\"v\":[1]}\n"
	before := `{"v":1,"kind":"` + kind + `","operation":"read","registry":{`
	return way{
		name: "cargo " + kind, protocol: cargo, call: toStdin(cargoFlag),
		says: asJSON(before+`"index-url":`, "sparse+", "}}\n"),
		more: func(value string) string {
			return before + `"index-url":"sparse+https://tool.example.org/"},"colour":"` + value + "\"}\n"
		},
		twice:   pair(before, "index-url", "sparse+", "}}\n"),
		notMine: hello + `{"Err":{"kind":"url-not-supported"}}` + "\n",
		refusal: func(stdout string, err error) bool {
			answers, ok := strings.CutPrefix(stdout, hello)
			for line := range strings.Lines(answers) {
				ok = ok && (strings.HasPrefix(line, `{"Err":{"kind":"other",`) || line == `{"Err":{"kind":"operation-not-supported"}}`+"\n")
			}
			return ok && err == nil && answers != ""
		},
	}
}
