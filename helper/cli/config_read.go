package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/oidc"
	"github.com/terradue/t2-cred/helper/safefile"
)

const (
	// maxConfig bounds the size of a configuration file, in bytes.
	maxConfig = 16 << 20
	// largeConfig is the size of config.toml from which on a get reads only the part
	// that it needs. It then takes a millisecond for each megabyte.
	largeConfig = 8 << 10
)

// readConfigFile reads a file of the configuration, which can name commands to run and
// hosts that get tokens, so nobody else may write it. It is nil for a missing one.
func readConfigFile(path string) ([]byte, error) {
	text, err := safefile.Read(path, safefile.Want{Max: maxConfig, Trust: safefile.Ours})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, unreadableFile(path, err)
	case text == nil:
		text = []byte{}
	}
	return bytes.TrimPrefix(text, []byte("\ufeff")), nil // editors of Windows put it there
}

// unreadableFile is the error of a file or directory that cannot be read.
func unreadableFile(path string, err error) error {
	var remedy hint.Remedy
	var mendable interface{ Repair() []string }
	switch {
	case errors.As(err, &mendable) && len(mendable.Repair()) > 0:
		remedy = hint.Do(hint.Shell(mendable.Repair()...))
	case errors.Is(err, safefile.ErrNotOurs):
		remedy = hint.Say("put it where every directory on the way is yours, or name one there: --config FILE")
	case errors.Is(err, safefile.ErrNotRegular):
		remedy = hint.Say("put a file there, or name one: --config FILE")
	case errors.Is(err, fs.ErrPermission):
		remedy = hint.Do(hint.Shell("ls", "-ld", filepath.Dir(path), path))
	}
	return &hint.Error{Kind: errConfig, Detail: "configuration", Remedy: remedy, Err: err}
}

// parseByHand reads the text of config.toml, all of it.
func parseByHand(path string, text []byte) (handConfig, error) {
	c := handConfig{text: text}
	if err := decodeStrictly(path, text, &c); err != nil {
		return c, err
	}
	if len(c.Identity) > 0 && !filepath.IsAbs(c.Identity[0]) {
		return c, configErrorf(seeKeys(), "configuration %s: identity_command begins with %q, not an absolute path", at(path, text, "identity_command"), shownWord(c.Identity[0]))
	}
	var err error
	if c.openbao, err = checkOpenBao(path, text, c.Stores.OpenBao); err != nil {
		return c, err
	}
	for _, name := range slices.Sorted(maps.Keys(c.Profiles)) {
		if err := checkProfile(name, c.Profiles[name]); err != nil {
			return c, configErrorf(seeKeys(), "configuration %s: profile %s: %v", atKey(path, text, err, "profiles", name), name, err)
		}
	}
	return c, nil
}

// parsePart reads the head of config.toml and the table of one profile, and skips
// the tables of other profiles without a look into them. Where lines alone do not
// tell the tables apart it reads all.
func parsePart(path string, text []byte, name string, files configFiles) (handConfig, error) {
	if bytes.Contains(text, []byte(`"""`)) || bytes.Contains(text, []byte("'''")) {
		return parseByHand(path, text) // a line in a string may look like a table's
	}
	var kept []byte
	inHead, inTable := true, false
	for line := range bytes.Lines(text) {
		if table := bytes.TrimSpace(line); len(table) > 0 && table[0] == '[' {
			if inHead && name == "" {
				name = defaultOf(path, kept, files)
			}
			inHead, inTable = false, slices.Contains(tablesOf(name), string(table))
		}
		if inHead || inTable {
			kept = append(kept, line...)
		}
	}
	c, err := parseByHand(path, kept)
	if err != nil || len(c.Profiles) > 1 {
		return parseByHand(path, text) // which names the line
	}
	c.text = text
	return c, nil
}

// tablesOf are the heads of the tables that a get for a profile reads.
func tablesOf(name string) []string {
	profile := "profiles." + name
	return []string{"[" + profile + "]", "[" + profile + ".authorize_params]", "[[" + profile + ".narrow]]", "[stores.openbao]"}
}

// defaultOf is the default profile by the head of config.toml, else by settings.toml.
func defaultOf(path string, head []byte, files configFiles) string {
	c := config{files: files}
	c.byHand, _ = parseByHand(path, head) // an error is found again, by the caller
	_ = c.readSettings()
	return c.DefaultProfile
}

// decodeStrictly decodes TOML. An unknown key is an error with file and line.
func decodeStrictly(path string, text []byte, into any) error {
	if len(text) == 0 {
		return nil
	}
	err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(into)
	if err == nil {
		return nil
	}
	if unknown, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(unknown.Errors) > 0 {
		first := unknown.Errors[0]
		line, _ := first.Position()
		return unknownKey(path, line, first.Key())
	}
	if bad, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, _ := bad.Position()
		return wrongValue(path, text, line, bad)
	}
	return configErrorf(seeKeys(), "configuration %s: %v", path, err)
}

