package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/helper"
)

// hostileFile is, in the folder of each protocol, a line for each attack and a letter
// for each of the protocol's ways to ask. Every letter was thought about once; an
// attack without a letter is a failure.
const hostileFile = "hostile.txt"

// The letters. What is none of these fails whatever the table says.
const (
	gaveToken = 'T' // the token, or keys for it, for a host of the profile's
	dropped   = 'D' // the cached token was dropped, since that host refused it
	notMine   = '-' // this protocol's own words for "ask somebody else", to the byte
	refused   = '!' // an error: of usage, or in this protocol's words; no token
	byHand    = 'P' // the token of the profile that was named, since a tool that asks for one place says which
	nothing   = '0' // no answer to no question
	cannot    = '.' // this way to ask has no room for the attack
)

// hostileHosts are the profile's hosts.
var hostileHosts = []string{"tool.example.org", "*.wild.example.org", "[2001:db8::1]:8443", "xn--bcher-kva.example.org"}

// An attack is a place that may not be ours, or what is done to a request for one
// that is. text is empty where a way has no room for it.
type attack struct {
	name string
	ours string // the one host that the token may go to, anywhere, or empty
	text func(w way) (text string, can bool)
}

// anywhere is of a call without a place, as a person makes it.
const anywhere = "anywhere"

func attacks(t *testing.T) (all []attack) {
	at := func(name, ours, scheme, host string) attack {
		return attack{name, ours, func(w way) (string, bool) { return w.says(scheme, host), scheme == "https" || !w.tls }}
	}
	for _, host := range []string{"tool.example.org", "TOOL.example.org", "tool.example.org:443", "a.wild.example.org", "[2001:db8::1]:8443", "[2001:DB8::1]:8443", "xn--bcher-kva.example.org"} {
		hostname := strings.ToLower(mustURL(t, "https://"+host).Hostname())
		all = append(all, at(fmt.Sprintf("ours: %+q", host), hostname, "https", host))
	}
	all = append(all, at("ours: HTTPS", "tool.example.org", "HTTPS", "tool.example.org"))
	for _, scheme := range []string{"http", "ftp", "ssh", "file", "", " https", "https\x00"} {
		all = append(all, at(fmt.Sprintf("scheme %q", scheme), "", scheme, "tool.example.org"))
	}
	for _, host := range lookalikes {
		all = append(all, at(fmt.Sprintf("host %+.40q", host), "", "https", host))
	}
	done := func(name, ours string, do func(w way, good string) string) {
		all = append(all, attack{name, ours, func(w way) (string, bool) { return do(w, w.says("https", "tool.example.org")), true }})
	}
	for _, end := range []string{"\n", "\r", "\r\n", "\x00", "\t", "\x1b", "\x7f", " "} {
		done(fmt.Sprintf("%q at the end", end), "tool.example.org", func(_ way, good string) string { return good + end })
	}
	done("CR LF for each LF", "tool.example.org", func(_ way, good string) string { return strings.ReplaceAll(good, "\n", "\r\n") })
	done("cut off in the host", "", func(_ way, good string) string { return good[:strings.Index(good, "example")+len("example.o")] })
	done("nothing", anywhere, func(way, string) string { return "" })
	done("a line end alone", "", func(way, string) string { return "\n" })
	keys := func(name, ours string, build func(w way) string) {
		all = append(all, attack{name, ours, func(w way) (string, bool) {
			if w.more == nil || w.twice == nil {
				return "", false
			}
			return build(w), true
		}})
	}
	keys("an unknown key", "tool.example.org", func(w way) string { return w.more("red") })
	keys("an unknown key of 2 MiB", "", func(w way) string { return w.more(strings.Repeat("x", 2<<20)) })
	keys("twice, theirs first", "", func(w way) string { return w.twice("evil.org", "tool.example.org") })
	keys("twice, ours first", "", func(w way) string { return w.twice("tool.example.org", "evil.org") })
	keys("twice the same", "", func(w way) string { return w.twice("tool.example.org", "tool.example.org") })
	return all
}

// A guard gives tokens as a toolGetter does, and fails the test when it is asked
// for one that it must not give.
type guard struct {
	*toolGetter
	t     *testing.T
	about string
	ours  string
}

