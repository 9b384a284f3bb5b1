package cli

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/terradue/t2-cred/helper/hint"
)

// lookOf is the look of a run on a terminal with these variables.
func lookOf(terminal, plain bool, width int, env map[string]string) look {
	a := &app{Env: Env{StdoutTerminal: terminal, Width: func() int { return width }, Getenv: func(k string) string { return env[k] }}}
	a.flags.plain = plain
	return a.look()
}

func TestLook(t *testing.T) {
	utf8 := map[string]string{"LANG": "C.UTF-8"}
	with := func(k, v string) map[string]string { return map[string]string{"LANG": "C.UTF-8", k: v} }
	for name, tt := range map[string]struct{ got, want look }{
		"a pipe":                    {lookOf(false, false, 200, utf8), look{width: 80}},
		"a terminal":                {lookOf(true, false, 132, utf8), look{true, true, 132}},
		"a narrow one":              {lookOf(true, false, 12, utf8), look{true, true, 40}},
		"one that tells no width":   {lookOf(true, false, 0, utf8), look{true, true, 80}},
		"one without UTF-8":         {lookOf(true, false, 80, map[string]string{"LANG": "C"}), look{true, false, 80}},
		"LC_ALL wins over LANG":     {lookOf(true, false, 80, with("LC_ALL", "POSIX")), look{true, false, 80}},
		"--no-color":                {lookOf(true, true, 132, utf8), look{width: 132}},
		"NO_COLOR":                  {lookOf(true, false, 132, with("NO_COLOR", "1")), look{width: 132}},
		"NO_COLOR that is empty":    {lookOf(true, false, 132, with("NO_COLOR", "")), look{true, true, 132}},
		"a terminal without colour": {lookOf(true, false, 132, with("TERM", "dumb")), look{width: 132}},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, tt.got, tt.want)
		}
	}
}

// Every word that says how something is has a mark, and differs from the others by more
// than its colour.
func TestLook_paintsWords(t *testing.T) {
	full, plain := look{true, true, 80}, look{width: 80}
	for word, mark := range map[string]string{
		"ok": "✓", "warn": "!", "fail": "✗", stateDead: "✗", stateExpired: "✗", stateUnreadable: "✗", stateInDoubt: "!",
	} {
		if got := full.paint(word); !strings.HasPrefix(got, "\x1b[3") || !strings.HasSuffix(got, mark+" "+word+"\x1b[0m") {
			t.Errorf("%s is painted %q", word, got)
		}
		if got := plain.paint(word); got != word {
			t.Errorf("%s without colour is %q", word, got)
		}
	}
	if got := full.paint("STATE"); got != "STATE" {
		t.Errorf("the head of a column is painted %q", got)
	}
}

// The columns of a table stand below each other, whatever script the names have.
func TestTable_wideNames(t *testing.T) {
	var tab table
	names := []string{"SUBJECT", "田中太郎", "김철수", "Zoë", "Zoe\u0308", "ｱｲｳ", "Ａlice", "alice\x1b[31m", "🛰"}
	for _, n := range names {
		tab.row("x", n, "ok")
	}
	var at []int
	for line := range strings.Lines(tab.text(look{width: 80})) {
		before, _, _ := strings.Cut(line, "ok")
		at = append(at, columns(before))
		if strings.Contains(line, "\x1b") {
			t.Errorf("an escape reaches the terminal: %q", line)
		}
	}
	for n := range at {
		if at[n] != at[0] {
			t.Errorf("%q: the next column begins at %d, and at %d in the first line", names[n], at[n], at[0])
		}
	}
	for text, want := range map[string]int{"abc": 3, "田中": 4, "김": 2, "ｱ": 1, "Ａ": 2, "e\u0308": 1, "。": 2, "カナ": 4} {
		if got := columns(text); got != want {
			t.Errorf("columns(%q) = %d, want %d", text, got, want)
		}
	}
}

// A command in a report is on one line, however narrow the terminal is.
func TestFinding_keepsHintsWhole(t *testing.T) {
	long := "t2-cred exchange --profile a-long-name --account another-long-name --token-file FILE"
	f := finding{level: levelWarn, name: "account", what: "nothing is kept yet, and that is said in some more words", hint: long}
	for _, l := range []look{{width: 80}, {true, true, 40}} {
		text := f.lines(l)
		if !strings.Contains(text, "hint: "+long+"\n") {
			t.Errorf("the hint is broken:\n%s", text)
		}
		for line := range strings.Lines(text) {
			if n := columns(strings.TrimSuffix(line, "\n")); n > l.width+20 && !strings.Contains(line, "hint:") {
				t.Errorf("%d columns where %d are there: %q", n, l.width, line)
			}
		}
	}
	if text := f.lines(look{true, true, 40}); !strings.HasPrefix(text, "\x1b[33m! warn \x1b[0m account ") {
		t.Errorf("the level is not painted: %q", text)
	}
}

// A configuration that cannot be written says what to do about it.
func TestNotWritten(t *testing.T) {
	dir := t.TempDir()
	for err, want := range map[error]string{
		fs.ErrPermission: "make " + dir + " writable for this user, or name another file with --config",
		syscall.EROFS:    dir + " is on a read-only file system; name another file with --config",
		syscall.ENOSPC:   "make room on the disk of " + dir,
	} {
		got := notWritten(filepath.Join(dir, "t2-cred"), fmt.Errorf("open: %w", err))
		if code, _ := classify(got); code != exitConfig || hint.Of(got).String() != want || !strings.Contains(got.Error(), err.Error()) {
			t.Errorf("%v: exit %d, %q, hint %q", err, code, got, hint.Of(got))
		}
	}
}
