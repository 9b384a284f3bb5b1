package setup

import (
	"errors"
	"fmt"
	"strings"
)

// yamlReader reads the part of YAML that people and kubectl write into a
// kubeconfig. Anchors, tags, and values of more than one line (except | and >) are refused, since a change could mean another thing there.
type yamlReader struct {
	lines []string
	at    int
}

func readKubeconfig(text string) ([]setting, error) {
	lines, err := textLines(text)
	if err != nil {
		return nil, err
	}
	if lines[0] == "---" {
		lines[0] = ""
	}
	for n, line := range lines {
		if trimmed := strings.TrimLeft(line, " "); trimmed != "" && trimmed[0] == '\t' {
			return nil, atLine(n, "indented by a tab")
		}
	}
	r := &yamlReader{lines: lines}
	r.skip()
	if r.at == len(lines) {
		return nil, nil
	}
	tree, err := r.node()
	if err == nil && r.at < len(lines) {
		err = errors.New("not of one kubeconfig in YAML's block style")
	}
	if _, ok := tree.(map[string]any); err == nil && !ok {
		err = errors.New("not of one kubeconfig in YAML's block style")
	}
	if err != nil {
		return nil, atLine(min(r.at, len(lines)-1), err.Error())
	}
	return flatten("", tree), nil
}

// skip passes over empty lines and comments.
func (r *yamlReader) skip() {
	for r.at < len(r.lines) {
		line := strings.TrimLeft(r.lines[r.at], " ")
		if line != "" && line[0] != '#' {
			return
		}
		r.at++
	}
}

// indent is that of the line at hand, -1 at the end.
func (r *yamlReader) indent() int {
	if r.at == len(r.lines) {
		return -1
	}
	return len(r.lines[r.at]) - len(strings.TrimLeft(r.lines[r.at], " "))
}

func isItem(line string) bool { return line == "-" || strings.HasPrefix(line, "- ") }

// node is a mapping or a list whose first line is at hand.
func (r *yamlReader) node() (any, error) {
	indent := r.indent()
	if isItem(r.lines[r.at][indent:]) {
		return r.list(indent)
	}
	return r.mapping(indent)
}

func (r *yamlReader) list(indent int) (any, error) {
	all := []any{}
	for r.indent() == indent && isItem(r.lines[r.at][indent:]) {
		rest := strings.TrimLeft(r.lines[r.at][indent+1:], " ")
		var item any
		var err error
		if _, _, ok := yamlKey(rest); ok || isItem(rest) {
			// What follows on the line stands as if it were on a line of its own.
			at := len(r.lines[r.at]) - len(rest)
			r.lines[r.at] = strings.Repeat(" ", at) + rest
			item, err = r.node()
		} else {
			item, err = r.value(rest, indent)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, item)
	}
	if r.indent() > indent {
		return nil, errors.New("wrong indentation")
	}
	return all, nil
}

func (r *yamlReader) mapping(indent int) (any, error) {
	all := map[string]any{}
	for r.indent() == indent && !isItem(r.lines[r.at][indent:]) {
		key, rest, ok := yamlKey(r.lines[r.at][indent:])
		if !ok {
			return nil, errors.New("not of one kubeconfig in YAML's block style")
		}
		if _, twice := all[key]; twice {
			return nil, fmt.Errorf("duplicate key %s", key)
		}
		value, err := r.value(rest, indent)
		if err != nil {
			return nil, err
		}
		all[key] = value
	}
	if r.indent() > indent {
		return nil, errors.New("wrong indentation")
	}
	return all, nil
}

// yamlKey splits a line into its key and what follows the colon.
func yamlKey(line string) (key, rest string, ok bool) {
	if line != "" && (line[0] == '"' || line[0] == '\'') {
		end := strings.IndexByte(line[1:], line[0])
		if end < 0 || strings.Contains(line[1:end+1], `\`) {
			return "", "", false
		}
		key, rest = line[1:end+1], line[end+2:]
	} else {
		end := strings.Index(line+" ", ": ")
		if end <= 0 || strings.IndexByte("{[&*!|>%@`#?,]}-", line[0]) >= 0 && !strings.HasPrefix(line, "--") || strings.Contains(line[:end], " #") {
			return "", "", false
		}
		key, rest = strings.TrimSpace(line[:end]), line[end:]
	}
	if rest != ":" && !strings.HasPrefix(rest, ": ") {
		return "", "", false
	}
	return key, strings.TrimLeft(rest[1:], " "), true
}