func (g guard) watch(r helper.Request, err error) {
	switch {
	case r.URL == nil && g.ours == anywhere:
	case r.URL == nil:
		g.t.Errorf("%s: a token was wanted for no place", g.about)
	case err == nil && (g.ours == "" || !strings.EqualFold(r.URL.Hostname(), g.ours) || r.URL.Scheme != "https"):
		g.t.Errorf("%s: it would go to %q", g.about, r.URL)
	}
}

func (g guard) Get(ctx context.Context, r helper.Request) (helper.Credential, error) {
	c, err := g.toolGetter.Get(ctx, r)
	g.watch(r, err)
	return c, err
}

func (g guard) Serves(ctx context.Context, r helper.Request) error {
	err := g.toolGetter.Serves(ctx, r)
	g.watch(r, err)
	return err
}

func (g guard) Reject(ctx context.Context, r helper.Request, token string) error {
	err := g.toolGetter.Reject(ctx, r, token)
	g.watch(r, err)
	return err
}

// Derive makes keys of the token without an STS.
func (g guard) Derive(ctx context.Context, r helper.Request, _ helper.Derivation) (helper.Derived, error) {
	c, err := g.Get(ctx, r)
	return helper.Derived{Value: `{"Version":1,"SessionToken":"` + c.Token + `"}`}, err
}

// meet is one call under attack, and the letter of what came of it.
func (w way) meet(t *testing.T, a attack, text string) rune {
	about := w.name + ", " + a.name
	if w.trims && strings.TrimRight(text, " \t\r\n") == w.says("https", "tool.example.org") {
		a.ours = "tool.example.org"
	}
	g := guard{&toolGetter{hosts: hostileHosts}, t, about, a.ours}
	var out, errs bytes.Buffer
	c := newCall(w.protocol, g.toolGetter)
	c.Stdout, c.Stderr, c.Getter, c.Deriver = &out, &errs, g, g
	c.Hosts = func() ([]string, error) { return nil, errors.New("not to be asked for") }
	w.call(c, text)
	err := w.protocol.Serve(context.Background(), c)
	stdout := out.String()
	refusal := w.refusal
	if refusal == nil {
		refusal = func(stdout string, err error) bool { return stdout == "" && errors.Is(err, ErrUsage) }
	}
	if errs.Len() > 0 {
		t.Errorf("%s: it says %q", about, errs.String())
	}
	switch {
	case strings.Contains(stdout, "token-"):
		if a.ours == "" || err != nil {
			t.Errorf("%s: the token in %q, %v", about, stdout, err)
		}
		if a.ours == anywhere {
			return byHand
		}
		return gaveToken
	case len(g.log) > 0 && g.rejected > 0:
		return dropped
	case refusal(stdout, err):
		return refused
	case w.isNotMine(stdout, err) && len(g.log) == 0 && strings.Trim(text, "\n") == "":
		return nothing
	case w.isNotMine(stdout, err):
		return notMine
	case text == "" && err == nil && (stdout == "" || stdout == "{\"v\":[1]}\n"):
		return nothing
	}
	t.Errorf("%s: neither an answer of the protocol's nor a refusal: %q, %v", about, stdout, err)
	return '?'
}

func (w way) isNotMine(stdout string, err error) bool {
	if w.saysNotMine != nil {
		return w.saysNotMine(stdout, err)
	}
	return stdout == w.notMine && (err == nil && w.notMineErr == nil || w.notMineErr != nil && errors.Is(err, w.notMineErr))
}

// TestHostile has every protocol meet every attack: what comes of it is what the
// protocol's table says, and the token never goes anywhere but to the profile's own
// host.
func TestHostile(t *testing.T) {
	for _, p := range Protocols {
		t.Run(p.Name, func(t *testing.T) {
			all := slices.DeleteFunc(ways(), func(w way) bool { return w.protocol.Name != p.Name })
			if len(all) == 0 {
				t.Fatal("it has no row in ways")
			}
			meetAll(t, filepath.Join("testdata", p.Name, hostileFile), all)
		})
	}
}

