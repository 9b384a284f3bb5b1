package hook

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
)

var update = flag.Bool("update", false, "write what comes of the transcripts and attacks into testdata; then read the difference")

// The parts of a transcript. A tool's call: args (words), option and env (NAME=VALUE
// a line), stdin, the kind of failure that the Getter ends with, and the status and
// body that an STS answers with, whose URL is $STS. What came of it stands in results.
var (
	inputs  = []string{"args", "option", "env", "stdin", "fails", "sts"}
	results = []string{"stdout", "stdout without line end", "stderr", "error", "hint", "asked", "sts asked"}
)

// toolFailures are what a Getter may end with, by the word of a transcript.
var toolFailures = map[string]error{
	"login":  &hint.Error{Kind: helper.ErrLoginRequired, Detail: "nothing is stored for gep/default", Remedy: hint.Say("t2-cred exchange --profile gep --token-file FILE")},
	"issuer": errors.New("refresh: the issuer did not answer"),
}

// TestTranscripts plays every transcript below testdata, to the byte. A folder that
// is no protocol's, a part of another name, and a protocol without enough transcripts
// are failures: a transcript that nobody plays would prove nothing.
func TestTranscripts(t *testing.T) {
	dirs, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	played := map[string]int{}
	for _, dir := range dirs {
		if dir.Name() == "fuzz" { // seeds that go test -fuzz found
			continue
		}
		n := slices.IndexFunc(Protocols, func(p *Protocol) bool { return p.Name == dir.Name() })
		if n < 0 {
			t.Errorf("testdata/%s: no protocol has this name", dir.Name())
			continue
		}
		files, err := os.ReadDir(filepath.Join("testdata", dir.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			path := filepath.Join("testdata", dir.Name(), file.Name())
			switch {
			case filepath.Ext(path) == ".txtar":
				played[dir.Name()]++
				t.Run(dir.Name()+"/"+strings.TrimSuffix(file.Name(), ".txtar"), func(t *testing.T) { playTranscript(t, *Protocols[n], path) })
			case file.Name() != hostileFile:
				t.Errorf("%s: neither a transcript nor %s", path, hostileFile)
			}
		}
	}
	for _, p := range Protocols {
		if played[p.Name] < 3 {
			t.Errorf("%s has %d transcripts, fewer than 3", p.Name, played[p.Name])
		}
	}
}

func playTranscript(t *testing.T, p Protocol, path string) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	part := map[string]string{}
	for _, f := range archive.Files {
		if _, twice := part[f.Name]; twice || !slices.Contains(inputs, f.Name) && !slices.Contains(results, f.Name) {
			t.Errorf("the part %q is not known, or there twice", f.Name)
		}
		part[f.Name] = string(f.Data)
	}
	got := callTranscript(t, p, part)
	if _, ok := part["stdout without line end"]; ok {
		got["stdout without line end"], got["stdout"] = got["stdout"]+"\n", ""
	}
	for _, name := range results {
		if got[name] != part[name] && !*update {
			t.Errorf("%s is\n%s, not\n%s", name, got[name], part[name])
		}
	}
	if !*update {
		return
	}
	archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return slices.Contains(results, f.Name) })
	for _, name := range results {
		if got[name] != "" {
			archive.Files = append(archive.Files, txtar.File{Name: name, Data: []byte(got[name])})
		}
	}
	if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

// callTranscript makes the call of a transcript.
func callTranscript(t *testing.T, p Protocol, part map[string]string) (got map[string]string) {
	t.Helper()
	g := &toolGetter{hosts: []string{"tool.example.org", "tool.example.org:8443", "*.wild.example.org"}}
	if kind := strings.TrimSpace(part["fails"]); kind != "" {
		if g.fails = toolFailures[kind]; g.fails == nil {
			t.Fatalf("%q is no kind of failure", kind)
		}
	}
	var sts *stsServer
	named := strings.NewReplacer()
	if answer := part["sts"]; answer != "" {
		sts = newSTS(t)
		status, body, _ := strings.Cut(answer, "\n")
		var err error
		if sts.status, err = strconv.Atoi(status); err != nil {
			t.Fatal(err)
		}
		sts.body = body
		host := strings.TrimPrefix(sts.URL, "http://")
		g.hosts = append(g.hosts, host)
		part["option"] = strings.ReplaceAll(part["option"], "$STS", sts.URL)
		named = strings.NewReplacer(sts.URL, "$STS", host, "STS")
	}
	call := newToolCall(p, g)
	call.args, call.option, call.env, call.stdin = strings.Fields(part["args"]), pairs(part["option"]), pairs(part["env"]), part["stdin"]
	stdout, stderr, err := call.run()
	got = map[string]string{"stdout": stdout, "stderr": stderr, "asked": strings.Join(append(g.log, ""), "\n")}
	if err != nil {
		got["error"] = err.Error() + "\n"
		if hint := hintOf(err); hint != "" {
			got["hint"] = hint + "\n"
		}
	}
	if sts != nil {
		got["sts asked"] = strings.Join(sts.asked, "")
	}
	for name, text := range got {
		got[name] = named.Replace(text)
	}
	return got
}

// pairs are the lines NAME=VALUE.
func pairs(text string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		all[name] = value
	}
	return all
}

// A toolCall is what a tool does.
type toolCall struct {
	protocol    Protocol
	getter      *toolGetter
	args        []string
	option, env map[string]string
	stdin       string
}

func newToolCall(p Protocol, g *toolGetter) *toolCall { return &toolCall{protocol: p, getter: g} }

// run has the protocol answer.
func (c *toolCall) run() (stdout, stderr string, err error) {
	var out, errs strings.Builder
	call := newCall(c.protocol, c.getter)
	call.Args, call.Stdin, call.Stdout, call.Stderr = c.args, strings.NewReader(c.stdin), &out, &errs
	call.Getenv = func(name string) string { return c.env[name] }
	for name, value := range c.option {
		if _, known := call.Option[name]; !known {
			panic(fmt.Sprintf("%s is not an option of %s", name, c.protocol.Name))
		}
		call.Option[name] = value
	}
	err = c.protocol.Serve(context.Background(), call)
	return out.String(), errs.String(), err
}
