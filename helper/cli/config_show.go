package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
)

func (a *app) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "Show where the configuration is and where each value comes from", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use: "path", Short: "Print the path of config.toml", Args: noArgs,
		Long: `Print the path of config.toml, which need not exist. Commands write into the directory
profiles.d beside it. For another file that --config names, that is FILE.d.`,
		RunE: func(*cobra.Command, []string) error {
			files, err := a.configFiles()
			if err != nil {
				return err
			}
			if a.flags.json {
				return a.printJSON(map[string]string{"config": files.hand, "profiles": files.dir, "settings": files.settings()})
			}
			_, err = fmt.Fprintln(a.people(), clean(files.hand))
			return err
		},
	}, &cobra.Command{
		Use: "show", Short: "Show each value and the file, variable or flag that it comes from", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.readConfig()
			if err != nil {
				return err
			}
			if _, err := c.profile(a.flags.profile); err != nil && a.flags.profile != "" {
				a.warn(err.Error())
			}
			values := a.configValues(cmd, c)
			if a.flags.json {
				all := map[string]any{"values": values}
				if unread := a.unread(cmd.Root()); len(unread) > 0 {
					all["unread"] = unread
				}
				return a.printJSON(all)
			}
			a.warnOfUnread(cmd, true)
			var t table
			for _, v := range values {
				t.row(v.Key, clean(or(v.Value, "-")), clean(v.Source))
			}
			return a.printTable(t)
		},
	})
	return cmd
}

// A configValue is a value in use and where it comes from.
type configValue struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

// configValues are the values of this run: of the flags, of the files, and of the
// profile that is meant.
func (a *app) configValues(cmd *cobra.Command, c *config) []configValue {
	const byDefault = "default"
	given := func(flag, value, file string) string {
		switch variable := "T2_CRED_" + strings.ToUpper(flag); {
		case cmd.Flags().Changed(flag):
			return "--" + flag
		case value != "" && a.Getenv(variable) != "":
			return variable
		}
		return or(file, byDefault)
	}
	profile := or(a.flags.profile, c.DefaultProfile)
	if p, err := c.profile(""); err == nil && profile == "" {
		profile = p.Name // the only one
	}
	values := []configValue{
		{"config", c.path, given("config", a.flags.config, "")},
		{"store", or(a.flags.store, c.Store, "keyring"), given("store", a.flags.store, c.sourceOf("store"))},
		{"profile", profile, given("profile", a.flags.profile, c.sourceOf("default_profile"))},
		{"account", a.flags.account, given("account", a.flags.account, "")},
		{"timeout", a.flags.timeout.String(), given("timeout", a.flags.timeout.String(), "")},
	}
	if len(c.Identity) > 0 {
		values = append(values, configValue{"identity_command", strings.Join(c.Identity, " "), c.at("identity_command")})
	}
	if t := c.byHand.Stores.OpenBao; t != nil {
		for _, v := range t.values() {
			values = append(values, configValue{"stores.openbao." + v[0], v[1], c.at("stores", "openbao", v[0])})
		}
	}
	p, ok := c.Profiles[profile]
	if !ok {
		return values
	}
	tables := p.Narrow
	p.Narrow = nil
	for line := range strings.Lines(string(profileText(p))) {
		key, _, _ := strings.Cut(line, " = ")
		values = append(values, configValue{"profiles." + profile + "." + key, valueText(line), c.placeOf(profile, key)})
	}
	for n, rule := range narrowRules(tables) {
		key := fmt.Sprintf("profiles.%s.narrow.%d", profile, n+1)
		values = append(values, configValue{key, narrowLine(rule), c.placeOfNarrow(profile, n+1)})
	}
	return values
}

// valueText is the value on a line of TOML: a string, or the words of a list.
func valueText(line string) string {
	var one map[string]any
	_ = toml.Unmarshal([]byte(line), &one) // it was just made by Marshal
	for _, v := range one {
		if list, ok := v.([]any); ok {
			return strings.Trim(fmt.Sprint(list), "[]")
		}
		if table, ok := v.(map[string]any); ok {
			return paramsText(table)
		}
		return fmt.Sprint(v)
	}
	return ""
}

// paramsText is a table of parameters on one line, in order.
func paramsText[V any](table map[string]V) string {
	words := make([]string, 0, len(table))
	for _, name := range slices.Sorted(maps.Keys(table)) {
		words = append(words, fmt.Sprintf("%s=%v", name, table[name]))
	}
	return strings.Join(words, " ")
}

// placeOfNarrow is the file and line of a table of narrow.
func (c *config) placeOfNarrow(profile string, n int) string {
	anyKey := &profileError{narrow: n}
	if c.from[profile] == c.path {
		return atKey(c.path, c.byHand.text, anyKey, "profiles", profile)
	}
	text, _ := readConfigFile(c.from[profile]) // as in placeOf
	return atKey(c.from[profile], text, anyKey)
}

// placeOf is the file and line of a profile's key.
func (c *config) placeOf(profile, key string) string {
	if c.from[profile] == c.path {
		return c.at("profiles", profile, key)
	}
	text, _ := readConfigFile(c.from[profile]) // just read; without it the file alone is named
	return at(c.from[profile], text, key)
}
