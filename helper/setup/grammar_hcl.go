package setup

import (
	"errors"
	"fmt"
	"strings"
)

// hclReader reads Terraform's CLI configuration: HCL without expressions.
type hclReader struct {
	text string
	at   int
	all  []setting
}

func readHCL(text string) ([]setting, error) {
	if strings.ContainsRune(text, 0) {
		return nil, errors.New("a control character")
	}
	r := &hclReader{text: text}
	if err := r.body("", false); err != nil {
		return nil, fmt.Errorf("line %d: %w", strings.Count(r.text[:min(r.at, len(r.text))], "\n")+1, err)
	}
	return r.all, nil
}

// next is the next word, string or sign, with comments left out; "" at the end.
func (r *hclReader) next() (string, error) {
	for r.at < len(r.text) {
		rest := r.text[r.at:]
		switch c := rest[0]; {
		case strings.IndexByte(" \t\r\n,", c) >= 0: // a comma only separates
			r.at++
		case c == '#' || strings.HasPrefix(rest, "//"):
			n := strings.IndexByte(rest+"\n", '\n')
			r.at += n
		case strings.HasPrefix(rest, "/*"):
			n := strings.Index(rest, "*/")
			if n < 0 {
				return "", errors.New("a comment without its end")
			}
			r.at += n + 2
		case strings.HasPrefix(rest, "<<"):
			return "", errors.New("a heredoc, which t2-cred does not read")
		case c == '"':
			return r.quoted()
		case strings.IndexByte("={}[]", c) >= 0:
			r.at++
			return rest[:1], nil
		default:
			n := 0
			for n < len(rest) && Plain(rest[n:n+1], "_-.+") {
				n++
			}
			if n == 0 {
				return "", fmt.Errorf("unexpected %q", c)
			}
			r.at += n
			return rest[:n], nil
		}
	}
	return "", nil
}

func (r *hclReader) quoted() (string, error) {
	start := r.at
	for r.at++; r.at < len(r.text); r.at++ {
		switch r.text[r.at] {
		case '\n':
			return "", errors.New("a string without its end")
		case '\\':
			r.at++
		case '"':
			r.at++
			return r.text[start:r.at], nil
		}
	}
	return "", errors.New("a string without its end")
}

// body is settings and blocks up to the } that ends it, or the end of the file.
func (r *hclReader) body(section string, nested bool) error {
	for {
		key, err := r.next()
		switch {
		case err != nil:
			return err
		case key == "" && !nested, key == "}" && nested:
			return nil
		case key == "":
			return errors.New("a block without its }")
		case strings.Contains("={}[]", key):
			return fmt.Errorf("unexpected %s", key)
		}
		name := join(section, strings.Trim(key, `"`))
		for what := ""; what != "{"; {
			if what, err = r.next(); err != nil {
				return err
			}
			if what == "=" {
				if what, err = r.next(); err != nil {
					return err
				}
				if what != "{" {
					value, err := r.value(what)
					if err != nil {
						return err
					}
					r.all = append(r.all, setting{section, strings.Trim(key, `"`), value})
					break
				}
			}
			switch {
			case what == "{":
				r.all = append(r.all, setting{name, "{", ""}) // also of an empty block
				if err := r.body(name, true); err != nil {
					return err
				}
			case what == "" || strings.Contains("}[]", what):
				return fmt.Errorf("%s has no value", key)
			default:
				name = join(name, strings.Trim(what, `"`))
			}
		}
	}
}

// value is a string, a number, true, false, or a list of them.
func (r *hclReader) value(first string) (string, error) {
	switch {
	case first == "[":
		list := "["
		for {
			item, err := r.next()
			if err != nil || item == "]" {
				return list + "]", err
			}
			if item, err = r.value(item); err != nil {
				return "", err
			}
			list += item + ","
		}
	case first == "true", first == "false", first != "" && (first[0] == '"' || first[0] >= '0' && first[0] <= '9' || first[0] == '-'):
		return first, nil
	}
	return "", fmt.Errorf("%q is not a value", first)
}
