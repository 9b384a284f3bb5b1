package keyring

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/terradue/t2-cred/store/backend"
)

// security is macOS' program of that name as far as go-keyring uses it, by its
// published source (SecurityTool/security.c, readline.c): an input line of 4,096
// bytes with its end, words in quotes of either kind, and the exit code of the last
// line alone. It is what can be had without a Mac of the limits that go-keyring's
// keyring_darwin.go meets.
type security struct {
	items map[[2]string]string // by service and account
	lines []string             // that it was given
}

const (
	securityLine     = 4096
	securityNotFound = 44
)

// interactive is `security -i`.
func (s *security) interactive(stdin string) (exit int) {
	for stdin != "" {
		// A buffer that is full ends the line before its line feed, which then is an
		// empty line: a command that succeeds (zalando/go-keyring#153).
		line := stdin[:min(len(stdin), securityLine-1)]
		rest := stdin[len(line):]
		if i := strings.IndexByte(line, '\n'); i >= 0 {
			line, rest = stdin[:i], stdin[i+1:]
		} else if rest == "" {
			return exit // the end of the input: what is left is not looked at
		}
		stdin = rest
		s.lines = append(s.lines, line)
		exit = s.run(securityWords(line))
	}
	return exit
}

// securityWords splits a line as split_line does. A quote ends a word, so that a
// shell's 'it'"'"'s' is three of them.
func securityWords(line string) (words []string) {
	var word strings.Builder
	var quote byte
	inside, escaped := false, false
	end := func() { words = append(words, word.String()); word.Reset(); inside, quote = false, 0 }
	for i := range len(line) {
		c := line[i]
		switch {
		case escaped:
			word.WriteByte(c)
			escaped = false
		case !inside && strings.IndexByte(" \t\r\v\f", c) >= 0:
		case !inside && (c == '"' || c == '\''):
			inside, quote = true, c
		case c == '\\':
			inside, escaped = true, true
		case inside && (quote != 0 && c == quote || quote == 0 && c == ' '):
			end()
		default:
			inside = true
			word.WriteByte(c)
		}
	}
	if inside {
		end()
	}
	return words
}

func (s *security) run(words []string) (exit int) {
	if len(words) == 0 {
		return 0
	}
	if words[0] != "add-generic-password" || len(words) != 8 || words[1] != "-U" || words[2] != "-s" || words[4] != "-a" || words[6] != "-w" {
		return 2 // its usage
	}
	s.items[[2]string{words[3], words[5]}] = words[7]
	return 0
}

// macKeyring does with security what go-keyring's Set, Get and Delete do, and then
// what vault does with those.
type macKeyring struct {
	*security
	service string
}

const macPrefix = "go-keyring-base64:"

func (m macKeyring) set(ctx op, name, value string) error {
	line := fmt.Sprintf("add-generic-password -U -s %s -a %s -w %s\n",
		macQuote(m.service), macQuote(name), macQuote(macPrefix+base64.StdEncoding.EncodeToString([]byte(value))))
	if len(line) > 4096 {
		return backend.Errorf(backend.ErrTooLarge, nil, nil, "a line of %d bytes", len(line))
	}
	if exit := m.interactive(line); exit != 0 {
		return refused(fmt.Errorf("exit status %d", exit))
	}
	if got, err := m.get(ctx, name); err != nil || got != value {
		return backend.NotKept()
	}
	return nil
}

func (m macKeyring) get(_ op, name string) (string, error) {
	value, exit := m.find(m.service, name)
	if exit == securityNotFound {
		return "", backend.NotFound()
	}
	b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(value, macPrefix))
	return string(b), err
}

func (m macKeyring) del(_ op, name string) error {
	delete(m.items, [2]string{m.service, name})
	return nil
}

func (s *security) find(service, account string) (value string, exit int) {
	value, ok := s.items[[2]string{service, account}]
	if !ok {
		return "", securityNotFound
	}
	return value, 0
}

// macQuote is the quoting of go-keyring's internal/shellescape.
func macQuote(s string) string {
	for i := range len(s) {
		c := s[i]
		if c != '_' && strings.IndexByte("@%+=:,./-", c) < 0 && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return "'" + strings.ReplaceAll(s, "'", `'"'"'`) + "'"
		}
	}
	return s
}

// TestSplit_throughSecurity keeps values of every awkward size under the longest and
// oddest names, through the line that go-keyring writes to macOS' security.
func TestSplit_throughSecurity(t *testing.T) {
	ctx := op{Context: context.Background()}
	limit := itemLimit("darwin")
	// As package store escapes names: the longest parts, and what shells would read.
	longest := strings.Repeat("%c3%89", 6) + "%c3~abcdefghijklmnop"
	for _, name := range []string{
		"grant,gep,alice",
		"grant," + longest + "," + longest,
		"grant,it%27s%22a%5cb,%24%28id%29%3b%27%22%27%22%27",
		"grant,%7e,a%7eb%7cc%26d",
	} {
		m := macKeyring{&security{items: map[[2]string]string{}}, "t2-cred-" + strings.Repeat("x", 16)}
		s := splitter{items: m, limit: limit}
		for _, n := range []int{0, 1, limit - 2, limit - 1, limit, limit - chunkHeader, 2 * (limit - chunkHeader), 3*limit + 1, backend.MaxValue, 5} {
			value := strings.Repeat("'\\ \"é\n", n/7+1)[:n]
			h, err := s.readHead(ctx, name)
			if err == nil {
				_, err = s.save(ctx, name, value, h)
			}
			if err != nil {
				t.Fatalf("%v, %d bytes: %v", name, n, err)
			}
			if got, _, err := s.load(ctx, name); err != nil || got != value {
				t.Fatalf("%v, %d bytes: read %d, %v", name, n, len(got), err)
			}
		}
		for _, line := range m.lines {
			if len(line) >= securityLine-1 {
				t.Errorf("%v: a line of %d bytes", name, len(line))
			}
		}
		if err := s.remove(ctx, name); err != nil || len(m.items) > 0 {
			t.Errorf("%v: %v, left %d items", name, err, len(m.items))
		}
	}
}

// TestSecurity_isAsNarrow: what the splitter keeps clear of does fail there.
func TestSecurity_isAsNarrow(t *testing.T) {
	ctx := op{Context: context.Background()}
	m := macKeyring{&security{items: map[[2]string]string{}}, "s"}
	room := 4096 - len("add-generic-password -U -s s -a n -w "+macPrefix+"\n")
	most := room / 4 * 3
	if err := m.set(ctx, "n", strings.Repeat("x", most-3)); err != nil {
		t.Errorf("%d bytes: %v", most-3, err)
	}
	// That a line of 4,096 bytes with its end has failed is not told.
	for n, want := range map[int]int{securityLine - 2: 2, securityLine - 1: 0} {
		if exit := m.interactive("fail" + strings.Repeat(" x", n)[:n-4] + "\n"); exit != want {
			t.Errorf("a bad line of %d bytes: exit %d, want %d", n, exit, want)
		}
	}
	if err := m.set(ctx, "n", strings.Repeat("x", most+3)); !errors.Is(err, backend.ErrTooLarge) {
		t.Errorf("%d bytes: %v", most+3, err)
	}
	if err := m.set(ctx, "it's", "x"); err == nil {
		t.Error("a quote in a name does no harm")
	}
	if _, err := m.get(ctx, "nobody"); !errors.Is(err, backend.ErrNotFound) {
		t.Errorf("an item that is not there: %v", err)
	}
}
