package setup

import (
	"errors"
	"fmt"
	"strings"
)

// gitReader reads a configuration file as git does: git-config(1), "Syntax".
type gitReader struct {
	text string // its lines end with \n
	at   int
}

func readGitConfig(text string) (all []setting, err error) {
	if strings.ContainsRune(text, 0) {
		return nil, errors.New("a control character")
	}
	r := &gitReader{text: strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n")}
	section := ""
	for r.at < len(r.text) {
		switch c := r.text[r.at]; {
		case strings.IndexByte(" \t\n\r", c) >= 0:
			r.at++
		case c == '#' || c == ';':
			for r.at < len(r.text) && r.text[r.at] != '\n' {
				r.at++
			}
		case c == '[':
			r.at++
			if section, err = r.section(); err != nil {
				return nil, r.failed(err)
			}
		case isLetter(c):
			key := strings.ToLower(r.word(""))
			value, err := r.value()
			if err != nil {
				return nil, r.failed(err)
			}
			all = append(all, setting{section, key, value})
		default:
			return nil, r.failed(errors.New("no key and no section"))
		}
	}
	return all, nil
}

func (r *gitReader) failed(err error) error {
	return fmt.Errorf("line %d: %w", strings.Count(r.text[:min(r.at, len(r.text))], "\n")+1, err)
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// word is letters, digits, dashes and the other characters.
func (r *gitReader) word(others string) string {
	start := r.at
	for r.at < len(r.text) && Plain(r.text[r.at:r.at+1], "-"+others) {
		r.at++
	}
	return r.text[start:r.at]
}

// section is [name], [name "sub"] or, of old, [name.sub]. Only a sub in quotes keeps
// its case.
func (r *gitReader) section() (string, error) {
	broken := errors.New("a section without its name or ]")
	name := strings.ToLower(r.word("."))
	rest := r.text[r.at:]
	if name == "" {
		return "", broken
	}
	if strings.HasPrefix(rest, "]") {
		r.at++
		return name, nil
	}
	sub := strings.TrimLeft(rest, " \t")
	if sub == rest || !strings.HasPrefix(sub, `"`) {
		return "", broken
	}
	r.at += len(rest) - len(sub) + 1
	var b strings.Builder
	for ; r.at < len(r.text); r.at++ {
		switch c := r.text[r.at]; {
		case c == '\n':
			return "", broken
		case c == '"':
			if r.at++; !strings.HasPrefix(r.text[r.at:], "]") {
				return "", broken
			}
			r.at++
			return name + "." + b.String(), nil
		case c == '\\' && r.at+1 < len(r.text) && r.text[r.at+1] != '\n':
			r.at++
			b.WriteByte(r.text[r.at])
		default:
			b.WriteByte(c)
		}
	}
	return "", broken
}

// value is what follows a key, up to the end of the line that it does not continue.
func (r *gitReader) value() (string, error) {
	rest := strings.TrimLeft(r.text[r.at:], " \t")
	r.at = len(r.text) - len(rest)
	switch {
	case rest == "" || rest[0] == '\n':
		return "true", nil
	case rest[0] != '=':
		return "", errors.New("a key without =")
	}
	var b strings.Builder
	quoted, comment, kept := false, false, 0
	for r.at++; r.at < len(r.text); r.at++ {
		c := r.text[r.at]
		if c == '\n' {
			break
		}
		switch {
		case comment:
			continue
		case !quoted && strings.IndexByte(" \t\r", c) >= 0:
			if b.Len() > 0 {
				b.WriteByte(c)
			}
			continue // kept where more follows
		case !quoted && (c == '#' || c == ';'):
			comment = true
			continue
		case c == '"':
			quoted = !quoted
		case c == '\\':
			r.at++
			if r.at == len(r.text) || r.text[r.at] == '\n' {
				continue
			}
			n := strings.IndexByte(`tbn\"`, r.text[r.at])
			if n < 0 {
				return "", errors.New("an unknown escape")
			}
			b.WriteByte("\t\b\n\\\""[n])
		default:
			b.WriteByte(c)
		}
		kept = b.Len()
	}
	if quoted {
		return "", errors.New("a string without its end")
	}
	return b.String()[:kept], nil
}
