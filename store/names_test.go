package store

import (
	"errors"
	"regexp"
	"strings"
	"testing"
)

func TestKey_Validate(t *testing.T) {
	long := strings.Repeat("a", maxName)
	for _, tt := range []struct {
		name string
		ok   bool
	}{
		{"default", true}, {"a", true}, {long, true}, {"Álice@example.org", true}, {"日本", true},
		{"../../etc", true}, {"con", true}, {"a:b,c/d\\e", true}, {"job-%41", true},
		{"", false}, {long + "a", false}, {"a b", false}, {"a\tb", false}, {"a\nb", false}, {"a\x00", false},
		{"a\u00a0b", false}, {"a\u202eb", false}, {"a\u200bb", false}, {"\xff", false}, {"a\x7f", false},
	} {
		for _, k := range []Key{{tt.name, "x"}, {"x", tt.name}} {
			err := k.Validate()
			if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrName) {
				t.Errorf("%q: %v", tt.name, err)
			}
			if err != nil && strings.ContainsAny(err.Error(), "\n\x00\u202e") {
				t.Errorf("%q: the message shows it raw: %v", tt.name, err)
			}
		}
	}
}

func TestItemName_isSafeEverywhere(t *testing.T) {
	names := []string{
		"a", "A", "%41", "%61", "á", "a\u0301", "á"[:1], "con", "CON", "nul.txt", "a.", "a", ".", "..", "a,b", "b", "a/b", `a\b`,
		"a:b", "~", "default", "Default", strings.Repeat("É", 60), strings.Repeat("É", 61), strings.Repeat("é", 60),
		strings.Repeat("a", 56), strings.Repeat("a", 57), strings.Repeat("a", 58), "a'b", "a\"b", "$(id)", "a*b?", "<a>|",
	}
	safe := regexp.MustCompile(`^grant,[a-z0-9._@+=%~-]+,[a-z0-9._@+=%~-]+$`)
	seen := map[string]Key{}
	for _, p := range names {
		for _, a := range names {
			k := Key{p, a}
			n := k.item(kindGrant)
			if !safe.MatchString(n) || len(n) > 120 {
				t.Errorf("%q: %q (%d characters)", k, n, len(n))
			}
			// What a file system that folds case or normalises sees.
			if other, ok := seen[strings.ToLower(n)]; ok && other != k {
				t.Errorf("%q and %q are both %q", k, other, n)
			}
			seen[strings.ToLower(n)] = k
		}
	}
	longest := Key{strings.Repeat("É", 64), strings.Repeat("É", 64)}.item(kindGrant) + "/a/64"
	if n := len("t2-cred-") + hashLen + 1 + len(longest); n >= 240 {
		t.Errorf("service:user may have %d characters, Windows takes 240", n)
	}
}

func TestNamespace_isOfOneConfiguration(t *testing.T) {
	o := Options{StateDir: "/home/a/.local/state/t2-cred", Config: "/home/a/.config/t2-cred/config.toml"}
	same, config, home := o, o, o
	same.StateDir += "/"
	config.Config = "/home/a/other.toml"
	home.StateDir = "/home/b/.local/state/t2-cred"
	if namespace(o) != namespace(same) {
		t.Error("a slash more makes another namespace")
	}
	if namespace(o) == namespace(config) || namespace(o) == namespace(home) {
		t.Error("two configurations share a namespace")
	}
	if shortHash("a", "bc") == shortHash("ab", "c") {
		t.Error("the parts run together")
	}
}
