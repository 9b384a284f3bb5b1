package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/pelletier/go-toml/v2"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/safefile"
	"github.com/terradue/t2-cred/store"
)

// maxConfig bounds what is read of a configuration, in bytes.
const maxConfig = 16 << 20

// config is the configuration file. It holds no secret.
type config struct {
	DefaultProfile string                   `toml:"default_profile"`
	Store          string                   `toml:"store"`
	Identity       []string                 `toml:"identity_command"`
	Profiles       map[string]profileConfig `toml:"profiles"`

	path string
	text []byte
}

type profileConfig struct {
	Issuer     string   `toml:"issuer"`
	ClientID   string   `toml:"client_id"`
	Audience   []string `toml:"audience,omitempty"`
	Scopes     []string `toml:"scopes,omitempty"`
	Hosts      []string `toml:"hosts,omitempty"`
	ClientAuth string   `toml:"client_auth,omitempty"`
	CAFile     string   `toml:"ca_file,omitempty"`

	SecretFile    string   `toml:"client_secret_file,omitempty"`
	SecretCommand []string `toml:"client_secret_command,omitempty"`
	KeyFile       string   `toml:"client_key_file,omitempty"`
	KeyID         string   `toml:"client_key_id,omitempty"`
	CertFile      string   `toml:"client_cert_file,omitempty"`
}

// configError is a configuration that cannot be used.
type configError struct {
	detail string
	remedy string
}

func (e *configError) Error() string { return e.detail }
func (e *configError) Hint() string  { return e.remedy }

// configPath is the file named by flag or environment, else the user's own;
// never one of the current directory, which may be anybody's.
func (a *app) configPath() (string, error) {
	if a.flags.config != "" {
		return filepath.Abs(a.flags.config)
	}
	dir, err := a.userDir("XDG_CONFIG_HOME", ".config", "APPDATA", "Application Support")
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "config.toml"), nil
}

// userDir is one of the user's directories for this application: by the XDG
// Base Directory specification, or the place that the OS has for it.
func (a *app) userDir(xdg, underHome, windows, darwin string) (string, error) {
	if d := a.Getenv(xdg); d != "" && filepath.IsAbs(d) { // relative ones are to be ignored, says XDG
		return filepath.Join(d, "t2-cred"), nil
	}
	if runtime.GOOS == "windows" {
		if d := a.Getenv(windows); d != "" {
			return filepath.Join(d, "t2-cred"), nil
		}
		return "", &configError{detail: "%" + windows + "% is not set, so there is no place for t2-cred's files", remedy: "set it, or name the file: --config FILE"}
	}
	home := a.Getenv("HOME")
	if !filepath.IsAbs(home) {
		return "", &configError{detail: "HOME is not set, so there is no place for t2-cred's files", remedy: "set HOME, or " + xdg}
	}
	if runtime.GOOS == "darwin" {
		return filepath.Join(home, "Library", darwin, "t2-cred"), nil
	}
	return filepath.Join(home, underHome, "t2-cred"), nil
}

// loadConfig reads the configuration, strictly. A missing file is an empty one.
func (a *app) loadConfig() (*config, error) {
	path, err := a.configPath()
	if err != nil {
		return nil, err
	}
	text, err := safefile.Read(path, safefile.Want{Max: maxConfig})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, &configError{detail: fmt.Sprintf("configuration: %v", err)}
	}
	return parseConfig(path, text)
}

// parseConfig reads the whole of a configuration.
func parseConfig(path string, text []byte) (*config, error) {
	c, err := decodeConfig(path, text)
	if err != nil {
		return nil, err
	}
	if c.DefaultProfile != "" {
		if _, ok := c.Profiles[c.DefaultProfile]; !ok {
			return nil, &configError{detail: fmt.Sprintf("configuration %s: default_profile is %q, and there is no such profile", path, c.DefaultProfile)}
		}
	}
	return c, nil
}

func decodeConfig(path string, text []byte) (*config, error) {
	c := &config{path: path, text: text}
	if err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(c); err != nil {
		return nil, unreadable(path, err)
	}
	if c.Profiles == nil {
		c.Profiles = map[string]profileConfig{}
	}
	if len(c.Identity) > 0 && !filepath.IsAbs(c.Identity[0]) {
		return nil, &configError{detail: fmt.Sprintf("configuration %s: identity_command begins with %q, not an absolute path", path, c.Identity[0])}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Profiles)) {
		if err := checkProfile(name, c.Profiles[name]); err != nil {
			return nil, &configError{detail: fmt.Sprintf("configuration %s: profile %s: %v", path, name, err)}
		}
	}
	return c, nil
}

