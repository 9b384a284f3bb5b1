package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/terradue/t2-cred/helper/hint"
)

// This file says what is wrong with a configuration, and how it is written.

// unknownKey is the error of a key that has no meaning. It would else be ignored.
func unknownKey(path string, line int, key []string) error {
	last := key[len(key)-1]
	remedy := hint.Say("mend or delete the line")
	detail := ""
	switch {
	case last == "client_secret" || last == "client_key":
		remedy = hint.Do(hint.Words("delete the line; a secret goes into the store: "), hint.Run("profile", "set-secret", "NAME"))
		detail = "; a secret does not belong here"
	case len(key) == 1 && last == "profile":
		detail = "; did you mean default_profile?"
	case len(key) == 1 && slices.Contains([]string{"account", "timeout", "json", "verbose"}, last):
		detail = "; it is a flag and no key"
		remedy = hint.Say(fmt.Sprintf("delete the line; say --%s, or set T2_CRED_%s", last, strings.ToUpper(last)))
	case len(key) > 1 && key[0] == "stores":
		detail = didYouMean(last, openbaoKeys())
	case slices.Contains(headKeys(), last):
		detail = "; it belongs to the head of config.toml"
	case slices.Contains(profileKeys(), last):
		detail = "; it belongs to a profile"
		if len(key) == 1 {
			remedy = hint.Say("put it below a line [profiles.NAME]")
		}
	case !slices.Contains(headKeys(), key[0]) && slices.Contains([]string{"profiles", "stores"}, nearest(key[0], headKeys())):
		detail = didYouMean(key[0], headKeys())
	default:
		detail = didYouMean(last, slices.Concat(headKeys(), profileKeys()))
		if detail == "" {
			remedy = hint.Do(hint.Words("mend or delete the line; if a newer t2-cred wrote it, compare: "), hint.Run("version"))
		}
	}
	return configErrorf(remedy, "configuration %s: line %d: unknown key %s%s", path, line, shownWord(strings.Join(key, ".")), detail)
}

func headKeys() []string {
	return []string{"default_profile", "store", "identity_command", "profiles", "stores"}
}

func profileKeys() []string {
	return []string{
		"issuer", "discovery_url", "client_id", "audience", "scopes", "hosts", "client_auth", "ca_file", "access_token", "required_scopes",
		"client_secret_file", "client_secret_command", "client_key_file", "client_key_id", "client_cert_file",
		"client_assertion_file", "client_assertion_audience", "client_assertion_type",
		"authorize_params", "narrow",
	}
}

// wrongValue is the error of a line that is not TOML, or of a value of another type.
func wrongValue(path string, text []byte, line int, bad *toml.DecodeError) error {
	said := strings.TrimPrefix(bad.Error(), "toml: ")
	key := bad.Key()
	if !strings.HasPrefix(said, "cannot decode") || len(key) == 0 {
		mend := mendLine(text, line)
		if strings.Contains(said, "already") {
			mend = "two lines say the same: delete one of them"
		}
		return configErrorf(hint.Say(mend), "configuration %s: line %d: %s", path, line, said)
	}
	last := key[len(key)-1]
	must, example := "a string in quotes", ""
	switch {
	case last == "profiles" || len(key) == 2 && key[0] == "profiles":
		must, example = "a table", "[profiles.NAME]"
	case last == "authorize_params":
		must, example = "a table", `authorize_params = { access_type = "offline" }`
	case last == "narrow":
		must, example = "a list of tables", "[["+strings.Join(key, ".")+"]]"
	case last == "stores" || len(key) == 2 && key[0] == "stores":
		must, example = "a table", "[stores.openbao]"
	case slices.Contains([]string{"scopes", "required_scopes", "audience", "hosts", "client_secret_command", "identity_command"}, last):
		must, example = "a list", fmt.Sprintf("%s = [%s]", last, wordsOf(text, line))
	}
	remedy := hint.Say("mend the line")
	if example != "" {
		remedy = hint.Say("write it as: " + example)
	}
	return configErrorf(remedy, "configuration %s: line %d: %s must be %s", path, line, strings.Join(key, "."), must)
}

// mendLine says how a line is written that is not TOML: most often a string lacks its
// quotes, or an editor has made them curved, or the file is YAML.
func mendLine(text []byte, line int) string {
	lines := strings.Split(string(text), "\n")
	if line < 1 || line > len(lines) {
		return "mend the line"
	}
	key, value, found := strings.Cut(lines[line-1], "=")
	value = strings.Trim(strings.TrimSpace(value), "\"'“”‘’")
	key = strings.TrimSpace(key)
	switch {
	case !found && strings.HasSuffix(key, ":"):
		return "the file is TOML, not YAML: a profile begins with a line [profiles.NAME]"
	case strings.Contains(key, "secret"): // what is there is not shown
		return "mend the line"
	case found && isProfileName(key) && value != "" && !strings.ContainsAny(value, "\"[]{}#\\"):
		return fmt.Sprintf("write it as: %s = %q", key, shownWord(value))
	}
	return "mend the line"
}

// wordsOf are the words of the string on a line, as TOML has them in a list.
func wordsOf(text []byte, line int) string {
	lines := strings.Split(string(text), "\n")
	if line < 1 || line > len(lines) {
		return `"…"`
	}
	_, value, _ := strings.Cut(lines[line-1], "=")
	var one struct{ V string }
	if toml.Unmarshal([]byte("V ="+value), &one) != nil || one.V == "" {
		return `"…"`
	}
	words := strings.Fields(one.V)
	for n, word := range words {
		words[n] = fmt.Sprintf("%q", shownWord(word))
	}
	return strings.Join(words, ", ")
}

// nameLike proposes a name that is like what was typed.
func nameLike(typed string) string {
	var b strings.Builder
	for _, r := range strings.TrimSpace(typed) {
		if r < 0x80 && isProfileName("x"+string(r)) {
			b.WriteRune(r)
		} else if !strings.HasSuffix(b.String(), "-") {
			b.WriteByte('-')
		}
	}
	name := strings.Trim(b.String(), "-_")
	if name == "" || looksSecret(typed) || strings.Contains(typed, "://") || !isProfileName(name) {
		return ""
	}
	return "; did you mean " + name + "?"
}

// defaultGone is the error of a default_profile that does not exist. It names those that
// do.
func (c *config) defaultGone() error {
	names := slices.Sorted(maps.Keys(c.Profiles))
	var remedy hint.Remedy
	switch {
	case len(names) == 0:
		remedy = c.begin()
	case c.byHand.DefaultProfile != "":
		remedy = hint.Say("name another one there: " + fewOf(names))
	case len(names) == 1:
		remedy = hint.Do(hint.Run("profile", "use", names[0]))
	default:
		remedy = hint.Do(hint.Run("profile", "use", "NAME"), hint.Words("; there are "+fewOf(names)))
	}
	return configErrorf(remedy, "configuration %s: default_profile is %q, and there is no such profile", c.sourceOf("default_profile"), c.DefaultProfile)
}

// fewOf are the first names of a list that may be long.
func fewOf(names []string) string {
	const most = 20
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}
