package cli

import (
	"bytes"
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// A printable writes text for people. What a terminal could obey or hide (control
// characters, C1, bidirectional marks, broken UTF-8) comes out as an escape.
type printable struct {
	to   io.Writer
	hide func(text string) string // takes out what may not be shown; or nil
}

// Write implements io.Writer. Each call has whole characters.
func (p printable) Write(b []byte) (int, error) {
	text := escape(b, textEscape)
	if p.hide != nil {
		text = []byte(p.hide(string(text)))
	}
	if _, err := p.to.Write(text); err != nil {
		return 0, err
	}
	return len(b), nil
}

// escape replaces what is not printable, except line ends and tabs.
func escape(b []byte, how func(out []byte, r rune, raw []byte) []byte) []byte {
	isPlain := func(r rune) bool { return r == '\n' || r == '\t' || r != utf8.RuneError && unicode.IsPrint(r) }
	if bytes.IndexFunc(b, func(r rune) bool { return !isPlain(r) }) < 0 {
		return b
	}
	out := make([]byte, 0, len(b)+16)
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if isPlain(r) {
			out = append(out, b[:size]...)
		} else {
			out = how(out, r, b[:size])
		}
		b = b[size:]
	}
	return out
}

func textEscape(out []byte, r rune, raw []byte) []byte {
	switch {
	case r == utf8.RuneError && len(raw) == 1, r < 0x80:
		return fmt.Appendf(out, `\x%02x`, raw[0])
	case r > 0xffff:
		return fmt.Appendf(out, `\U%08x`, r)
	}
	return fmt.Appendf(out, `\u%04x`, r)
}

// jsonEscape makes the same JSON with \u escapes (RFC 8259 section 7).
func jsonEscape(out []byte, r rune, _ []byte) []byte {
	if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
		return fmt.Appendf(out, `\u%04x\u%04x`, high, low)
	}
	return fmt.Appendf(out, `\u%04x`, r)
}

// printableJSON is JSON text with escapes for unprintable characters. In JSON such
// characters stand only within strings.
func printableJSON(text []byte) []byte { return escape(text, jsonEscape) }