// loadProfile reads as much of the configuration as one profile needs.
func (a *app) loadProfile() (*config, helper.Profile, error) {
	path, err := a.configPath()
	if err != nil {
		return nil, helper.Profile{}, err
	}
	if c := a.loadExcerpt(path, a.flags.profile); c != nil {
		p, err := c.profile(or(a.flags.profile, c.DefaultProfile))
		return c, p, err
	}
	c, err := a.loadConfig()
	if err != nil {
		return nil, helper.Profile{}, err
	}
	p, err := c.profile(a.flags.profile)
	return c, p, err
}

// unreadable says what is wrong with the text, and on which line.
func unreadable(path string, err error) error {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) && len(unknown.Errors) > 0 {
		first := unknown.Errors[0]
		line, _ := first.Position()
		return &configError{
			detail: fmt.Sprintf("configuration %s: line %d: unknown key %s", path, line, strings.Join(first.Key(), ".")),
			remedy: "a misspelt key would be ignored in silence, so it is an error; mend or delete it",
		}
	}
	detail := err.Error()
	var bad *toml.DecodeError
	if errors.As(err, &bad) {
		line, _ := bad.Position()
		detail = fmt.Sprintf("line %d: %s", line, strings.TrimPrefix(bad.Error(), "toml: "))
	}
	return &configError{detail: fmt.Sprintf("configuration %s: %s", path, detail), remedy: "mend the file, or move it away"}
}

// isProfileName keeps names to what TOML writes without quotes. (Not a regular
// expression: compiling one would cost a tenth of a cached get.)
func isProfileName(name string) bool {
	for n := 0; n < len(name); n++ {
		c := name[n]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (n == 0 || c != '-' && c != '_') {
			return false
		}
	}
	return name != "" && len(name) <= 64
}

func checkProfile(name string, p profileConfig) error {
	switch {
	case !isProfileName(name):
		return fmt.Errorf("%q is not a name: letters, digits, - and _, at most 64", name)
	case p.Issuer == "":
		return errors.New("issuer is missing")
	case p.ClientID == "":
		return errors.New("client_id is missing")
	case p.CAFile != "" && !filepath.IsAbs(p.CAFile):
		return fmt.Errorf("ca_file is %q, not an absolute path", p.CAFile)
	}
	for _, s := range append(slices.Clone(p.Scopes), p.Audience...) {
		if s == "" || strings.ContainsAny(s, " \t\r\n") {
			return fmt.Errorf("%q is not one scope or audience", s)
		}
	}
	return checkClientAuth(p)
}

// profile is the one that flag, environment or file name, as helper knows it.
func (c *config) profile(name string) (helper.Profile, error) {
	if name == "" {
		name = c.DefaultProfile
	}
	if name == "" && len(c.Profiles) == 1 {
		for only := range c.Profiles {
			name = only
		}
	}
	switch p, ok := c.Profiles[name]; {
	case ok:
		return p.named(name), nil
	case len(c.Profiles) == 0:
		return helper.Profile{}, &configError{
			detail: fmt.Sprintf("no profile in %s", c.path),
			remedy: "t2-cred profile add NAME --issuer URL --client-id ID",
		}
	case name == "":
		return helper.Profile{}, &configError{detail: "several profiles and no default_profile", remedy: "choose one: --profile " + strings.Join(slices.Sorted(maps.Keys(c.Profiles)), " | ")}
	}
	return helper.Profile{}, &configError{
		detail: fmt.Sprintf("no profile %q in %s", name, c.path),
		remedy: "choose one: --profile " + strings.Join(slices.Sorted(maps.Keys(c.Profiles)), " | "),
	}
}

func (p profileConfig) named(name string) helper.Profile {
	return helper.Profile{
		Name: name, Issuer: p.Issuer, ClientID: p.ClientID, Audience: p.Audience, Scopes: p.Scopes,
		Hosts: p.Hosts, ClientAuth: p.auth(), CAFile: p.CAFile,
		SecretFile: p.SecretFile, SecretCommand: p.SecretCommand, KeyFile: p.KeyFile, KeyID: p.KeyID, CertFile: p.CertFile,
	}
}

