package setup

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/terradue/t2-cred/helper/hint"
)

// planCargo adds the provider to each registry. cargo would ask a provider for all
// registries about any index that a manifest names. The index then says where the token
// is sent.
func planCargo(e Env, p Profile, o Options) (Plan, error) {
	file, err := e.cargoConfig()
	if err != nil {
		return Plan{}, err
	}
	for _, name := range o.Registries {
		if !Plain(name, "-_") {
			return Plan{}, usageError(fmt.Sprintf("--registry %q is not the name of a registry", name))
		}
	}
	c := cargo{profile: p, command: append([]string{e.Program}, p.Flags...), named: o.Registries}
	plan := Plan{
		why:   "cargo asks t2-cred for these registries of the profile's hosts, and its own providers for all others.",
		edits: append([]*edit{c.edit(file)}, elsewhere(o, file, c.edit, strings.TrimSuffix(file, ".toml"), strings.TrimSuffix(file, ".toml")+".toml")...),
	}
	for _, name := range o.Registries {
		if v := "CARGO_REGISTRIES_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "_CREDENTIAL_PROVIDER"; e.Getenv(v) != "" {
			plan.warnings = append(plan.warnings, v+" is set in the environment and comes before the file; unset it")
		}
	}
	return plan, nil
}

// cargoConfig is the file that cargo reads. If both exist, it is the one without .toml.
func (e Env) cargoConfig() (string, error) {
	old, err := e.homeFile("CARGO_HOME", ".cargo", "config")
	if err != nil || isThere(old) {
		return old, err
	}
	return old + ".toml", nil
}

// cargo adds a line to the tables of registries. A block would have to lie in each of
// them, so our line is found by its content.
type cargo struct {
	profile Profile
	command []string
	named   []string // registries that a project's own file describes
}

func (c cargo) edit(file string) *edit {
	return (&edit{file: file, lines: c.shown(), read: readTOML, refuse: c.refuse, want: c.want, put: c.put, cut: c.cut}).pastMark()
}

// shown are the lines to put in by hand.
func (c cargo) shown() []string {
	if len(c.named) == 0 {
		return []string{"[registries.NAME]", c.line("")}
	}
	var lines []string
	for _, name := range c.named {
		lines = append(lines, "[registries."+name+"]", c.line(""))
	}
	return lines
}

func (c cargo) block() block { return block{profile: c.profile.Name} }

func (c cargo) line(prefix string) string {
	return prefix + `credential-provider = ["` + strings.Join(c.command, `", "`) + `"]`
}

// isOurs reports whether a line is one that we write for this profile and account.
func (c cargo) isOurs(line string) bool {
	key, value, ok := strings.Cut(line, "=")
	var words []string
	key = strings.TrimSpace(key[strings.LastIndexByte(key, '.')+1:]) // of a dotted one, also with spaces
	if !ok || key != "credential-provider" || json.Unmarshal([]byte(value), &words) != nil {
		return false
	}
	return len(words) > 0 && !strings.ContainsAny(strings.Join(words, ""), " \t") && runsUs(strings.Join(words, " "), c.profile.Flags...)
}

// registries are the tables of a file's registries by name.
func registries(text string) (map[string]map[string]any, error) {
	var all struct{ Registries map[string]map[string]any }
	if err := toml.Unmarshal([]byte(text), &all); err != nil {
		return nil, fmt.Errorf("not TOML, or not as cargo has it: %w", err)
	}
	return all.Registries, nil
}

