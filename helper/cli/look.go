package cli

import (
	"fmt"
	"strings"
	"unicode"
)

// A look is how text for people is laid out: for a terminal, or for a pipe.
type look struct {
	colour, marks bool
	width         int // where lines are wrapped
}

const (
	pipeWidth  = 80 // where there is no terminal to ask
	leastWidth = 40 // narrower lines would be one word each
)

// look is that of standard output. Only a terminal gets colour and marks, and its own
// width. NO_COLOR and --no-color leave out the colour and the marks.
func (a *app) look() look {
	if !a.StdoutTerminal {
		return look{width: pipeWidth}
	}
	l := look{width: pipeWidth}
	if a.Width != nil {
		if w := a.Width(); w > 0 {
			l.width = max(w, leastWidth)
		}
	}
	if a.flags.plain || a.Getenv("NO_COLOR") != "" || a.Getenv("TERM") == "dumb" {
		return l
	}
	l.colour = true
	locale := strings.ToUpper(or(a.Getenv("LC_ALL"), a.Getenv("LC_CTYPE"), a.Getenv("LANG")))
	l.marks = strings.Contains(locale, "UTF-8") || strings.Contains(locale, "UTF8")
	return l
}

// A mood is what a word means for its reader: all is well, look here, or it failed.
type mood struct{ mark, colour string }

func moodOf(word string) mood {
	switch word {
	case levelOK: // stateOK is the same word
		return mood{"✓", "\x1b[32m"}
	case levelWarn, stateInDoubt:
		return mood{"!", "\x1b[33m"}
	case levelFail, stateDead, stateExpired, stateUnreadable:
		return mood{"✗", "\x1b[31m"}
	}
	return mood{}
}

// paint gives a word the mark and the colour of its mood. The word itself stays as it is
// in a pipe.
func (l look) paint(word string) string {
	m := moodOf(strings.TrimSpace(word))
	switch {
	case m.mark == "" || !l.colour:
		return word
	case l.marks:
		word = m.mark + " " + word
	}
	return m.colour + word + "\x1b[0m"
}

// A table is rows of cells for people, with the columns below each other. The cells are
// escaped before they are measured, since an escape is longer than its character.
type table struct{ rows [][]string }

func (t *table) row(cells ...string) {
	for n, c := range cells {
		cells[n] = string(escape([]byte(c), textEscape))
	}
	t.rows = append(t.rows, cells)
}

// text lays the table out. The last column is painted where its word has a mood.
func (t *table) text(l look) string {
	var widths []int
	for _, row := range t.rows {
		for n, c := range row {
			if n == len(widths) {
				widths = append(widths, 0)
			}
			widths[n] = max(widths[n], columns(c))
		}
	}
	var b strings.Builder
	for _, row := range t.rows {
		for n, c := range row {
			if n == len(row)-1 {
				fmt.Fprintf(&b, "%s\n", l.paint(c))
				continue
			}
			b.WriteString(c + strings.Repeat(" ", widths[n]-columns(c)+2))
		}
	}
	return b.String()
}

// columns is how many columns of a terminal a text takes. A Chinese, Japanese or Korean
// character takes two, and a combining one none.
func columns(text string) (n int) {
	for _, r := range text {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		case unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana) && (r < 0xff61 || r > 0xffdc),
			r >= 0x3000 && r <= 0x303e, r >= 0xff01 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6, r >= 0x1f300 && r <= 0x1faff:
			n += 2
		default:
			n++
		}
	}
	return n
}
