package cli

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func onlyPrintable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool {
		return r != '\n' && r != '\t' && (r == utf8.RuneError || !unicode.IsPrint(r))
	})
}

// FuzzPrintable writes any text for people and as JSON: nothing in it is obeyed by a
// terminal, plain text stays as it is, and the JSON means the same.
func FuzzPrintable(f *testing.F) {
	for _, seed := range []string{
		"", "plain text\n", "Zoë Öz 東京 🙂", "\x1b[31mred\x1b]0;title\a", "a\u202eb\u2066c", "\u009b31m", "\xff\xfe half \xe2\x82", "\u2028\u0085\u00ad\ufeff\u200b", "\U000e0041\U0010ffff", "\ufffd", "tab\tend\r\n", "\x00\x7f",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var people bytes.Buffer
		if n, err := (printable{to: &people}).Write([]byte(text)); n != len(text) || err != nil {
			t.Fatalf("wrote %d of %d, %v", n, len(text), err)
		}
		if !onlyPrintable(people.String()) {
			t.Errorf("%q became %q", text, people.String())
		}
		if onlyPrintable(text) && people.String() != text {
			t.Errorf("plain %q became %q", text, people.String())
		}
		want := map[string]any{"text": text, "list": []any{text}}
		made, err := marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		if !onlyPrintable(string(made)) {
			t.Errorf("%q became the JSON %q", text, made)
		}
		var got map[string]any
		if err := json.Unmarshal(made, &got); err != nil {
			t.Fatalf("%q became the JSON %q: %v", text, made, err)
		}
		if utf8.ValidString(text) && !reflect.DeepEqual(got, want) {
			t.Errorf("%q became the JSON %q, which means %q", text, made, got)
		}
	})
}
