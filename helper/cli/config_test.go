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

// newConfig is a configuration of its own, with config.toml and other files by name.
func newConfig(t testing.TB, files map[string]string) *app {
	t.Helper()
	home := t.TempDir()
	a := &app{Env: Env{Now: time.Now, Getenv: func(name string) string {
		return map[string]string{"HOME": home, "XDG_CONFIG_HOME": home, "APPDATA": home}[name]
	}}}
	paths, err := a.configFiles()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(paths.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(filepath.Dir(paths.hand), name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

const (
	oneProfile = "issuer = 'https://one.example.org'\nclient_id = 'one'\n"
	twoProfile = "issuer = 'https://two.example.org'\nclient_id = 'two'\n"
)

// TestConfig_lockIsWaitedFor: a wait that is interrupted or takes too long is not
// blamed on the configuration.
func TestConfig_lockIsWaitedFor(t *testing.T) {
	a := newConfig(t, nil)
	files, _ := a.configFiles()
	path := filepath.Join(files.dir, ".lock")
	held := flock.New(path)
	if err := held.Lock(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Unlock() }()
	change := func(*config) error { t.Error("changed without the lock"); return nil }
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
	for name, tt := range map[string]struct{ text, want, hint string }{
		"unknown top key":     {"sotre = \"file\"\n" + sample, "line 1: unknown key sotre; did you mean store?", ""},
		"unknown profile key": {strings.Replace(sample, "scopes =", "scope =", 1), "line 9: unknown key profiles.gep.scope; did you mean scopes?", ""},
		"unknown table":       {sample + "[porfiles.x]\nissuer = \"https://x\"\n", "unknown key porfiles", ""},
		"syntax":              {"default_profile = gep\n", "line 1", ""},
		"wrong type":          {"default_profile = 3\n", "line 1: default_profile must be a string", ""},
		"words for a list":    {strings.Replace(sample, `["openid", "offline_access"]`, `"openid offline_access" # two`, 1), "line 9: profiles.gep.scopes must be a list", `scopes = ["openid", "offline_access"]`},
		"a secret":            {sample + "client_secret = \"eq7Rb0ZkGm2vWq5xT1nYc8LdPj3sHf6u\"\n", "line 15: unknown key profiles.other.client_secret; a secret does not belong here", "t2-cred profile set-secret NAME"},
		"a pasted secret":     {"eq7Rb0ZkGm2vWq5xT1nYc8LdPj3sHf6u = 1\n" + sample, "line 1: unknown key " + notShown, ""},
		"no issuer":           {"[profiles.a]\nclient_id = \"x\"\n", "config.toml:1: profile a: issuer is missing", ""},
		"no client":           {"[profiles.a]\nissuer = \"https://x\"\n", "profile a: client_id is missing", ""},
		"bad auth":            {"[profiles.a]\nissuer = \"https://x\"\nclient_id = \"x\"\nclient_auth = \"magic\"\n", `client_auth is "magic"`, ""},
		"bad name":            {"[profiles.\"a b\"]\nissuer = \"https://x\"\nclient_id = \"x\"\n", "is not a name", ""},
		"relative ca":         {"[profiles.a]\nissuer = \"https://x\"\nclient_id = \"x\"\nca_file = \"ca.pem\"\n", "config.toml:4: profile a: ca_file is \"ca.pem\", not an absolute path", ""},
		"scope with space":    {"[profiles.a]\nissuer = \"https://x\"\nclient_id = \"x\"\nscopes = [\"a b\"]\n", "config.toml:4: profile a: \"a b\" is not one scope", ""},
		"dangling default":    {"default_profile = \"nobody\"\n", "config.toml:1: default_profile is \"nobody\", and there is no such profile", "t2-cred profile add NAME --issuer URL --client-id ID"},
	} {
		a := newConfig(t, map[string]string{"config.toml": tt.text})
		_, err := a.loadConfig()
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "eq7Rb0ZkGm2") {
			t.Errorf("%s: error %v, want one that says %q", name, err, tt.want)
			continue
		}
		if code, _ := classify(err); code != exitConfig || !strings.Contains(a.hintFor(err), tt.hint) {
			t.Errorf("%s: code %d, hint %q, want %q", name, code, a.hintFor(err), tt.hint)
		}
	}
	if c, err := newConfig(t, map[string]string{"config.toml": sample}).loadConfig(); err != nil || len(c.Profiles) != 2 {
		t.Errorf("the sample: %+v, %v", c, err)
	}
}

// TestConfig_ofManyFiles reads what a person wrote, what commands wrote, and both.
func TestConfig_ofManyFiles(t *testing.T) {
	a := newConfig(t, map[string]string{
		"config.toml": sample, "profiles.d/one.toml": oneProfile, "profiles.d/two.toml": twoProfile,
		"profiles.d/settings.toml": "default_profile = 'one'\nstore = 'file'\n", "profiles.d/notes.txt": "mine", "profiles.d/.one.toml.t2-cred.tmp": "half",
	})
	c, err := a.loadConfig()
	if err != nil || len(c.Profiles) != 4 || c.DefaultProfile != "gep" || c.Store != "keyring" {
		t.Fatalf("config.toml wins: %+v, %v", c, err)
	}
	if c, p, err := a.loadProfile(); err != nil || p.ClientID != "ellip-test-ades" || len(c.Profiles) != 1 {
		t.Errorf("the default profile: %+v, %v", p, err)
	}
	a.flags.profile = "two"
	if c, p, err := a.loadProfile(); err != nil || p.ClientID != "two" || c.Profiles["one"].Issuer != "" {
		t.Errorf("a profile by name: %+v, %v", p, err)
	}

	for name, tt := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"in both places":        {map[string]string{"config.toml": sample, "profiles.d/gep.toml": oneProfile}, []string{"profile gep is in ", "config.toml:6", "gep.toml"}},
		"an unknown key":        {map[string]string{"profiles.d/gep.toml": oneProfile + "scope = []\n"}, []string{"gep.toml: line 3: unknown key scope"}},
		"a missing key":         {map[string]string{"profiles.d/gep.toml": "issuer = 'https://x'\n"}, []string{"gep.toml: profile gep: client_id is missing"}},
		"an unknown setting":    {map[string]string{"profiles.d/settings.toml": "identity_command = ['/x']\n"}, []string{"settings.toml: line 1: unknown key identity_command"}},
		"a default that is not": {map[string]string{"profiles.d/gep.toml": oneProfile, "profiles.d/settings.toml": "default_profile = 'x'\n"}, []string{"settings.toml: default_profile is"}},
		"a wrong name":          {map[string]string{"profiles.d/a b.toml": oneProfile}, []string{"a b.toml", "is not a name"}},
	} {
		a := newConfig(t, tt.files)
		_, err := a.loadConfig()
		if err == nil {
			t.Errorf("%s is no error", name)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
		if a.flags.profile = "gep"; name == "in both places" || strings.HasSuffix(name, "key") {
			if _, _, err := a.loadProfile(); err == nil {
				t.Errorf("%s: a get of that profile has no error", name)
			}
		}
	}
}

// TestConfig_otherFile: another config.toml has its own directory, and the usual one
// keeps its own under whatever name it is given.
func TestConfig_otherFile(t *testing.T) {
	a := newConfig(t, nil)
	usual, _ := a.configFiles()
	a.flags.config = filepath.Join(t.TempDir(), "mine.toml")
	if got, err := a.configFiles(); err != nil || got.dir != a.flags.config+".d" || got.settings() != filepath.Join(got.dir, "settings.toml") {
		t.Errorf("files of another: %+v, %v", got, err)
	}
	a.flags.config = usual.hand
	if got, err := a.configFiles(); err != nil || got != usual {
		t.Errorf("the usual file by name: %+v, want %+v, %v", got, usual, err)
	}
}

// TestConfig_commandsWriteWholeFiles: what a person wrote stays to the byte.
func TestConfig_commandsWriteWholeFiles(t *testing.T) {
	a := newConfig(t, nil)
	files, _ := a.configFiles()
	change := func(f func(*config) error) error {
		t.Helper()
		return a.changeConfig(t.Context(), f)
	}
	p := profileConfig{Issuer: "https://new.example.org", ClientID: "new", Scopes: []string{"openid"}}
	if err := change(func(c *config) error { return c.saveProfile("first", p) }); err != nil {
		t.Fatal(err)
	}
	if c, err := a.loadConfig(); err != nil || c.DefaultProfile != "first" || c.Profiles["first"].ClientID != "new" || c.from["first"] != files.profile("first") {
		t.Fatalf("the first profile: %+v, %v", c, err)
	}
	if _, err := os.Stat(files.hand); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("config.toml was made: %v", err)
	}
	if err := os.WriteFile(files.hand, []byte(sample), 0o400); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(*config) error{
		"profile in the way": func(c *config) error { return c.saveProfile("gep", p) },
		"removal":            func(c *config) error { return c.removeProfile("gep") },
		"default":            func(c *config) error { return c.useProfile("other") },
		"store":              func(c *config) error { return c.useStore("file") },
	} {
		err := change(f)
		byHand, ok := errors.AsType[*handError](err)
		if code, _ := classify(err); !ok || code != exitConfig || (len(byHand.text) == 0) != (name == "removal") || !strings.Contains(err.Error(), files.hand+":") {
			t.Errorf("%s: code %d, %v", name, code, err)
		}
	}
	for _, name := range []string{"settings", "Settings", "nul", "FIRST"} {
		if err := change(func(c *config) error { return c.saveProfile(name, p) }); err == nil {
			t.Errorf("a profile was called %s", name)
		}
	}
	for name, f := range map[string]func(*config) error{
		"the same default": func(c *config) error { return c.useProfile("gep") },
		"the same store":   func(c *config) error { return c.useStore("keyring") },
		"removal of ours":  func(c *config) error { return c.removeProfile("first") },
	} {
		if err := change(f); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if text, err := os.ReadFile(files.hand); err != nil || string(text) != sample {
		t.Errorf("config.toml is now\n%s, %v", text, err)
	}
	if c, err := a.loadConfig(); err != nil || len(c.Profiles) != 2 {
		t.Errorf("at the end: %+v, %v", c, err)
	}
}

// TestConfig_ofManyProfilesIsReadInPart: the part that is asked for is read strictly,
// with its right line, and costs a small part of the whole.
func TestConfig_ofManyProfilesIsReadInPart(t *testing.T) {
	var b strings.Builder
	b.WriteString("default_profile = \"p7\"\nstore = \"file\"\n")
	for n := range 1000 {
		fmt.Fprintf(&b, "\n[profiles.p%d]\nissuer = \"https://iam%d.example.org\"\nclient_id = \"c%d\"\n", n, n, n)
	}
	text := []byte(b.String())
	read := func(text []byte, name string) (handConfig, error) {
		return parsePart("config.toml", text, name, configFiles{dir: t.TempDir()})
	}
	if c, err := read(text, ""); err != nil || c.Store != "file" || len(c.Profiles) != 1 || c.Profiles["p7"].ClientID != "c7" {
		t.Fatalf("the default profile: %+v, %v", c.Profiles, err)
	}
	if c, err := read(text, "p999"); err != nil || len(c.Profiles) != 1 || c.Profiles["p999"].ClientID != "c999" {
		t.Fatalf("a named profile: %+v, %v", c.Profiles, err)
	}
	if c, err := read(text, "nobody"); err != nil || len(c.Profiles) != 0 || c.Store != "file" {
		t.Errorf("a profile that is not there: %+v, %v", c.Profiles, err)
	}
	wrong := strings.Replace(b.String(), "client_id = \"c7\"", "client = \"c7\"", 1)
	if _, err := read([]byte(wrong), ""); err == nil || !strings.Contains(err.Error(), "line 34: unknown key profiles.p7.client") {
		t.Errorf("an unknown key: %v", err)
	}
	if c, err := read([]byte("[profiles.q]\nissuer = \"x\"\nclient_id = \"\"\"\n[profiles.p]\n\"\"\"\n"), "p"); err != nil || len(c.Profiles) != 1 || c.Profiles["p"].Issuer != "" {
		t.Errorf("a table within a string: %+v, %v", c.Profiles, err)
	}
	part := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			_, _ = read(text, "")
		}
	})
	whole := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			_, _ = parseByHand("config.toml", text)
		}
	})
	if part.NsPerOp()*5 > whole.NsPerOp() {
		t.Errorf("a part of it costs %d ns, the whole %d ns", part.NsPerOp(), whole.NsPerOp())
	}
}

