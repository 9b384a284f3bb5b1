package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/store"
)

// The configuration is config.toml, which a person writes, and a directory with one
// file for each profile and settings.toml, which commands write as a whole.
// config.toml wins. No file of it holds a secret.

// config is what all files of the configuration say together.
type config struct {
	DefaultProfile string
	Store          string
	Identity       []string
	OpenBao        *store.OpenBao // nil where the table is missing
	Profiles       map[string]profileConfig

	path    string            // of config.toml; it names the store's namespace
	files   configFiles       // of this configuration
	byHand  handConfig        // what config.toml says
	set     settings          // what settings.toml says
	from    map[string]string // the file of each profile
	guided  bool              // a person can answer the questions of init
	inEnv   string            // the profile that T2_CRED_PROFILE names
	missing bool              // it was named, and its file does not exist
}

// handConfig is the content of config.toml.
type handConfig struct {
	DefaultProfile string                   `toml:"default_profile"`
	Store          string                   `toml:"store"`
	Identity       []string                 `toml:"identity_command"`
	Stores         storesConfig             `toml:"stores"`
	Profiles       map[string]profileConfig `toml:"profiles"`

	text    []byte
	openbao *store.OpenBao
}

// settings is the content of settings.toml.
type settings struct {
	DefaultProfile string `toml:"default_profile,omitempty"`
	Store          string `toml:"store,omitempty"`
}

// profileConfig is one profile: a table of config.toml or a file of its own.
type profileConfig struct {
	Issuer       string   `toml:"issuer"`
	ClientID     string   `toml:"client_id"`
	DiscoveryURL string   `toml:"discovery_url,omitempty"`
	Audience     []string `toml:"audience,omitempty"`
	Scopes       []string `toml:"scopes,omitempty"`
	Required     []string `toml:"required_scopes,omitempty"`
	Hosts        []string `toml:"hosts,omitempty"`
	ClientAuth   string   `toml:"client_auth,omitempty"`
	CAFile       string   `toml:"ca_file,omitempty"`
	AccessToken  string   `toml:"access_token,omitempty"`

	SecretFile    string   `toml:"client_secret_file,omitempty"`
	SecretCommand []string `toml:"client_secret_command,omitempty"`
	KeyFile       string   `toml:"client_key_file,omitempty"`
	KeyID         string   `toml:"client_key_id,omitempty"`
	CertFile      string   `toml:"client_cert_file,omitempty"`

	AssertionFile     string `toml:"client_assertion_file,omitempty"`
	AssertionAudience string `toml:"client_assertion_audience,omitempty"`
	AssertionType     string `toml:"client_assertion_type,omitempty"`

	AuthorizeParams map[string]string `toml:"authorize_params,omitempty,inline"`

	Narrow []narrowConfig `toml:"narrow,omitempty"` // last, as TOML has tables after keys
}

// configFiles are the places of a configuration.
type configFiles struct {
	hand string // config.toml
	dir  string // of the files that commands write
}

const settingsName = "settings"

func (f configFiles) settings() string           { return f.profile(settingsName) }
func (f configFiles) profile(name string) string { return filepath.Join(f.dir, name+".toml") }

// configFiles are those that flag or environment name, else the user's own; never
// those of the current directory, which may be anybody's.
func (a *app) configFiles() (configFiles, error) {
	dir, err := a.userDir("XDG_CONFIG_HOME", ".config", "APPDATA", "Application Support")
	usual := configFiles{filepath.Join(dir, "config.toml"), filepath.Join(dir, "profiles.d")}
	if a.flags.config == "" {
		return usual, err
	}
	path, pathErr := filepath.Abs(a.flags.config)
	if err == nil && path == usual.hand {
		return usual, nil
	}
	return configFiles{path, path + ".d"}, pathErr
}

// userDir is one of the user's directories for this application: by the XDG
// Base Directory specification, or the place that the OS has for it.
func (a *app) userDir(xdg, underHome, windows, darwin string) (string, error) {
	dir, err := a.placeOf(xdg, underHome, windows, darwin)
	if err == nil {
		err = a.notOfSudo(dir)
	}
	return dir, err
}

