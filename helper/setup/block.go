package setup

import (
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"path"
	"regexp"
	"slices"
	"strings"
)

// A block is our lines in a file that is not ours, between two comments that name the
// profile. Text outside of it is never touched. The first comment also has a note of
// what an undo cannot see: that the file did not exist, or that its last line had no
// newline. The second comment has a checksum, so that edited lines are not overwritten.
type block struct {
	profile string
	lines   []string
	// loose, if set, reports whether a line is exactly one that we write. It finds our
	// lines after a tool dropped the comments.
	loose func(line string) bool
	eol   string // line end of our lines; empty for the line end of the file
}

const (
	noteNewFile = " (the file was not there before)"
	noteNoEnd   = " (the line before had no end)"
)

func (b block) begin() string { return "# t2-cred " + b.profile + " begin" }
func (b block) end() string   { return "# t2-cred " + b.profile + " end" }

// sum is a checksum of lines. It does not depend on their line ends.
func sum(lines []string) string {
	return fmt.Sprintf(" %08x", crc32.ChecksumIEEE([]byte(strings.Join(lines, "\n"))))
}

var (
	errBlock  = errors.New("the comments around the lines of t2-cred are not one begin and one end any more")
	errEdited = errors.New("somebody changed the lines between the comments of t2-cred; take them out by hand, or the comments alone to keep them")
)

// find locates the block. start and stop are offsets of whole lines.
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

// text is the block with the line ends of the file.
func (b block) text(note, eol string) string {
	return strings.Join(b.shown(note), eol) + eol
}

// put adds the block at the end, or replaces the old one.
func (b block) put(text string, exists bool) (string, error) {
	if _, _, _, found, err := b.find(text); b.loose != nil && !found && err == nil {
		text = b.cutLoose(text)
	}
	return b.putAt(text, len(text), exists)
}

// putAt adds the block at an offset where a line begins, or replaces the old one.
func (b block) putAt(text string, at int, exists bool) (string, error) {
	start, stop, note, found, err := b.find(text)
	if err != nil {
		return "", err
	}
	eol := cmp.Or(b.eol, eolOf(text))
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

// cut removes the block. keep is false if nothing else was in a file that we made.
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
	last := lastBlock(before)
	switch {
	case note == noteNoEnd && after == "" && last >= 0:
		before = before[:last] + passOn(before[last:], note)
	case note == noteNoEnd && after == "":
		before = strings.TrimSuffix(strings.TrimSuffix(before, "\n"), "\r")
	case note == noteNoEnd && strings.HasPrefix(after, "# t2-cred "):
		after = passOn(after, note)
	case note == noteNewFile && before == "":
		after = passOn(after, note)
	case note == noteNewFile:
		before = passOn(before, note)
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

// runsUs reports whether a command is t2-cred, by a path, with exactly these arguments.
// A command with one more argument was written by a person.
func runsUs(command string, words ...string) bool {
	all := strings.Fields(command)
	return len(all) > 0 && strings.Contains(all[0], "/") &&
		strings.TrimSuffix(path.Base(all[0]), ".exe") == "t2-cred" && slices.Equal(all[1:], words)
}

// otherBlock matches the first comment of a block of any profile.
func otherBlock() *regexp.Regexp {
	return regexp.MustCompile(`(?m)^# t2-cred (\S+) begin(?: \(.*\))?\r?$`)
}

// otherProfile is the profile of the first block in a text.
func otherProfile(rest string) string {
	if m := otherBlock().FindStringSubmatch(rest); m != nil {
		return m[1]
	}
	return ""
}

// lastBlock is where the block begins with which a text ends, or -1.
func lastBlock(text string) int {
	all := otherBlock().FindAllStringSubmatchIndex(text, -1)
	if all == nil {
		return -1
	}
	m := all[len(all)-1]
	start, stop, _, found, err := block{profile: text[m[2]:m[3]]}.find(text)
	if err != nil || !found || stop != len(text) {
		return -1
	}
	return start
}

// passOn moves the note of a removed block to the next block, so that removing the last
// block restores the file.
func passOn(text, note string) string {
	m := otherBlock().FindStringIndex(text)
	if m == nil {
		return text
	}
	line, _ := strings.CutSuffix(text[m[0]:m[1]], "\r")
	if !strings.HasSuffix(line, " begin") {
		return text // it has a note of its own
	}
	at := m[0] + len(line)
	return text[:at] + note + text[at:]
}

// eolOf is the line end that a text uses.
func eolOf(text string) string {
	if strings.Contains(text, "\r\n") {
		return "\r\n"
	}
	return "\n"
}