// served are the names of the registries to write to.
func (c cargo) served(text string) (names []string, err error) {
	all, err := registries(text)
	if err != nil {
		return nil, err
	}
	for name, says := range all {
		if index, _ := says["index"].(string); c.serves(index) {
			names = append(names, name)
		}
	}
	for _, name := range c.named {
		if index, ok := all[name]["index"].(string); ok && !c.serves(index) {
			return nil, fmt.Errorf("the index of the registry %s is at no host of the profile %s", name, c.profile.Name)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func (c cargo) serves(index string) bool {
	_, address, ok := strings.Cut(index, "+")
	if !ok {
		address = index
	}
	return c.profile.servesAddress(address)
}

func (c cargo) refuse(says []setting) error {
	names := c.namesIn(says)
	if len(names) == 0 {
		return configRemedy("no registry in it has its index at a host of the profile "+c.profile.Name,
			hint.Words("name one that a project's own file describes: "), hint.Run("setup", "cargo", "--registry", "NAME", "--write").With(c.profile.Flags...))
	}
	for _, name := range names {
		const key = "credential-provider"
		section := "registries." + name
		var words []string
		for _, s := range says {
			if s.section == section && s.key == key || s.section == join(section, key) {
				words = append(words, s.value)
			}
		}
		if words != nil {
			return c.profile.taken("cargo", "a credential-provider for the registry "+name, strings.Join(words, " "))
		}
	}
	return nil
}

func (c cargo) want(_ string, says []setting) []setting {
	tables := map[string]any{}
	for _, name := range c.namesIn(says) {
		words := []any{}
		for _, word := range c.command {
			words = append(words, word)
		}
		tables[name] = map[string]any{"credential-provider": words}
	}
	return flatten("", map[string]any{"registries": tables})
}

// namesIn are the registries to write to, from the settings of the file.
func (c cargo) namesIn(says []setting) []string {
	names := slices.Clone(c.named)
	for _, s := range says {
		if name, ok := strings.CutPrefix(s.section, "registries."); ok && s.key == "index" && c.serves(s.value) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// put adds the line before the one with the index, so that a last line without a newline
// stays the last. A block at the end has the registries that are not in the file.
func (c cargo) put(text string, exists bool) (string, error) {
	rest, _, err := c.cut(text)
	if err != nil {
		return "", err
	}
	names, err := c.served(rest)
	if err != nil {
		return "", err
	}
	all, err := registries(rest)
	if err != nil {
		return "", err
	}
	if text, err = c.cutAround(text); err != nil {
		return "", err
	}
	eol, b := eolOf(text), c.block()
	for _, name := range names {
		if len(all[name]) == 0 {
			b.lines = append(b.lines, "[registries."+name+"]", c.line(""))
			continue
		}
		at, before := cargoIndex(text, name)
		if at < 0 {
			return "", fmt.Errorf("setup cannot edit the registry %s as it is written; add to it: %s", name, c.line(""))
		}
		text = text[:at] + c.line(before) + eol + text[at:]
	}
	if len(b.lines) == 0 {
		text, _, err = b.cut(text)
		return text, err
	}
	return b.put(text, exists)
}

// cargoIndex is the offset of the line with a registry's index, or -1, and the text
// before the key: an indentation, and the registry's name in a table of all.
func cargoIndex(text, name string) (at int, before string) {
	quoted := `["']?` + regexp.QuoteMeta(name) + `["']?`
	table := regexp.MustCompile(`^\s*\[\s*registries\s*\.\s*` + quoted + `\s*\]`)
	tables := regexp.MustCompile(`^\s*\[\s*registries\s*\]`)
	index := regexp.MustCompile(`^(\s*)index\s*=`)
	dotted := regexp.MustCompile(`^(\s*` + quoted + `\s*\.\s*)index\s*=`)
	whole := regexp.MustCompile(`^(\s*registries\s*\.\s*` + quoted + `\s*\.\s*)index\s*=`)
	looked := whole // before the first table
	for line := range strings.Lines(text) {
		switch {
		case table.MatchString(line):
			looked = index
		case tables.MatchString(line):
			looked = dotted
		case strings.HasPrefix(strings.TrimSpace(line), "["):
			looked = nil
		case looked != nil:
			if m := looked.FindStringSubmatch(line); m != nil {
				return at, m[1]
			}
		}
		at += len(line)
	}
	return -1, ""
}

func (c cargo) cut(text string) (rest string, keep bool, err error) {
	rest, keep, err = c.block().cut(text)
	if err != nil {
		return text, true, err
	}
	return c.cutLines(rest), keep, nil
}

// cutAround removes our lines from the tables and leaves the block.
func (c cargo) cutAround(text string) (string, error) {
	start, stop, _, found, err := c.block().find(text)
	if err != nil || !found {
		return c.cutLines(text), err
	}
	return c.cutLines(text[:start]) + text[start:stop] + c.cutLines(text[stop:]), nil
}

// cutLines removes our lines from the tables. A line inside of a string that looks like
// ours stays.
func (c cargo) cutLines(text string) string {
	before, err := readTOML(text)
	at := 0
	for line := range strings.Lines(text) {
		if !c.isOurs(line) {
			at += len(line)
			continue
		}
		rest := text[:at] + text[at+len(line):]
		after, errAfter := readTOML(rest)
		if err == nil && (errAfter != nil || !within(after, before)) {
			at += len(line)
			continue
		}
		text, before = rest, after
	}
	return text
}