// at is a file and the line where a key of it is, as in config.toml:3.
func at(path string, text []byte, key ...string) string {
	for len(key) > 0 {
		if line := lineOf(text, key...); line > 0 {
			return fmt.Sprintf("%s:%d", path, line)
		}
		key = key[:len(key)-1]
	}
	return path
}

// at is the line of config.toml where a key is.
func (c *config) at(key ...string) string { return at(c.path, c.byHand.text, key...) }

// lineOf is the first line of TOML text about a key or a table; 0 when there is none.
func lineOf(text []byte, key ...string) int {
	p := unstable.Parser{}
	p.Reset(text)
	var table []string
	for p.NextExpression() {
		e := p.Expression()
		var path []string
		var first *unstable.Node
		for it := e.Key(); it.Next(); {
			if first == nil {
				first = it.Node()
			}
			path = append(path, string(it.Node().Data))
		}
		if e.Kind == unstable.Table || e.Kind == unstable.ArrayTable {
			table = path
		} else {
			path = slices.Concat(table, path)
		}
		if first != nil && len(path) >= len(key) && slices.Equal(path[:len(key)], key) {
			return p.Shape(first.Raw).Start.Line
		}
	}
	return 0
}

// seeKeys is for a value that its key cannot have.
func seeKeys() hint.Remedy {
	return hint.Do(hint.Words("mend it there; what each key wants: "), hint.Run("help", "configuration"))
}

// A profileError is something wrong with one key of a profile.
type profileError struct {
	key, why string
	narrow   int // the table of narrow that has the key, from 1; 0 for none
}

func (e *profileError) Error() string { return e.why }

// atKey is the place of what an error of checkProfile is about. The profile is in the
// table of that name, or the whole file.
func atKey(path string, text []byte, err error, table ...string) string {
	e, ok := errors.AsType[*profileError](err)
	switch {
	case !ok:
		return at(path, text, table...)
	case e.narrow > 0:
		if line := lineInNth(text, append(slices.Clone(table), "narrow"), e.narrow, e.key); line > 0 {
			return fmt.Sprintf("%s:%d", path, line)
		}
		return at(path, text, append(slices.Clone(table), "narrow")...)
	}
	return at(path, text, append(slices.Clone(table), e.key)...)
}

const nameRule = "letters, digits, - and _, at most 64"

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

// neverMatches says what is wrong with an entry of hosts, and proposes the host in it.
func neverMatches(entry string, why error) string {
	text := fmt.Sprintf("the host %q would never match: %v", shownWord(entry), why)
	_, rest, hasScheme := strings.Cut(entry, "://")
	if !hasScheme {
		rest = entry
	}
	host, _, _ := strings.Cut(rest, "/")
	if normal, err := helper.CheckHost(host); err == nil && host != entry && !looksSecret(host) {
		text += "; did you mean " + normal + "?"
	}
	return text
}

// isOneWord reports whether a text can be one scope or audience.
func isOneWord(s string) bool { return s != "" && !strings.ContainsAny(s, " \t\r\n") }

func checkProfile(name string, p profileConfig) error {
	wrong := func(key, format string, args ...any) error {
		return &profileError{key: key, why: fmt.Sprintf(format, args...)}
	}
	switch {
	case !isProfileName(name):
		return fmt.Errorf("%q is not a name: %s%s", shownWord(name), nameRule, nameLike(name))
	case p.Issuer == "":
		return errors.New("issuer is missing")
	case p.ClientID == "":
		return errors.New("client_id is missing")
	case p.CAFile != "" && !filepath.IsAbs(p.CAFile):
		return wrong("ca_file", "ca_file is %q, not an absolute path", shownWord(p.CAFile))
	case p.AccessToken != "" && p.AccessToken != "jwt" && p.AccessToken != "opaque":
		return wrong("access_token", "access_token is %q, not jwt or opaque", shownWord(p.AccessToken))
	}
	for n, list := range [][]string{p.Scopes, p.Audience, p.Required} {
		for _, s := range list {
			if !isOneWord(s) {
				return wrong([]string{"scopes", "audience", "required_scopes"}[n], "%q is not one scope or audience: it is empty or has a space", shownWord(s))
			}
		}
	}
	for _, host := range p.Hosts {
		if _, err := helper.CheckHost(host); err != nil {
			return wrong("hosts", "%s", neverMatches(host, err))
		}
	}
	for _, s := range p.Required {
		if !slices.Contains(p.Scopes, s) {
			return wrong("required_scopes", "required_scopes has %q, which scopes does not ask for", shownWord(s))
		}
	}
	for name, value := range p.AuthorizeParams {
		if slices.Contains(oidc.OwnParams(), name) || name == "" || strings.ContainsFunc(name+value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return wrong("authorize_params", "authorize_params: %q cannot be set by a profile", shownWord(name))
		}
	}
	if err := checkNarrow(p); err != nil {
		return err
	}
	return checkClientAuth(p)
}