// TestConfig_getReadsThreeFiles: a get of one profile opens no file of another, so it
// costs the same with many. A file that would be an error shows that.
func TestConfig_getReadsThreeFiles(t *testing.T) {
	a := newConfig(t, map[string]string{
		"profiles.d/one.toml": oneProfile, "profiles.d/two.toml": "this is no TOML", "profiles.d/settings.toml": "default_profile = 'one'\n",
	})
	for _, name := range []string{"", "one"} {
		a.flags.profile = name
		if _, p, err := a.loadProfile(); err != nil || p.Name != "one" {
			t.Errorf("profile %q: %+v, %v", name, p, err)
		}
	}
	if _, err := a.loadConfig(); err == nil {
		t.Error("the whole configuration has no error")
	}
}

// BenchmarkConfig_chooseByHost reads all of 1,000 profiles, as a hook does: at most
// 50 ms.
func BenchmarkConfig_chooseByHost(b *testing.B) {
	files := map[string]string{"profiles.d/settings.toml": "default_profile = 'p1'\n"}
	for n := range 1000 {
		files[fmt.Sprintf("profiles.d/p%d.toml", n)] = string(profileText(profileConfig{
			Issuer: fmt.Sprintf("https://iam%d.example.org", n), ClientID: "c", Scopes: []string{"openid", "offline_access"}, Hosts: []string{fmt.Sprintf("h%d.example.org", n)},
		}))
	}
	a := newConfig(b, files)
	for b.Loop() {
		if c, err := a.loadConfig(); err != nil || len(c.Profiles) != 1000 {
			b.Fatal(err)
		}
	}
}

func TestConfig_savesThroughLinks(t *testing.T) {
	a := newConfig(t, nil)
	files, _ := a.configFiles()
	kept, link := filepath.Join(t.TempDir(), "gep.toml"), files.profile("gep")
	if err := os.WriteFile(kept, []byte(oneProfile), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(kept, link); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	p := profileConfig{Issuer: "https://new.example.org", ClientID: "new"}
	if err := a.changeConfig(t.Context(), func(c *config) error { return c.saveProfile("gep", p) }); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(kept); !strings.Contains(string(got), "new.example.org") {
		t.Errorf("behind the link: %q", got)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is no link any more: %v %v", info, err)
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
