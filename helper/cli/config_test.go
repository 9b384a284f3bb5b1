package cli

import (
	"context"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"
)

const sample = `# my profiles
default_profile = "gep"
store = "keyring" # the desktop's

# the platform
[profiles.gep]
issuer = "https://iam.example.org/realms/master"
client_id = "ellip-test-ades" # ours
scopes = ["openid", "offline_access"]

# another one
[profiles.other]
issuer = "https://other.example.org"
client_id = "me"
`

// TestConfig_lockIsWaitedFor: who interrupts the wait is not told that the
// configuration is wrong, nor is who gives up.
func TestConfig_lockIsWaitedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	held := flock.New(path + ".lock")
	if err := held.Lock(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Unlock() }()
	a := &app{flags: globals{config: path}}
	change := func(*config) ([]byte, error) { t.Error("changed without the lock"); return nil, nil }
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.changeConfig(interrupted, change); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	late, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := a.changeConfig(late, change)
	if code, _ := classify(err); code != exitBusy || !strings.Contains(err.Error(), path) {
		t.Errorf("the lock is held: exit code %d, %v", code, err)
	}
}

func TestConfig_isStrict(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"unknown top key":     {"sotre = \"file\"\n" + sample, "line 1: unknown key sotre"},
		"unknown profile key": {strings.Replace(sample, "scopes =", "scope =", 1), "line 9: unknown key profiles.gep.scope"},
		"unknown table":       {sample + "[porfiles.x]\nissuer = \"https://x\"\n", "unknown key porfiles"},
		"syntax":              {"default_profile = gep\n", "line 1"},
		"wrong type":          {"default_profile = 3\n", "line 1: cannot decode"},
		"no issuer":           {"[profiles.a]\nclient_id = \"x\"\n", "profile a: issuer is missing"},
		"no client":           {"[profiles.a]\nissuer = \"https://x\"\n", "profile a: client_id is missing"},
		"bad auth":            {"[profiles.a]\nissuer = \"https://x\"\nclient_id = \"x\"\nclient_auth = \"magic\"\n", `client_auth is "magic"`},
		"bad name":            {"[profiles.\"a b\"]\nissuer = \"https://x\"\nclient_id = \"x\"\n", "is not a name"},
		"relative ca":         {"[profiles.a]\nissuer = \"https://x\"\nclient_id = \"x\"\nca_file = \"ca.pem\"\n", "not an absolute path"},
		"scope with space":    {"[profiles.a]\nissuer = \"https://x\"\nclient_id = \"x\"\nscopes = [\"a b\"]\n", "is not one scope"},
		"dangling default":    {"default_profile = \"nobody\"\n", "there is no such profile"},
	} {
		_, err := parseConfig("config.toml", []byte(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one that says %q", name, err, tt.want)
		}
	}
	if _, err := parseConfig("config.toml", []byte(sample)); err != nil {
		t.Errorf("the sample: %v", err)
	}
}

