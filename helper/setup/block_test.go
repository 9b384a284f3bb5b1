package setup

import (
	"strings"
	"testing"
)

func TestBlockUndoesItself(t *testing.T) {
	b := block{profile: "gep", lines: []string{"a = 1", "b = 2"}}
	other := block{profile: "gep2", lines: []string{"x"}}
	for _, text := range []string{"", "\n", "a", "a\n", "a\r\nb\r\n", "a\r\nb", "# c\n\n\n", "[s]\n\tk = v  ; odd\n\n", "# t2-cred gep2 begin\nx\n# t2-cred gep2 end\n"} {
		for _, exists := range []bool{true, false} {
			if !exists && text != "" {
				continue
			}
			once, err := b.put(text, exists)
			if err != nil {
				t.Fatal(err)
			}
			if twice, err := b.put(once, true); err != nil || twice != once {
				t.Errorf("%q: a second time %q, %v; first %q", text, twice, err, once)
			}
			rest, keep, err := b.cut(once)
			if err != nil || rest != text || keep != exists {
				t.Errorf("%q: undone %q, keep %v, %v", text, rest, keep, err)
			}
			if again, _ := b.put(rest, keep); again != once {
				t.Errorf("%q: again %q, not %q", text, again, once)
			}
			// Somebody else adds lines below; they stay, and ours come and go around them.
			rest, keep, err = b.cut(once + "later\n")
			if err != nil || !keep || !strings.HasSuffix(rest, "later\n") || strings.Contains(rest, "b = 2") {
				t.Errorf("%q: with later lines %q, keep %v, %v", text, rest, keep, err)
			}
			if rest, _, _ := other.cut(once); strings.Contains(rest, "gep begin") != true {
				t.Errorf("another profile's undo took it: %q", rest)
			}
		}
	}
}

func TestBlockRefusesBrokenMarks(t *testing.T) {
	b := block{profile: "gep"}
	for _, text := range []string{
		"# t2-cred gep begin\n", "# t2-cred gep end\n", "# t2-cred gep end\n# t2-cred gep begin\n",
		"# t2-cred gep begin\n# t2-cred gep begin\n# t2-cred gep end\n",
		"# t2-cred gep begin\n# t2-cred gep end\n# t2-cred gep end\n",
	} {
		if out, err := b.put(text, true); err == nil {
			t.Errorf("put %q: %q", text, out)
		}
		if out, _, err := b.cut(text); err == nil {
			t.Errorf("cut %q: %q", text, out)
		}
	}
}

func TestDockerUndoesItself(t *testing.T) {
	for _, text := range []string{
		"", "{}", "{}\n", "{\n}\n", " { } ", `{"auths":{}}`, `{"auths": {}, "credHelpers":{}}`, "{\"credHelpers\": {\n}}",
		"{\n  \"auths\": {\n    \"a}\\\"{\": {\"auth\": \"x\"}\n  },\n  \"n\" : [1, {\"b\": null}]\n}",
		"{\r\n\t\"credHelpers\" : {\r\n\t\t\"a.example\": \"pass\"\r\n\t},\r\n\t\"z\": 1\r\n}\r\n",
		"{\n\t\"credHelpers\": {},\n\t\"z\": true}",
	} {
		hosts := []string{"one.example.org", "two.example.org:5000"}
		once, err := text, error(nil)
		for _, h := range hosts {
			if once, err = putDocker(once, h); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
		}
		_, _, inner, err := openDocker(once)
		if err != nil || len(inner) < 2 {
			t.Errorf("%q became %q: %v", text, once, err)
		}
		if twice, err := putDocker(once, hosts[0]); err != nil || twice != once {
			t.Errorf("%q: a second time %q, %v", text, twice, err)
		}
		rest, keep := once, true
		for n := len(hosts) - 1; n >= 0; n-- {
			if rest, keep, err = cutDocker(rest, hosts[n]); err != nil {
				t.Fatal(err)
			}
		}
		if rest != text || keep != (text != "") {
			t.Errorf("%q: undone %q, keep %v; was %q", text, rest, keep, once)
		}
	}
	for _, text := range []string{"[]", "{", `{"credHelpers": []}`, `{"a": 1, "a": 2}`, `{"credHelpers": {"h": "pass"}}`, "nothing", "// c\n{}"} {
		if out, err := putDocker(text, "h"); err == nil {
			t.Errorf("%q became %q", text, out)
		}
	}
}
