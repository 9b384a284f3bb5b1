package setup

import (
	"slices"
	"strings"
	"testing"
)

// TestGrammarsRefuse: each of these the tool itself cannot read, or setup does not
// know what it means.
func TestGrammarsRefuse(t *testing.T) {
	for name, c := range map[string]struct {
		read  grammar
		texts []string
	}{
		"configparser": {readConfigParser, []string{
			"a = b\n", "[a\nb = c\n", "[a]\nb\n", "[a]\n= b\n", "[a]\n[a]\n", "[a]\nb = 1\nB: 2\n", "[a]\x00\n", "[a]\nb = c\rd = e\n", "[a]\nb = \xff\n",
			"\ufeff[a]\n",
		}},
		"git": {readGitConfig, []string{
			"if x\n", "[a\n", "[a \"b\n\"]\n", "[a b]\n", "[a \"b\" ]\n", "[a]\n1 = 2\n", "[a]\nb ; c\n", "[a]\nb = \"c\n", "[a]\nb = \\x\n", "[a]\n= b\n", "[a_b]\n",
			"[a]\nb_c = d\n", "[a]\n\x00", "[a]\nb = c\n\f\n", "\v[a]\n",
		}},
		"npm":    {readNpmrc, []string{"=a\n", "a=b\x00\n", "a=b\rc=d\n"}},
		"go":     {readGoEnv, []string{"A=b\x00\n"}},
		"GDAL":   {readGDAL, []string{"a=b\n", "[a\n", "[a]\nb\n"}},
		"rclone": {readRclone, []string{"a = b\n", "[a\n", "[a]\nb\n", "[a]\n\"b\" = c\n", "[a]\nb = \"\"\"c\n", "[a]\nb = `c\n", "RCLONE_ENCRYPT_V0:\nAAAA\n"}},
		"TOML":   {readTOML, []string{"a", "a = ", "[a]\n[a]\n", "a = 1\na = 2\n", "[a\n"}},
		"docker": {readDocker, []string{"[]", "{", "nothing", "\ufeff{}", "// c\n{}", `{"a": 1, "a": 2}`, `{"credHelpers": []}`, `{"credHelpers": {"h": 1}}`, `{"auths": {"h": "x"}}`}},
		"HCL": {readHCL, []string{
			"a {", "}", `a = "b`, "/* a", "a = <<EOT\nEOT\n", "if x\n", "a = b\n", "a = [1, {}]\n", "= 1\n", "a =\n", "a \"b\"\n", "a = ?\n", "a { b = 1\n", "a = [\"b\"", "\x00",
		}},
		"YAML": {readKubeconfig, []string{
			"a: b\n c: d\n", "a:\n  b: c\n d: e\n", "a: b\na: c\n", "- a\n", "nothing\n", "a: &x b\n", "a: *x\n", "a: !!str b\n", "a: \"b\n", "a: [b\n", "a: {b: c\n", "a: b: c\n",
			"a: {b: 1, b: 2}\n", "a: b\n---\na: c\n", "\ta: b\n", "a: b\n  c: d\n", "a: \"b\" c\n", "a: @b\n", "%YAML 1.2\n", "a: b\x00\n", "a:\n- b\n  c: d\n",
		}},
	} {
		for _, text := range c.texts {
			if says, err := c.read(text); err == nil {
				t.Errorf("%s: %q says %q", name, text, says)
			}
		}
	}
}