func (a *app) placeOf(xdg, underHome, windows, darwin string) (string, error) {
	if d := a.Getenv(xdg); d != "" && filepath.IsAbs(d) { // XDG: relative ones are to be ignored
		return filepath.Join(d, "t2-cred"), nil
	}
	if runtime.GOOS == "windows" {
		if d := a.Getenv(windows); d != "" {
			return filepath.Join(d, "t2-cred"), nil
		}
		return "", configErrorf(hint.Say("set it, or name the file: --config FILE"), "%%%s%% is not set, so there is no place for t2-cred's files", windows)
	}
	home := a.Getenv("HOME")
	if !filepath.IsAbs(home) {
		detail := "HOME is not set"
		if home != "" {
			detail = fmt.Sprintf("HOME is %q, not an absolute path", shownWord(home))
		}
		return "", configErrorf(hint.Say("set HOME, or "+xdg), "%s, so there is no place for t2-cred's files", detail)
	}
	if runtime.GOOS == "darwin" {
		return filepath.Join(home, "Library", darwin, "t2-cred"), nil
	}
	return filepath.Join(home, underHome, "t2-cred"), nil
}

// loadConfig reads the whole configuration, strictly. A missing file is an empty one.
func (a *app) loadConfig() (*config, error) {
	c, err := a.readConfig()
	if err != nil {
		return nil, err
	}
	if _, ok := c.Profiles[c.DefaultProfile]; c.DefaultProfile != "" && !ok {
		return nil, c.defaultGone()
	}
	return c, nil
}

// readConfig is loadConfig for a command that may repair a default_profile whose
// profile is gone.
func (a *app) readConfig() (*config, error) {
	files, err := a.configFiles()
	if err != nil {
		return nil, err
	}
	text, err := readConfigFile(files.hand)
	if err != nil {
		return nil, err
	}
	c := &config{path: files.hand, files: files, from: map[string]string{}, guided: a.guided(), inEnv: a.Getenv("T2_CRED_PROFILE"), missing: text == nil && a.flags.config != ""}
	if c.byHand, err = parseByHand(files.hand, text); err != nil {
		return nil, err
	}
	if err := c.readSettings(); err != nil {
		return nil, err
	}
	for name, p := range c.byHand.Profiles {
		c.Profiles[name], c.from[name] = p, files.hand
	}
	names, err := c.files.names()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		p, found, err := c.readProfile(name)
		if err != nil {
			return nil, err
		}
		if found {
			c.Profiles[name], c.from[name] = p, files.profile(name)
		}
	}
	return c, nil
}

// readSettings adds settings.toml to what config.toml says.
func (c *config) readSettings() error {
	text, err := readConfigFile(c.files.settings())
	if err != nil {
		return err
	}
	if err := decodeStrictly(c.files.settings(), text, &c.set); err != nil {
		return err
	}
	c.DefaultProfile = or(c.byHand.DefaultProfile, c.set.DefaultProfile)
	c.Store = or(c.byHand.Store, c.set.Store)
	c.Identity, c.OpenBao = c.byHand.Identity, c.byHand.openbao
	c.Profiles = map[string]profileConfig{}
	return nil
}

// names are the profiles that have a file of their own.
func (f configFiles) names() (names []string, err error) {
	entries, err := os.ReadDir(f.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, unreadableFile(f.dir, err)
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".toml")
		if !ok || strings.HasPrefix(name, ".") || name == settingsName {
			continue
		}
		if !isProfileName(name) {
			return nil, configErrorf(hint.Say("rename or remove the file"), "configuration %s: %q is not a name: %s", filepath.Join(f.dir, e.Name()), name, nameRule)
		}
		names = append(names, name)
	}
	return names, nil
}

// readProfile reads the file of one profile. A profile in two places is an error:
// a person may have forgotten one of them.
func (c *config) readProfile(name string) (p profileConfig, found bool, err error) {
	file := c.files.profile(name)
	text, err := readConfigFile(file)
	if err != nil || text == nil {
		return p, false, err
	}
	if _, ok := c.byHand.Profiles[name]; ok {
		return p, false, configErrorf(hint.Say("remove one of the two"),
			"profile %s is in %s and in %s", name, c.at("profiles", name), file)
	}
	if err := decodeStrictly(file, text, &p); err != nil {
		return p, false, err
	}
	if err := checkProfile(name, p); err != nil {
		return p, false, configErrorf(hint.Do(hint.Run("profile", "edit", name)), "configuration %s: profile %s: %v", atKey(file, text, err), name, err)
	}
	return p, true, nil
}

// loadProfile reads as much of the configuration as one profile needs: a get must
// cost the same with one profile and with ten thousand.
func (a *app) loadProfile() (*config, helper.Profile, error) {
	c, err := a.loadOne()
	if err == nil && c == nil {
		c, err = a.loadConfig()
	}
	if err != nil {
		return nil, helper.Profile{}, err
	}
	p, err := c.profile(a.flags.profile)
	return c, p, err
}