// value is what follows a key or a dash: on its line, or on the next lines.
func (r *yamlReader) value(rest string, indent int) (any, error) {
	first := r.at
	r.at++
	switch {
	case rest == "" || rest[0] == '#':
		r.skip()
		dash := r.indent() == indent && isItem(r.lines[r.at][indent:]) && !isItem(strings.TrimLeft(r.lines[first], " "))
		if r.indent() > indent || dash {
			return r.node()
		}
		return nil, nil
	case rest[0] == '|' || rest[0] == '>':
		head := strings.TrimLeft(rest[1:], "+-0123456789")
		if trimmed := strings.TrimLeft(head, " "); trimmed != "" && (trimmed == head || trimmed[0] != '#') {
			return nil, errors.New("text on the line of a block scalar")
		}
		var text []string
		for r.at < len(r.lines) && (strings.TrimSpace(r.lines[r.at]) == "" || r.indent() > indent) {
			text = append(text, r.lines[r.at])
			r.at++
		}
		r.skip()
		return strings.TrimRight(strings.Join(text, "\n"), " \n"), nil
	}
	s := &yamlFlow{text: rest}
	value, err := s.value(false)
	if err != nil {
		r.at = first
		return nil, err
	}
	if left := strings.TrimLeft(s.text[s.at:], " "); left != "" && (left[0] != '#' || s.text[s.at] != ' ') {
		r.at = first
		return nil, errors.New("text after the end of a value")
	}
	if word, ok := value.(string); ok && rest[0] != '"' && rest[0] != '\'' && strings.TrimSpace(s.text[s.at:]) == "" {
		if value, err = r.goesOn(word, indent); err != nil {
			return nil, err
		}
	}
	r.skip()
	if r.indent() > indent {
		return nil, errors.New("a value of more than one line")
	}
	return value, nil
}

// goesOn is a plain value with its further lines, as gcloud writes an installHint.
func (r *yamlReader) goesOn(word string, indent int) (string, error) {
	for {
		next := r.at
		for next < len(r.lines) && strings.TrimSpace(r.lines[next]) == "" {
			next++
		}
		if next == len(r.lines) {
			return word, nil
		}
		line := strings.TrimSpace(r.lines[next])
		if len(r.lines[next])-len(strings.TrimLeft(r.lines[next], " ")) <= indent || line[0] == '#' {
			return word, nil
		}
		if _, _, isKey := yamlKey(line); isKey || isItem(line) || strings.Contains(line, " #") || strings.Contains(line+" ", ": ") {
			return "", errors.New("a value of more than one line")
		}
		word += " " + line
		r.at = next + 1
	}
}

// yamlFlow reads a value that lies on one line.
type yamlFlow struct {
	text string
	at   int
}

func (s *yamlFlow) space() {
	for s.at < len(s.text) && s.text[s.at] == ' ' {
		s.at++
	}
}

func (s *yamlFlow) value(within bool) (any, error) {
	s.space()
	if s.at == len(s.text) {
		return nil, errors.New("a list or mapping without its end on the line")
	}
	switch c := s.text[s.at]; {
	case c == '[' || c == '{':
		return s.collection(c)
	case c == '"' || c == '\'':
		return s.quoted(c)
	case strings.IndexByte("&*!%@`|>\t", c) >= 0:
		return nil, errors.New("an anchor, alias or tag, which t2-cred does not read")
	case c == ']' || c == '}' || c == ',' || (c == '-' || c == '?') && strings.HasPrefix(s.text[s.at+1:]+" ", " "):
		return nil, fmt.Errorf("a value that begins with %q", c)
	}
	start := s.at
	for s.at < len(s.text) {
		rest := s.text[s.at:]
		if strings.HasPrefix(rest, " #") || within && strings.IndexByte(",]}", rest[0]) >= 0 || within && strings.HasPrefix(rest+" ", ": ") {
			break
		}
		if strings.HasPrefix(rest+" ", ": ") {
			return nil, errors.New("a value with a colon in it")
		}
		s.at++
	}
	word := strings.TrimSpace(s.text[start:s.at])
	if word == "null" || word == "~" {
		return nil, nil
	}
	return word, nil
}

func (s *yamlFlow) quoted(quote byte) (any, error) {
	var b strings.Builder
	for s.at++; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == '\\' && quote == '"':
			b.WriteByte(c)
			if s.at++; s.at < len(s.text) {
				b.WriteByte(s.text[s.at])
			}
		case c == quote && quote == '\'' && strings.HasPrefix(s.text[s.at+1:], "'"):
			s.at++
			b.WriteByte(c)
		case c == quote:
			s.at++
			return b.String(), nil
		default:
			b.WriteByte(c)
		}
	}
	return nil, errors.New("a string without its end on the line")
}

func (s *yamlFlow) collection(open byte) (any, error) {
	list, all, end := []any{}, map[string]any{}, byte(']')
	if open == '{' {
		end = '}'
	}
	for s.at++; ; {
		s.space()
		if s.at < len(s.text) && s.text[s.at] == end {
			s.at++
			if open == '{' {
				return all, nil
			}
			return list, nil
		}
		item, err := s.value(true)
		if err != nil {
			return nil, err
		}
		s.space()
		if open == '{' {
			key := fmt.Sprint(item)
			if _, twice := all[key]; twice || !strings.HasPrefix(s.text[s.at:], ":") {
				return nil, errors.New("a mapping that cannot be read")
			}
			s.at++
			if item, err = s.value(true); err != nil {
				return nil, err
			}
			all[key] = item
			s.space()
		}
		list = append(list, item)
		switch {
		case strings.HasPrefix(s.text[s.at:], ","):
			s.at++
		case s.at == len(s.text) || s.text[s.at] != end:
			return nil, errors.New("a list or mapping without its end on the line")
		}
	}
}