func meetAll(t *testing.T, table string, all []way) {
	want, header := readHostileTable(t, table, all)
	got := map[string]string{}
	var names []string
	for _, a := range attacks(t) {
		var letters strings.Builder
		for _, w := range all {
			letter := cannot
			if text, can := a.text(w); can {
				letter = w.meet(t, a, text)
			}
			letters.WriteRune(letter)
		}
		if _, twice := got[a.name]; twice {
			t.Errorf("two attacks are %s", a.name)
		}
		got[a.name] = letters.String()
		names = append(names, a.name)
		if !*update && got[a.name] != want[a.name] {
			t.Errorf("%s is answered %q, the table says %q", a.name, got[a.name], want[a.name])
		}
	}
	if *update {
		writeHostileTable(t, table, header, names, got)
		return
	}
	for name := range maps.Keys(want) {
		if _, ok := got[name]; !ok {
			t.Errorf("%s is in the table, and is no attack", name)
		}
	}
}

// TestHostile_cutOff has requests end anywhere.
func TestHostile_cutOff(t *testing.T) {
	for _, w := range ways() {
		for _, host := range []string{"tool.example.org", "tool.example.org.evil.org", "a.wild.example.org.evil.org"} {
			good := w.says("https", host)
			for n := range len(good) - 1 {
				text := good[:n+1]
				a := attack{name: fmt.Sprintf("cut off to %q", text)}
				if name := "tool.example.org"; strings.HasSuffix(text, name) || host == name && strings.Contains(text, name) {
					a.ours = name // a whole request, for all that can be told
				} else if name = "a.wild.example.org"; strings.HasSuffix(text, name) {
					a.ours = name
				}
				w.meet(t, a, text)
			}
		}
	}
}

// A protocol that takes what a tool says from standard input, arguments or the
// environment has a Fuzz target of its name. An option is what a person writes down.
func TestEveryParserIsFuzzed(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(text)
	}
	parsers := 0
	for _, w := range ways() {
		c := newCall(w.protocol, &toolGetter{})
		before := maps.Clone(c.Option)
		w.call(c, "a text")
		if !maps.Equal(before, c.Option) && len(c.Args) == 0 {
			continue
		}
		parsers++
		name := w.protocol.Name
		if target := "func Fuzz" + strings.ToUpper(name[:1]) + name[1:] + "("; !strings.Contains(source.String(), target) {
			t.Errorf("%s: there is no %s…)", w.name, target)
		}
	}
	if parsers < 12 {
		t.Errorf("only %d ways are taken for parsers", parsers)
	}
}

// nameWidth is the width of the table's first column.
const nameWidth = 52

func hostileHeader(all []way) string {
	var b strings.Builder
	b.WriteString("# What comes of each attack on each way to ask for a token:\n" +
		"# T the token, D the cached one dropped, P the profile's, by hand, - not mine, ! refused, 0 nothing, . no room for it.\n")
	for n, w := range all {
		fmt.Fprintf(&b, "#%*s%s %s\n", nameWidth-1, "", strings.Repeat("|", n)+"."+strings.Repeat(" ", len(all)-n-1), w.name)
	}
	return b.String()
}

func readHostileTable(t *testing.T, table string, all []way) (want map[string]string, header string) {
	t.Helper()
	header, want = hostileHeader(all), map[string]string{}
	text, err := os.ReadFile(table)
	if err != nil && !*update {
		t.Fatal(err)
	}
	lines, ok := strings.CutPrefix(string(text), header)
	if !ok && !*update {
		t.Errorf("%s does not begin with\n%s", table, header)
	}
	for line := range strings.Lines(lines) {
		if len(line) > nameWidth {
			want[strings.TrimRight(line[:nameWidth], " ")] = strings.TrimRight(line[nameWidth:], "\n")
		}
	}
	return want, header
}

func writeHostileTable(t *testing.T, table, header string, names []string, got map[string]string) {
	t.Helper()
	var b strings.Builder
	b.WriteString(header)
	for _, name := range names {
		fmt.Fprintf(&b, "%-*s%s\n", nameWidth, name, got[name])
	}
	if err := os.WriteFile(table, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