// TestGrammarsRead: what each says, in the order of the text.
func TestGrammarsRead(t *testing.T) {
	for name, c := range map[string]struct {
		read grammar
		text string
		want []setting
	}{
		"configparser": {
			readConfigParser, "# c\n; d\n[a b]\n  Key : v = w ; x\n\n    more\n  next=\n[s3]\nx =\n  y = 1\r\n",
			[]setting{{"a b", "key", "v = w ; x\nmore"}, {"a b", "next", ""}, {"s3", "x", "\ny = 1"}},
		},
		"git": {
			readGitConfig, "\ufeff# c\n[A \"x\\\"Y\"] k = v\n\tL\n  m = \"a ; b\" c ; d\n[B.C]\nn = p\\\n q\\tr\r\n o =  \n",
			[]setting{{"a.x\"Y", "k", "v"}, {"a.x\"Y", "l", "true"}, {"a.x\"Y", "m", "a ; b c"}, {"b.c", "n", "p q\tr"}, {"b.c", "o", ""}},
		},
		"git's white space has no form feed": {
			readGitConfig, "[a]\nb = \fc\v\n",
			[]setting{{"a", "b", "\fc\v"}},
		},
		"npm": {readNpmrc, "; c\n//h/:_authToken=x=y\r\nflag\n[s]\na = b", []setting{{"", "//h/:_authToken", "x=y"}, {"", "flag", ""}, {"s", "a", "b"}}},
		"go":  {readGoEnv, "# c\nGOFLAGS=-a=b \nlower=x\nGOX", []setting{{"", "GOFLAGS", "-a=b "}}},
		"GDAL": {
			readGDAL, "[configoptions]\n# c\nA=b\n[credentials]\n[.x]\npath=/vsicurl/\n[.y]\nB = c",
			[]setting{{"configoptions", "A", "b"}, {"credentials..x", "path", "/vsicurl/"}, {"credentials..y", "B", "c"}},
		},
		"rclone": {readRclone, "# c\n[a]\ntype = webdav\nx: \"y z\"\n", []setting{{"a", "type", "webdav"}, {"a", "x", `"y z"`}}},
		"TOML":   {readTOML, "a = 1\n[b]\nc = [\"x\", \"y\"]\n", []setting{{"", "a", "1"}, {"b.c", "[0]", "x"}, {"b.c", "[1]", "y"}}},
		"docker": {readDocker, `{"auths": {}, "credHelpers": {"h": "t2"}, "psFormat": "x"}`, []setting{{"credHelpers", "h", "t2"}, {"", "psFormat", "x"}}},
		"HCL": {
			readHCL, "# c\n// d\n/* e */ a = \"x{\\\"\"\nb \"h\" {\n  c = [\"y\", 2]\n}\nd = {\n e = true\n}\n",
			[]setting{{"", "a", `"x{\""`}, {"b.h", "{", ""}, {"b.h", "c", `["y",2,]`}, {"d", "{", ""}, {"d", "e", "true"}},
		},
		"YAML": {
			readKubeconfig, "---\n# c\na: b # d\n\"e\":\n- name: x\n  f: {g: 'h''i', \"j\": [k, \"l\"]}\n-   n: |\n      o: p\n     \n    q: ~\nr:\n  s:\n    - - t\nu: http://v#w\n",
			[]setting{
				{"", "a", "b"}, {"e.[x].f", "g", "h'i"}, {"e.[x].f.j", "[0]", "k"}, {"e.[x].f.j", "[1]", "l"}, {"e.[x]", "name", "x"},
				{"e.[1]", "n", "      o: p"}, {"r.s.[0]", "[0]", "t"}, {"", "u", "http://v#w"},
			},
		},
	} {
		got, err := c.read(c.text)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
}

// FuzzGrammars: a grammar reads any text without a panic, and in the same way a second
// time.
func FuzzGrammars(f *testing.F) {
	all := []grammar{readConfigParser, readGitConfig, readNpmrc, readGoEnv, readGDAL, readRclone, readTOML, readDocker, readHCL, readKubeconfig}
	for _, seed := range []string{"", "[a]\nb = c\n", "a:\n- b: {c: [d]}\n", `{"a": {"b": 1}}`, "a \"b\" {\n c = [1]\n}\n", "a: |\n  b\n", "[a \"b\\", "'a': \"b\\"} {
		for n := range all {
			f.Add(seed, n)
		}
	}
	f.Fuzz(func(t *testing.T, text string, n int) {
		if n < 0 || n >= len(all) {
			return
		}
		one, err1 := all[n](text)
		two, err2 := all[n](strings.Clone(text))
		if (err1 == nil) != (err2 == nil) || err1 == nil && !slices.Equal(one, two) {
			t.Errorf("%d: %q says %q, %v and %q, %v", n, text, one, err1, two, err2)
		}
	})
}
