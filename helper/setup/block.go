package setup

import (
	"errors"
	"fmt"
	"hash/crc32"
	"path"
	"slices"
	"strings"
)

// A block is lines of ours in a file of somebody else's, between two comments
// that name the profile. What is outside is never touched. The first comment also
// remembers what a later undo cannot see: that there was no file, say, or that its
// last line had no end. The second has a checksum of the lines, so that what
// somebody else has changed among them is never written over.
type block struct {
	profile string
	lines   []string
	// loose, where it is set, is whether a line is just as ours, without the comments,
	// which another tool dropped.
	loose func(line string) bool
}

const (
	noteNewFile = " (the file was not there before)"
	noteNoEnd   = " (the line before had no end)"
)

func (b block) begin() string { return "# t2-cred " + b.profile + " begin" }
func (b block) end() string   { return "# t2-cred " + b.profile + " end" }

// sum is of lines, however they end.
func sum(lines []string) string {
	return fmt.Sprintf(" %08x", crc32.ChecksumIEEE([]byte(strings.Join(lines, "\n"))))
}

var (
	errBlock  = errors.New("the comments around the lines of t2-cred are not one begin and one end any more")
	errEdited = errors.New("somebody changed the lines between the comments of t2-cred; take them out by hand, or the comments alone to keep them")
)

// find is where the block lies: start and stop are offsets of whole lines.
func (b block) find(text string) (start, stop int, note string, found bool, err error) {
	start, stop = -1, -1
	var inside []string
	for at := 0; at < len(text); {
		next := len(text)
		if n := strings.IndexByte(text[at:], '\n'); n >= 0 {
			next = at + n + 1
		}
		line := strings.TrimRight(text[at:next], "\r\n")
		rest, isBegin := strings.CutPrefix(line, b.begin())
		kept, isEnd := strings.CutPrefix(line, b.end())
		switch {
		case isBegin && (rest == "" || strings.HasPrefix(rest, " (") && strings.HasSuffix(rest, ")")):
			if start >= 0 {
				return 0, 0, "", false, errBlock
			}
			start, note = at, rest
		case isEnd && (kept == "" || len(kept) == len(sum(nil)) && kept[0] == ' '):
			if start < 0 || stop >= 0 {
				return 0, 0, "", false, errBlock
			}
			if kept != sum(inside) {
				return 0, 0, "", false, errEdited
			}
			stop = next
		case start >= 0 && stop < 0:
			inside = append(inside, line)
		}
		at = next
	}
	if (start < 0) != (stop < 0) {
		return 0, 0, "", false, errBlock
	}
	return start, stop, note, start >= 0, nil
}

// shown are the lines with their comments.
func (b block) shown(note string) []string {
	return append(append([]string{b.begin() + note}, b.lines...), b.end()+sum(b.lines))
}

// text is the block in the line ends of the file.
func (b block) text(note, eol string) string {
	return strings.Join(b.shown(note), eol) + eol
}

// put puts the block at the end, or in the place of the old one.
func (b block) put(text string, exists bool) (string, error) {
	if _, _, _, found, err := b.find(text); b.loose != nil && !found && err == nil {
		text = b.cutLoose(text)
	}
	return b.putAt(text, len(text), exists)
}

// putAt puts the block where a line begins, or in the place of the old one.
func (b block) putAt(text string, at int, exists bool) (string, error) {
	start, stop, note, found, err := b.find(text)
	if err != nil {
		return "", err
	}
	eol := eolOf(text)
	switch {
	case found:
		return text[:start] + b.text(note, eol) + text[stop:], nil
	case !exists:
		return b.text(noteNewFile, eol), nil
	case at > 0 && text[at-1] == '\r':
		return "", errors.New("it ends with half of a line's end")
	case at > 0 && text[at-1] != '\n':
		return text[:at] + eol + b.text(noteNoEnd, eol) + text[at:], nil
	}
	return text[:at] + b.text("", eol) + text[at:], nil
}

// cut takes the block out; keep is false when the file was ours alone.
func (b block) cut(text string) (rest string, keep bool, err error) {
	start, stop, note, found, err := b.find(text)
	switch {
	case err != nil:
		return text, true, err
	case !found && b.loose != nil:
		return b.cutLoose(text), true, nil
	case !found:
		return text, true, nil
	}
	before, after := text[:start], text[stop:]
	if note == noteNoEnd && after == "" {
		before = strings.TrimSuffix(strings.TrimSuffix(before, "\n"), "\r")
	}
	return before + after, note != noteNewFile || before+after != "", nil
}

func (b block) cutLoose(text string) string {
	var rest strings.Builder
	for line := range strings.Lines(text) {
		if !b.loose(line) {
			rest.WriteString(line)
		}
	}
	return rest.String()
}

// runsUs is whether a command is t2-cred, by a path as we write it, with just these
// words: one more is somebody's own doing.
func runsUs(command string, words ...string) bool {
	all := strings.Fields(command)
	return len(all) > 0 && strings.Contains(all[0], "/") &&
		strings.TrimSuffix(path.Base(all[0]), ".exe") == "t2-cred" && slices.Equal(all[1:], words)
}

// outside is the text without the block, in which conflicts are looked for.
func (b block) outside(text string) (string, error) {
	rest, _, err := b.cut(text)
	return rest, err
}

// checkINI refuses what a reader of sections and keys would stumble over, or what
// would swallow the line that follows.
func checkINI(text string) error {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	continued := false
	for n, line := range lines {
		trimmed := strings.TrimSpace(line)
		comment := strings.HasPrefix(trimmed, "#") || strings.HasPrefix(trimmed, ";")
		if !continued && !comment && strings.HasPrefix(trimmed, "[") && !strings.Contains(trimmed, "]") {
			return fmt.Errorf("line %d: a section without its ]", n+1)
		}
		if strings.ContainsRune(line, 0) || strings.ContainsRune(line, '\r') {
			return fmt.Errorf("line %d: a control character", n+1)
		}
		continued = (continued || !comment) && strings.HasSuffix(line, `\`)
	}
	if continued || strings.HasSuffix(strings.TrimRight(text, "\r\n"), `\`) {
		return errors.New("the last line says that it goes on (\\)")
	}
	return nil
}

// checkHCL refuses a text whose braces, strings or comments do not end, and
// heredocs, whose ends are not looked for.
func checkHCL(text string) error {
	depth, comment, quoted := 0, "", false
	for n := 0; n < len(text); n++ {
		c, rest := text[n], text[n:]
		switch {
		case comment == "line":
			if c == '\n' {
				comment = ""
			}
		case comment == "block":
			if strings.HasPrefix(rest, "*/") {
				comment, n = "", n+1
			}
		case quoted && c == '\\':
			n++
		case c == '"':
			quoted = !quoted
		case quoted && c == '\n':
			return errors.New("a string without its end")
		case quoted:
		case c == '#' || strings.HasPrefix(rest, "//"):
			comment = "line"
		case strings.HasPrefix(rest, "/*"):
			comment = "block"
		case strings.HasPrefix(rest, "<<"):
			return errors.New("a heredoc, which t2-cred does not read")
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth < 0 {
				return errors.New("a } without its {")
			}
		}
	}
	if depth != 0 || quoted || comment == "block" {
		return errors.New("a block, string or comment without its end")
	}
	return nil
}

// eolOf is how the lines of a text end.
func eolOf(text string) string {
	if strings.Contains(text, "\r\n") {
		return "\r\n"
	}
	return "\n"
}
