package cli

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/terradue/t2-cred/helper"
)

// narrowConfig is a table [[narrow]] of a profile.
type narrowConfig struct {
	Hosts    []string `toml:"hosts"`
	Scopes   []string `toml:"scopes,omitempty"`
	Audience []string `toml:"audience,omitempty"`
}

// narrowRules are the tables as helper knows them.
func narrowRules(tables []narrowConfig) []helper.NarrowRule {
	var rules []helper.NarrowRule
	for _, t := range tables {
		rules = append(rules, helper.NarrowRule{Hosts: normalHosts(t.Hosts), Narrow: helper.Narrow{Scopes: t.Scopes, Audience: t.Audience}})
	}
	return rules
}

// normalHosts are entries of hosts in their one form. A rule whose host is written in
// another form than the profile's must match the same places, or a whole token would go
// there.
func normalHosts(hosts []string) []string {
	normal := make([]string, 0, len(hosts))
	for _, host := range hosts {
		if n, err := helper.CheckHost(host); err == nil {
			normal = append(normal, n)
		}
	}
	return normal
}

// checkNarrow refuses tables that would have no meaning, or another one than they seem
// to have.
func checkNarrow(p profileConfig) error {
	served := normalHosts(p.Hosts)
	before := map[string]int{}
	for n, t := range p.Narrow {
		wrong := func(key, format string, args ...any) error {
			return &profileError{key: key, narrow: n + 1, why: "narrow: " + fmt.Sprintf(format, args...)}
		}
		switch {
		case len(t.Hosts) == 0:
			return wrong("hosts", "hosts is missing: the hosts that get the narrower token")
		case len(t.Scopes) == 0 && len(t.Audience) == 0:
			return wrong("scopes", "scopes or audience is missing: what the hosts get")
		}
		for _, s := range slices.Concat(t.Scopes, t.Audience) {
			if !isOneWord(s) {
				key := "scopes"
				if slices.Contains(t.Audience, s) {
					key = "audience"
				}
				return wrong(key, "%q is not one scope or audience: it is empty or has a space", shownWord(s))
			}
		}
		for _, host := range t.Hosts {
			normal, err := helper.CheckHost(host)
			switch {
			case err != nil:
				return wrong("hosts", "%s", neverMatches(host, err))
			case !helper.HostWithin(normal, served):
				return wrong("hosts", "%s is not among the profile's hosts", shownWord(host))
			case before[normal] > 0:
				return wrong("hosts", "%s is in table %d already", shownWord(host), before[normal])
			}
			before[normal] = n + 1
		}
	}
	return nil
}

// lineInNth is the line of a key in the n-th table of that name, or the table's own line;
// 0 when there is no such table.
func lineInNth(text []byte, table []string, n int, key string) (line int) {
	p := unstable.Parser{}
	p.Reset(text)
	seen, inside := 0, false
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
		switch {
		case first == nil:
		case e.Kind == unstable.ArrayTable && slices.Equal(path, table):
			if seen++; seen == n {
				line = p.Shape(first.Raw).Start.Line
			}
			inside = seen == n
		case e.Kind == unstable.Table, e.Kind == unstable.ArrayTable:
			inside = false
		case inside && path[0] == key:
			return p.Shape(first.Raw).Start.Line
		}
	}
	return line
}

// narrowTables are the [[narrow]] tables of a profile's text, for a profile that is a
// table of config.toml itself.
func narrowTables(name string, text []byte) []byte {
	return bytes.ReplaceAll(text, []byte("[[narrow]]"), fmt.Appendf(nil, "[[profiles.%s.narrow]]", name))
}

// narrowLine is a table for people, on one line.
func narrowLine(rule helper.NarrowRule) string {
	return strings.Join(rule.Hosts, " ") + ": " + rule.String()
}

// narrowJSON are the tables for machines.
func narrowJSON(rules []helper.NarrowRule) []map[string]any {
	all := make([]map[string]any, 0, len(rules))
	for _, r := range rules {
		list := func(l []string) []string { return append([]string{}, l...) } // [] rather than null
		all = append(all, map[string]any{"hosts": list(r.Hosts), "scopes": list(r.Scopes), "audience": list(r.Audience)})
	}
	return all
}
