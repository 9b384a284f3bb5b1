package hook

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// An attribute is one line of the protocols that speak in "key=value" lines,
// git's above all: https://git-scm.com/docs/git-credential#IOFMT. A key that ends
// with "[]" may come more than once.
type attribute struct{ key, value string }

type attributes []attribute

// maxLine is the longest line, its end included, that such a protocol has.
const maxLine = 65535

// readAttributes reads lines up to an empty one or the end of the input. A line
// ends with LF alone. A reader that ends lines at a CR too, or stops at a NUL, reads
// another host than the tool meant (CVE-2020-5260, CVE-2024-50338, CVE-2024-52006).
// So control characters are refused, except the tab, which HTTP allows in headers.
func readAttributes(r io.Reader) (attributes, error) {
	in := bufio.NewReader(io.LimitReader(r, maxInput+1))
	var all attributes
	for total := 0; ; {
		line, err := in.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if total += len(line); total > maxInput || len(line) > maxLine {
			return nil, errors.New("it is longer than any request of the protocol's")
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			return all, nil // where the input ends, too
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || key == "" {
			return nil, errors.New("a line is not key=value")
		}
		if strings.ContainsFunc(line, isControl) {
			return nil, errors.New("a control character is in it")
		}
		if _, twice := all.get(key); twice && !strings.HasSuffix(key, "[]") {
			return nil, fmt.Errorf("%q stands there twice", key)
		}
		all = append(all, attribute{key, value})
	}
}

// get is the one value of a key, and whether it is there at all.
func (a attributes) get(key string) (value string, ok bool) {
	for _, at := range a {
		if at.key == key {
			return at.value, true
		}
	}
	return "", false
}

// list is all values of a key that ends with "[]": an empty one clears those
// before it.
func (a attributes) list(key string) (values []string) {
	for _, at := range a {
		switch {
		case at.key != key:
		case at.value == "":
			values = nil
		default:
			values = append(values, at.value)
		}
	}
	return values
}

// write writes all lines at once, or none. It refuses a value with a control character,
// which the tool could read as another line.
func (a attributes) write(w io.Writer) error {
	var b strings.Builder
	for _, at := range a {
		if strings.ContainsFunc(at.value, isControl) {
			return fmt.Errorf("%s: a control character is in it", at.key)
		}
		b.WriteString(at.key + "=" + at.value + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// isControl reports whether no value of a line protocol may contain r.
func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
