package hook

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

func cargoLine(t testing.TB, index string) string {
	text, err := json.Marshal(map[string]any{"v": 1, "kind": "get", "operation": "read", "registry": map[string]string{"index-url": index}})
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

func TestCargo_hostileInput(t *testing.T) {
	good := strings.TrimSuffix(cargoLine(t, "sparse+https://tool.example.org/index/"), "\n")
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

// TestCargo_timeUpAfterAnAnswer is no failure: cargo has what it asked for.
func TestCargo_timeUpAfterAnAnswer(t *testing.T) {
	late := errors.New("the time was up")
	for in, want := range map[io.Reader]error{
		strings.NewReader(cargoLine(t, "sparse+https://tool.example.org/index/")): nil, strings.NewReader(""): late,
	} {
		var out strings.Builder
		c := newCall(cargo, &toolGetter{hosts: []string{"tool.example.org"}})
		c.Args, c.Stdin, c.Stdout = []string{cargoFlag}, io.MultiReader(in, iotest.ErrReader(late)), &out
		if err := cargo.Serve(t.Context(), c); !errors.Is(err, want) || want == nil && !strings.Contains(out.String(), `"token":"Bearer token-1"`) {
			t.Errorf("%q, %v", out.String(), err)
		}
	}
}

func TestCargo_tokenWithoutExpiry(t *testing.T) {
	g := &toolGetter{hosts: []string{"tool.example.org"}, noExpiry: true}
	stdout, _, _ := runTool(cargo, g, []string{"--cargo-plugin"}, nil, cargoLine(t, "sparse+https://tool.example.org/"))
	if want := `{"Ok":{"kind":"get","token":"Bearer token-1","cache":"session","operation_independent":true}}`; !strings.Contains(stdout, want) {
		t.Errorf("%s", stdout)
	}
}

// FuzzCargo: whatever comes, each line gets at most one answer, which is JSON.
func FuzzCargo(f *testing.F) {
	f.Add(cargoLine(f, "sparse+https://tool.example.org/index/"))
	f.Add(cargoLine(f, "sparse+https://eviltool.example.org/index/") + "{}\n\n")
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

// registries answer for each index by its path: the names of hosts for dl and api in
// /dl=HOST/api=HOST/, else the index's own. A path with "private" wants the token.
type registries struct{}

func (registries) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := func(status int, body string) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{"Location": {"https://tool.example.org/index/config.json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
	path, ok := strings.CutSuffix(r.URL.Path, "/config.json")
	switch {
	case !ok || r.Method != http.MethodGet:
		return answer(404, "")
	case strings.Contains(path, "private") && r.Header.Get("Authorization") != "Bearer token-1":
		return answer(401, "who are you?")
	case !strings.Contains(path, "private") && r.Header.Get("Authorization") != "":
		return nil, errors.New("the token was sent to an index that did not ask for it")
	case strings.Contains(path, "gone"):
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused\x1b[31m")}
	case strings.Contains(path, "status="):
		status, _ := strconv.Atoi(path[strings.Index(path, "status=")+len("status="):])
		return answer(status, `{"dl":"https://tool.example.org/"}`)
	case strings.Contains(path, "body="):
		return answer(200, path[strings.Index(path, "body=")+len("body="):])
	case strings.Contains(path, "large"):
		return answer(200, `{"dl":"https://tool.example.org/`+strings.Repeat("a", maxIndexConfig)+`"}`)
	}
	config := map[string]any{"dl": "https://" + r.URL.Host + "/dl", "api": "https://" + r.URL.Host, "auth-required": true}
	for part := range strings.SplitSeq(path, "/") {
		if name, host, ok := strings.Cut(part, "="); ok {
			config[name] = "https://" + host + "/"
		}
	}
	text, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	return answer(200, string(text))
}

// TestCargo_index: an index gets the token only if all that cargo would send it to is
// the profile's, and if it is among those of --index.
func TestCargo_index(t *testing.T) {
	const mine = "sparse+https://tool.example.org/index/"
	for _, c := range []struct {
		index string
		args  []string
		want  string // in the answer
		said  string // on standard error
	}{
		{mine, nil, `"token":"Bearer token-1"`, ""},
		{"sparse+https://tool.example.org/private", nil, `"token":"Bearer token-1"`, ""},
		{"sparse+https://tool.example.org/dl=a.wild.example.org/api=tool.example.org:8443/", nil, `"token":"Bearer token-1"`, ""},
		{"sparse+https://tool.example.org/mallory/dl=evil.org/", nil, `{"Err":{"kind":"url-not-supported"}}`, `sends the token to "evil.org" too`},
		{"sparse+https://tool.example.org/private/dl=evil.org/", nil, `{"Err":{"kind":"url-not-supported"}}`, `sends the token to "evil.org" too`},
		{"sparse+https://tool.example.org/mallory/api=evil.org/", nil, `{"Err":{"kind":"url-not-supported"}}`, `sends the token to "evil.org" too`},
		{"sparse+https://tool.example.org/mallory/dl=tool.example.org:444/", nil, `{"Err":{"kind":"url-not-supported"}}`, "sends the token to"},
		{"sparse+https://tool.example.org/mallory/dl=tool.example.org@evil.org/", nil, `{"Err":{"kind":"url-not-supported"}}`, "sends the token to"},
		{"sparse+https://tool.example.org/mallory/dl={crate}.evil.org/", nil, `{"Err":{"kind":"url-not-supported"}}`, "no URL"},
		{`sparse+https://tool.example.org/body={"dl":"http:%2f%2ftool.example.org%2f"}`, nil, `{"Err":{"kind":"url-not-supported"}}`, "sends the token to"},
		{`sparse+https://tool.example.org/body={"dl":"%2f%2fevil.org%2f"}`, nil, `{"Err":{"kind":"url-not-supported"}}`, "sends the token to"},
		{`sparse+https://tool.example.org/body={"dl":"https:%2f%2ftool.example.org%2f","dl":"https:%2f%2fevil.org"}`, nil, `"kind":"other"`, ""},
		{`sparse+https://tool.example.org/body={}`, nil, `"kind":"other"`, ""},
		{`sparse+https://tool.example.org/body=<html>`, nil, `"kind":"other"`, ""},
		{"sparse+https://tool.example.org/large", nil, "larger than 64 KiB", ""},
		{"sparse+https://tool.example.org/gone", nil, `connection refused\\x1b[31m`, ""},
		{"sparse+https://tool.example.org/status=302", nil, "HTTP 302", ""},
		{"sparse+https://tool.example.org/status=404", nil, "HTTP 404", ""},
		{"sparse+https://tool.example.org/private/status=401", nil, "HTTP 401", ""},
		{"sparse+https://tool.example.org/index/?a=b", nil, `{"Err":{"kind":"url-not-supported"}}`, "a query"},
		{"https://tool.example.org/index.git", nil, `{"Err":{"kind":"url-not-supported"}}`, "a git index"},
		{"https://tool.example.org/index.git", []string{"--index", "https://tool.example.org/index.git"}, `"token":"Bearer token-1"`, ""},
		{mine, []string{"--index", mine}, `"token":"Bearer token-1"`, ""},
		{mine, []string{"--index=https://TOOL.example.org:443/index"}, `"token":"Bearer token-1"`, ""},
		{mine, []string{"--index", "sparse+https://tool.example.org/other/", "--index", mine}, `"token":"Bearer token-1"`, ""},
		{"sparse+https://tool.example.org/mallory/", []string{"--index", mine}, `{"Err":{"kind":"url-not-supported"}}`, "not among those of --index"},
		{"sparse+https://tool.example.org/index/../mallory/", []string{"--index", mine}, `{"Err":{"kind":"url-not-supported"}}`, "not among those of --index"},
		{"sparse+https://tool.example.org/index/a", []string{"--index", mine}, `{"Err":{"kind":"url-not-supported"}}`, "not among those of --index"},
		{"sparse+https://tool.example.org/INDEX/", []string{"--index", mine}, `{"Err":{"kind":"url-not-supported"}}`, "not among those of --index"},
		{"sparse+https://tool.example.org/index/?a=b", []string{"--index", mine}, `{"Err":{"kind":"url-not-supported"}}`, "not among those of --index"},
		{"sparse+https://tool.example.org/dl=evil.org/", []string{"--index", "sparse+https://tool.example.org/dl=evil.org/"}, `{"Err":{"kind":"url-not-supported"}}`, "sends the token to"},
		{"sparse+https://evil.org/index/", []string{"--index", "sparse+https://evil.org/index/"}, `{"Err":{"kind":"url-not-supported"}}`, ""},
		{mine, []string{"--index"}, "is not --profile NAME", ""},
		{mine, []string{"--index", ""}, "is not --profile NAME", ""},
	} {
		request, err := json.Marshal(map[string]any{"v": 1, "kind": "get", "operation": "read", "args": c.args, "registry": map[string]string{"index-url": c.index}})
		if err != nil {
			t.Fatal(err)
		}
		g := &toolGetter{hosts: []string{"tool.example.org", "tool.example.org:8443", "*.wild.example.org"}}
		stdout, stderr, err := runTool(cargo, g, []string{cargoFlag}, nil, string(request)+"\n")
		_, answer, _ := strings.Cut(stdout, "\n")
		if err != nil || !strings.Contains(answer, c.want) || !strings.Contains(stderr, c.said) || (c.said == "") != (stderr == "") {
			t.Errorf("%s %q: %q, %q, %v", c.index, c.args, answer, stderr, err)
		}
		if strings.Contains(stdout+stderr, "token-1") != strings.Contains(c.want, "token-1") {
			t.Errorf("%s %q: the token in %q, %q", c.index, c.args, stdout, stderr)
		}
	}
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