// loadOne reads the configuration less the files of other profiles. It is nil when
// the profile is not found that way, which the whole configuration explains.
func (a *app) loadOne() (*config, error) {
	files, err := a.configFiles()
	if err != nil {
		return nil, err
	}
	text, err := readConfigFile(files.hand)
	if err != nil {
		return nil, err
	}
	c := &config{path: files.hand, files: files, from: map[string]string{}}
	if len(text) <= largeConfig {
		c.byHand, err = parseByHand(files.hand, text)
	} else {
		c.byHand, err = parsePart(files.hand, text, a.flags.profile, files)
	}
	if err != nil {
		return nil, err
	}
	if err := c.readSettings(); err != nil {
		return nil, err
	}
	name := or(a.flags.profile, c.DefaultProfile)
	if !isProfileName(name) || name == settingsName && c.byHand.Profiles[name].Issuer == "" {
		return nil, nil
	}
	p, found, err := c.readProfile(name)
	switch {
	case err != nil:
		return nil, err
	case found:
		c.from[name] = files.profile(name)
	default:
		if p, found = c.byHand.Profiles[name]; !found {
			return nil, nil
		}
		c.from[name] = files.hand
	}
	c.Profiles[name] = p
	return c, nil
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
	if p, ok := c.Profiles[name]; ok {
		return p.named(name), nil
	}
	names := slices.Sorted(maps.Keys(c.Profiles))
	switch {
	case len(names) == 0:
		detail := "no profile in " + c.path
		if c.missing {
			detail += ", and no such file"
		}
		return helper.Profile{}, configErrorf(c.begin(), "%s", detail)
	case name == "":
		return helper.Profile{}, configErrorf(chooseOne(name, names), "several profiles and no default_profile")
	case name == c.inEnv:
		return helper.Profile{}, configErrorf(hint.Say("set it to one of these, or unset it: "+listed(names)),
			"T2_CRED_PROFILE: no profile %q in %s%s", shownWord(name), c.path, didYouMean(name, names))
	}
	return helper.Profile{}, configErrorf(chooseOne(name, names), "no profile %q in %s%s", shownWord(name), c.path, didYouMean(name, names))
}

// begin is how the first profile is made: step by step where there is a person to ask.
func (c *config) begin() hint.Remedy {
	if c.guided {
		return hint.Do(hint.Run("init"))
	}
	return hint.Do(hint.Run("profile", "add", "NAME", "--issuer", "URL", "--client-id", "ID"))
}

// profileArgument is profile for a name that was typed as an argument.
func (c *config) profileArgument(name string) (helper.Profile, error) {
	p, err := c.profile(name)
	if e, ok := errors.AsType[*hint.Error](err); ok && len(c.Profiles) > 0 {
		e.Remedy = hint.Do(hint.Run("profile", "list"))
	}
	return p, err
}

// chooseOne is the remedy for a profile that was not named, or not right.
func chooseOne(typed string, names []string) hint.Remedy {
	if near := nearest(typed, names); typed != "" && near != "" {
		return hint.Say("type it again with --profile " + near)
	}
	return hint.Say("choose one: --profile " + listed(names))
}

// listed are names for one line.
func listed(names []string) string {
	const most = 20
	more := ""
	if len(names) > most {
		names, more = names[:most], " | …"
	}
	return strings.Join(names, " | ") + more
}

func (p profileConfig) named(name string) helper.Profile {
	return helper.Profile{
		Narrow: narrowRules(p.Narrow), AuthorizeParams: p.AuthorizeParams,
		Name: name, Issuer: p.Issuer, ClientID: p.ClientID, Audience: p.Audience, Scopes: p.Scopes,
		Hosts: p.Hosts, ClientAuth: p.auth(), CAFile: p.CAFile, DiscoveryURL: p.DiscoveryURL, AccessToken: p.AccessToken, RequiredScopes: p.Required,
		SecretFile: p.SecretFile, SecretCommand: p.SecretCommand, KeyFile: p.KeyFile, KeyID: p.KeyID, CertFile: p.CertFile,
		AssertionFile: p.AssertionFile, AssertionAudience: p.AssertionAudience, AssertionType: p.AssertionType,
	}
}

// sourceOf is the file, and for config.toml the line, that a setting comes from;
// empty when no file has it.
func (c *config) sourceOf(key string) string {
	byHand, set := "", ""
	switch key {
	case "default_profile":
		byHand, set = c.byHand.DefaultProfile, c.set.DefaultProfile
	case "store":
		byHand, set = c.byHand.Store, c.set.Store
	}
	switch {
	case byHand != "":
		return c.at(key)
	case set != "":
		return c.files.settings()
	}
	return ""
}
