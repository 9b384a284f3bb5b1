package setup

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"
)

// A setting is one thing that a tool's file says.
type setting struct{ section, key, value string }

// A grammar reads a file as its tool does. An error is of a file that the tool
// cannot read, or that is written in a way that setup does not know.
type grammar func(text string) ([]setting, error)

// bom is a byte order mark, with which some editors begin a file.
const bom = "\ufeff"

// pastMark makes an edit whose tool skips a byte order mark leave it where it is.
func (e *edit) pastMark() *edit {
	one := *e
	one.read = func(text string) ([]setting, error) { return e.read(strings.TrimPrefix(text, bom)) }
	one.want = func(rest string, says []setting) []setting { return e.want(strings.TrimPrefix(rest, bom), says) }
	one.put = func(text string, exists bool) (string, error) {
		rest, marked := strings.CutPrefix(text, bom)
		rest, err := e.put(rest, exists)
		if err == nil && marked {
			rest = bom + rest
		}
		return rest, err
	}
	one.cut = func(text string) (string, bool, error) {
		rest, marked := strings.CutPrefix(text, bom)
		rest, keep, err := e.cut(rest)
		if marked {
			rest = bom + rest
		}
		return rest, keep || marked, err
	}
	return &one
}

var errOthers = errors.New("the change would alter other settings in the file")

// compare refuses a change after which the file says anything else than it said
// before and what is wanted. What is wanted may be there already.
func compare(before, after, want []setting) error {
	missing := slices.DeleteFunc(slices.Clone(want), func(w setting) bool { return slices.Contains(before, w) })
	for _, added := range [][]setting{want, missing} {
		if slices.Equal(sorted(slices.Concat(before, added)), sorted(after)) {
			return nil
		}
	}
	return errOthers
}

// within reports whether all settings are among others, as often.
func within(some, all []setting) bool {
	rest := sorted(all)
	for _, s := range sorted(some) {
		n := slices.Index(rest, s)
		if n < 0 {
			return false
		}
		rest = rest[n+1:] // both are sorted
	}
	return true
}

func sorted(all []setting) []setting {
	all = slices.Clone(all)
	sort.Slice(all, func(i, j int) bool { // slices.SortFunc is 30 kB more in the program
		a, b := all[i], all[j]
		return cmp.Or(cmp.Compare(a.section, b.section), cmp.Compare(a.key, b.key), cmp.Compare(a.value, b.value)) < 0
	})
	return all
}

// values are all that a key of a section says.
func values(all []setting, section, key string) (found []string) {
	for _, s := range all {
		if s.section == section && s.key == key {
			found = append(found, s.value)
		}
	}
	return found
}

// flatten is a tree of a data format as settings. An item of a list goes by its
// name where it has one, so that its place in the list does not matter.
func flatten(section string, tree any) (all []setting) {
	switch tree := tree.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(tree)) {
			switch value := tree[key].(type) {
			case map[string]any, []any:
				all = append(all, flatten(join(section, key), value)...)
			case nil: // as if it were not there
			default:
				all = append(all, setting{section, key, fmt.Sprint(value)})
			}
		}
	case []any:
		for n, item := range tree {
			label := fmt.Sprint(n)
			if m, ok := item.(map[string]any); ok {
				if name, ok := m["name"].(string); ok {
					label = name
				}
			}
			all = append(all, flatten(section, map[string]any{"[" + label + "]": item})...)
		}
	}
	return all
}

func join(section, key string) string {
	if section == "" {
		return key
	}
	return section + "." + key
}

// textLines are the lines of a text without their ends. A control character that
// tools read in different ways is an error.
func textLines(text string) ([]string, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("not UTF-8")
	}
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for n, line := range lines {
		if strings.ContainsAny(line, "\x00\r\v\f\u0085\u2028\u2029\x1c\x1d\x1e") {
			return nil, atLine(n, "a control character")
		}
	}
	return lines, nil
}

func atLine(n int, what string) error { return fmt.Errorf("line %d: %s", n+1, what) }

func isComment(line string) bool {
	line = strings.TrimSpace(line)
	return line == "" || line[0] == '#' || line[0] == ';'
}

// header is the name of a section, of a line that is [name] alone.
func header(line string) (name string, ok bool) {
	line = strings.TrimSpace(line)
	if len(line) < 2 || line[0] != '[' || line[len(line)-1] != ']' {
		return "", false
	}
	return line[1 : len(line)-1], true
}