// withProfile returns the file's text with the profile put in, the rest, its
// comments included, as it was.
func (c *config) withProfile(name string, p profileConfig) []byte {
	body, err := toml.Marshal(p)
	if err != nil {
		panic(err) // strings and lists of them always encode
	}
	block := slices.Concat(fmt.Appendf(nil, "[profiles.%s]\n", name), body)
	text := c.text
	if start, end, ok := c.block(name); ok {
		text = slices.Concat(text[:start], block, []byte("\n"), text[end:])
	} else {
		if len(text) > 0 {
			text = append(bytes.TrimRight(text, "\n"), "\n\n"...)
		}
		text = append(text, block...)
	}
	if len(c.Profiles) == 0 && c.DefaultProfile == "" {
		text = slices.Concat(fmt.Appendf(nil, "default_profile = %q\n\n", name), text)
	}
	return append(bytes.TrimRight(text, "\n"), '\n')
}

// withoutProfile returns the file's text with the profile taken out.
func (c *config) withoutProfile(name string) ([]byte, bool) {
	start, end, ok := c.block(name)
	if !ok {
		return nil, false
	}
	text := slices.Concat(c.text[:start], c.text[end:])
	if c.DefaultProfile == name {
		text = regexp.MustCompile(`(?m)^\s*default_profile\s*=.*\n+`).ReplaceAll(text, nil)
	}
	return text, true
}

// withStore returns the file's text with another store, the rest as it was.
func (c *config) withStore(name string) []byte {
	line := fmt.Appendf(nil, "store = %q\n", name)
	head, tables := c.text, []byte(nil)
	if at := regexp.MustCompile(`(?m)(^[ \t]*#[^\n]*\n)*^[ \t]*\[`).FindIndex(c.text); at != nil {
		head, tables = c.text[:at[0]], c.text[at[0]:]
	}
	if old := regexp.MustCompile(`(?m)^[ \t]*store[ \t]*=[^\n]*\n?`).FindIndex(head); old != nil {
		return slices.Concat(head[:old[0]], line, head[old[1]:], tables)
	}
	return slices.Concat(line, head, tables)
}

// block finds a profile's table in the text: from its header to the next one.
// What stands directly above the next header as a comment belongs to that one.
func (c *config) block(name string) (start, end int, ok bool) {
	header := regexp.MustCompile(`(?m)^[ \t]*\[[ \t]*profiles[ \t]*\.[ \t]*["']?` + name + `["']?[ \t]*\][^\n]*\n?`)
	at := header.FindIndex(c.text)
	if at == nil {
		return 0, 0, false
	}
	end = len(c.text)
	if next := regexp.MustCompile(`(?m)(^[ \t]*#[^\n]*\n)*^[ \t]*\[`).FindIndex(c.text[at[1]:]); next != nil {
		end = at[1] + next[0]
	}
	return at[0], end, true
}

// changeConfig reads the configuration, changes it and saves it, under a lock: what
// was read while somebody was asked for a secret may be old by now.
func (a *app) changeConfig(ctx context.Context, change func(*config) ([]byte, error)) error {
	path, err := a.configPath()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return &configError{detail: fmt.Sprintf("configuration: %v", err)}
	}
	lock := flock.New(path+".lock", flock.SetPermissions(0o600))
	if _, err := lock.TryLockContext(ctx, 20*time.Millisecond); err != nil {
		return notLocked(lock.Path(), err)
	}
	defer func() { _ = lock.Unlock() }()
	c, err := a.loadConfig()
	if err != nil {
		return err
	}
	text, err := change(c)
	if err != nil {
		return err
	}
	return c.save(text)
}

// notLocked says why the configuration's lock was not got. An interrupt is nobody's
// fault, and a lock that somebody holds is no wrong configuration.
func notLocked(path string, err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return &hint.Error{Kind: store.ErrBusy, Detail: fmt.Sprintf("%v: the configuration's, %s", store.ErrBusy, path)}
	}
	return &configError{detail: fmt.Sprintf("configuration: the lock %s: %v", path, err)}
}

// save replaces the file, after reading the new text as strictly as ever.
func (c *config) save(text []byte) error {
	if _, err := parseConfig(c.path, text); err != nil {
		return err
	}
	target := c.path
	if linked, err := filepath.EvalSymlinks(c.path); err == nil {
		target = linked // a dotfile manager's link stays one
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return &configError{detail: fmt.Sprintf("configuration: %v", err)}
	}
	if err := replaceFile(target, text); err != nil {
		return &configError{detail: fmt.Sprintf("configuration: %v", err)}
	}
	return nil
}