// TestConfig_keepsWhatPeopleWrote replaces, adds and removes a profile; what is
// not that profile stays to the byte.
func TestConfig_keepsWhatPeopleWrote(t *testing.T) {
	c, err := parseConfig("config.toml", []byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	p := profileConfig{Issuer: "https://new.example.org", ClientID: "new", Scopes: []string{"openid"}}

	replaced := string(c.withProfile("gep", p))
	for _, kept := range []string{"# my profiles\n", "# the desktop's\n", "# the platform\n[profiles.gep]", "# another one\n[profiles.other]\nissuer = \"https://other.example.org\"\n"} {
		if !strings.Contains(replaced, kept) {
			t.Errorf("replacing lost %q:\n%s", kept, replaced)
		}
	}
	if strings.Contains(replaced, "ellip-test-ades") {
		t.Errorf("the old profile is still there:\n%s", replaced)
	}
	again, err := parseConfig("config.toml", []byte(replaced))
	if err != nil || again.Profiles["gep"].ClientID != "new" || again.Profiles["other"].ClientID != "me" {
		t.Errorf("replaced text reads as %+v, %v", again, err)
	}

	added := string(c.withProfile("third", p))
	if !strings.HasPrefix(added, sample) {
		t.Errorf("adding changed what was there:\n%s", added)
	}
	more, err := parseConfig("config.toml", []byte(added))
	if err != nil {
		t.Fatal(err)
	}
	removed, ok := more.withoutProfile("third")
	if !ok || strings.TrimSpace(string(removed)) != strings.TrimSpace(sample) {
		t.Errorf("adding and removing left\n%s", removed)
	}

	first := (&config{path: "config.toml"}).withProfile("one", p)
	if got, err := parseConfig("config.toml", first); err != nil || got.DefaultProfile != "one" {
		t.Errorf("the first profile is not the default: %v\n%s", err, first)
	}
	gone, _ := c.withoutProfile("gep")
	if got, err := parseConfig("config.toml", gone); err != nil || got.DefaultProfile != "" {
		t.Errorf("removing the default profile left %v\n%s", err, gone)
	}
}

// TestConfig_ofManyProfilesIsReadInPart: what is asked for is read strictly, with
// its right line, and costs the same among thousands.
func TestConfig_ofManyProfilesIsReadInPart(t *testing.T) {
	var b strings.Builder
	b.WriteString("default_profile = \"p7\"\nstore = \"file\"\n")
	for n := range 1000 {
		fmt.Fprintf(&b, "\n[profiles.p%d]\nissuer = \"https://iam%d.example.org\"\nclient_id = \"c%d\"\n", n, n, n)
	}
	c := onlyProfile("config.toml", []byte(b.String()), "")
	if c == nil || c.Store != "file" || len(c.Profiles) != 1 || c.Profiles["p7"].ClientID != "c7" {
		t.Fatalf("the default profile: %+v", c)
	}
	if c = onlyProfile("config.toml", []byte(b.String()), "p999"); c == nil || c.Profiles["p999"].ClientID != "c999" {
		t.Fatalf("a named profile: %+v", c)
	}
	if c = onlyProfile("config.toml", []byte(b.String()), "nobody"); c != nil {
		t.Errorf("a profile that is not there: %+v", c)
	}
	wrong := strings.Replace(b.String(), "client_id = \"c7\"", "client = \"c7\"", 1)
	if c = onlyProfile("config.toml", []byte(wrong), ""); c != nil {
		t.Errorf("an unknown key passes: %+v", c)
	}
	if c = onlyProfile("config.toml", []byte("x = \"\"\"\n[profiles.p]\n\"\"\"\n"), "p"); c != nil {
		t.Error("a table within a string was taken for one")
	}
	part := testing.Benchmark(func(b2 *testing.B) {
		for b2.Loop() {
			onlyProfile("config.toml", []byte(b.String()), "")
		}
	})
	whole := testing.Benchmark(func(b2 *testing.B) {
		for b2.Loop() {
			_, _ = parseConfig("config.toml", []byte(b.String()))
		}
	})
	if part.NsPerOp()*5 > whole.NsPerOp() {
		t.Errorf("a part of it costs %d ns, the whole %d ns", part.NsPerOp(), whole.NsPerOp())
	}
}

func TestConfig_savesThroughLinksAndPrivately(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "dotfiles", "t2.toml"), filepath.Join(dir, "config.toml")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(sample), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	c := &config{path: link, text: []byte(sample)}
	if err := c.save([]byte("store = \"file\"\n")); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(file); string(got) != "store = \"file\"\n" {
		t.Errorf("behind the link: %q", got)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is no link any more: %v %v", info, err)
	}
	if err := c.save([]byte("nonsense = 1\n")); err == nil {
		t.Error("a text that cannot be read back was saved")
	}
}

// fileImports lists a Go file's imports.
func fileImports(path string) ([]string, error) {
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, spec := range f.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

func TestConfig_withStore(t *testing.T) {
	for before, want := range map[string]string{
		"":                            "store = \"file\"\n",
		"# mine\nstore = 'keyring'\n": "# mine\nstore = \"file\"\n",
		"store=\"keyring\" # desk\n[profiles.a]\nissuer = \"x\"\n": "store = \"file\"\n[profiles.a]\nissuer = \"x\"\n",
		"default_profile = \"a\"\n\n# about a\n[profiles.a]\n":     "store = \"file\"\ndefault_profile = \"a\"\n\n# about a\n[profiles.a]\n",
		"[profiles.a]\nstore = 1\n":                                "store = \"file\"\n[profiles.a]\nstore = 1\n",
	} {
		if got := string((&config{text: []byte(before)}).withStore("file")); got != want {
			t.Errorf("%q became %q, want %q", before, got, want)
		}
	}
}
