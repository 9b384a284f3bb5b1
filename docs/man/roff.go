package main

import (
	"fmt"
	"strings"
)

// A page is a manual page in the making, in the macros of man(7).
type page struct{ b strings.Builder }

// newPage starts a page with its title line and its NAME, by which apropos finds it.
func newPage(s source, name, section, short string) *page {
	p := &page{}
	p.macro("TH", strings.ToUpper(name), section, s.date, "t2-cred "+s.version, "t2-cred manual")
	p.raw(".nh") // a command broken in two is no command
	p.raw(".ad l")
	p.macro("SH", "NAME")
	p.line(escape(name) + ` \- ` + escape(lowerFirst(short)))
	return p
}

// macro writes a request or a macro with its arguments.
func (p *page) macro(name string, args ...string) {
	p.b.WriteString("." + name)
	for _, arg := range args {
		p.b.WriteString(` "` + strings.ReplaceAll(escape(arg), `"`, `\(dq`) + `"`)
	}
	p.b.WriteString("\n")
}

// raw writes requests as they are.
func (p *page) raw(requests string) { p.b.WriteString(requests + "\n") }

// paragraph begins one.
func (p *page) paragraph() { p.raw(".PP") }

// line writes a line of text that is escaped already.
func (p *page) line(text string) {
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	p.b.WriteString(text + "\n")
}

// text writes help's text: paragraphs, and keeps indented lines as they are.
func (p *page) text(text string) {
	const paragraph, example = 1, 2
	in := 0
	leave := func() {
		if in == example {
			p.raw(".fi\n.RE")
		}
		in = 0
	}
	blanks := 0
	for line := range strings.Lines(strings.Trim(text, "\n")) {
		line = strings.ReplaceAll(strings.TrimRight(line, " \t\n"), "\t", "  ")
		switch {
		case line == "":
			blanks++
		case strings.HasPrefix(line, "  "):
			if in != example {
				p.raw(".PP\n.RS 4\n.nf")
				in = example
			} else if blanks > 0 {
				p.raw(".sp")
			}
			p.line(escape(strings.TrimPrefix(line, "  ")))
			blanks = 0
		default:
			if in != paragraph || blanks > 0 {
				leave()
				p.paragraph()
				in = paragraph
			}
			p.line(escape(strings.TrimLeft(line, "# "))) // cobra's own have Markdown's headings
			blanks = 0
		}
	}
	leave()
}

// item writes a tagged paragraph. The tag is escaped already.
func (p *page) item(tag, text string) {
	p.raw(".TP")
	p.line(tag)
	p.line(escape(text))
}

// escape makes text mean itself. A hyphen is written so that it can be copied as
// the one that is typed, and does not break a line.
func escape(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch r {
		case '\\':
			b.WriteString(`\e`)
		case '-':
			b.WriteString(`\-`)
		case '\'':
			b.WriteString(`\(aq`)
		case '`':
			b.WriteString(`\(ga`)
		case '^':
			b.WriteString(`\(ha`)
		case '~':
			b.WriteString(`\(ti`)
		case '…': // which not every device has
			b.WriteString(`...`)
		default:
			if r > 126 {
				fmt.Fprintf(&b, `\[u%04X]`, r)
			} else {
				b.WriteRune(r)
			}
		}
	}
	return b.String()
}

func bold(text string) string   { return `\fB` + escape(text) + `\fR` }
func italic(text string) string { return `\fI` + escape(text) + `\fR` }

// lowerFirst is how a NAME line goes on after the dash, except for names and acronyms.
func lowerFirst(s string) string {
	if len(s) > 1 && s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'a' && s[1] <= 'z' {
		word, _, _ := strings.Cut(s, " ")
		for _, name := range []string{"AWS", "Bazel", "Docker", "Google", "Kubernetes", "Python", "Terraform"} {
			if strings.TrimSuffix(word, "'s") == name {
				return s
			}
		}
		return strings.ToLower(s[:1]) + s[1:]
	}
	return s
}
