package setup

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write and undo make of a text what a change makes of a file.
func write(e *edit, text string, exists bool) (string, error) {
	c := &change{old: text, exists: exists, keep: true}
	err := e.planWrite(c)
	return c.text, err
}

func undo(e *edit, text string) (rest string, keep bool, err error) {
	c := &change{old: text, exists: true, keep: true}
	err = e.planUndo(c)
	return c.text, c.keep, err
}

// undoesItself makes a change twice and takes it back: the second time nothing is
// new, and the bytes are those there were.
func undoesItself(t *testing.T, e *edit, texts ...string) {
	t.Helper()
	for _, text := range texts {
		once, err := write(e, text, true)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if twice, err := write(e, once, true); err != nil || twice != once || once == text {
			t.Errorf("%q: a second time %q, %v; first %q", text, twice, err, once)
		}
		if rest, keep, err := undo(e, once); err != nil || rest != text || !keep {
			t.Errorf("%q: undone %q, keep %v, %v; was %q", text, rest, keep, err, once)
		}
		if rest, keep, err := undo(e, text); err != nil || rest != text || !keep {
			t.Errorf("%q: undone without a change %q, keep %v, %v", text, rest, keep, err)
		}
	}
	once, err := write(e, "", false)
	if err != nil {
		return // of rclone's file there is always one
	}
	if twice, err := write(e, once, true); err != nil || twice != once {
		t.Errorf("a new file: a second time %q, %v; first %q", twice, err, once)
	}
	if rest, keep, err := undo(e, once); err != nil || rest != "" || keep {
		t.Errorf("a new file: undone %q, keep %v, %v", rest, keep, err)
	}
}

func refuses(t *testing.T, e *edit, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if out, err := write(e, text, true); err == nil {
			t.Errorf("%q became %q", text, out)
		}
	}
}

func testKubeEdit() *edit {
	k := kubeUser{name: "t2-gep", program: "/opt/t2-cred", args: []string{"kubernetes", "--profile", "gep"}, block: block{profile: "gep"}}
	return k.edit("config")
}

func TestKubeconfigUndoesItself(t *testing.T) {
	const rest = "apiVersion: v1\nkind: Config # mine\n\nclusters:\n- cluster: {server: \"https://k.example\"}\n  name: users\n"
	undoesItself(t, testKubeEdit(), "", "\n", "# mine\n", rest, strings.TrimSuffix(rest, "\n"),
		rest+"users: []\n", "users: []", rest+"users: null", strings.ReplaceAll(rest+"users: {}", "\n", "\r\n"), rest+"users: null\nkind2: x\n", "users: []\r\n"+strings.ReplaceAll(rest, "\n", "\r\n"),
		rest+"users:\n", rest+"users:", "---\nusers:\n# first\n- name: a\n  user: {token: x}\n"+rest,
		rest+"users:\n  # odd\n  -   name: a\n      user:\n        exec:\n          command: t2-cred\n\n  - name: t2-gep2\n    user: {}\n"+"extensions: x\n",
		"\"users\":  # whose\n  - name: b\n    user: {}\n")
	refuses(t, testKubeEdit(), `{"users": []}`, "users: [{name: a}]\n", "users: &a\n- name: x\n", "users:\n- name: x\nusers:\n", "users: []\n---\nusers: []\n",
		"\tusers:\n", "nothing\n", "users:\n- name: t2-gep\n  user: {token: x}\n", "users:\n  - user: {token: x}\n    name: \"t2-gep\" # mine\n  - name: y\n", "users:\n- name: |\n  x\n%\n",
		"users:\n-    name: t2-gep\n     user: {}\n", "users:\n- {name: t2-gep, user: {}}\n", "users:\n- {user: {}, name: 't2-gep'}\n")
}

// TestKubeconfigAfterKubectl: kubectl drops comments when it writes; our user is
// known all the same.
func TestKubeconfigAfterKubectl(t *testing.T) {
	const before, after = "apiVersion: v1\nkind: Config\nusers:\n- name: a\n  user:\n    token: x\n", "- name: z\n  user: {}\n"
	const ours = "- name: t2-gep\n  user:\n    exec:\n      apiVersion: client.authentication.k8s.io/v1\n      args:\n      - kubernetes\n      - --profile\n      - gep\n" +
		"      command: /usr/bin/t2-cred\n      env: null\n      interactiveMode: Never\n      provideClusterInfo: true\n"
	e := testKubeEdit()
	if rest, _, err := undo(e, before+ours+after); err != nil || rest != before+after {
		t.Errorf("%q, %v", rest, err)
	}
	once, err := write(e, before+ours+after, true)
	if err != nil || strings.Count(once, "name: t2-gep") != 1 || !strings.Contains(once, "users:\n# t2-cred gep begin\n") {
		t.Errorf("%q, %v", once, err)
	}
	// With the server, of whichever it was then.
	withServer := strings.Replace(ours, "      - gep\n", "      - gep\n      - --url\n      - https://k8s.example.org:6443\n", 1)
	if rest, _, err := undo(e, before+withServer+after); err != nil || rest != before+after {
		t.Errorf("%q, %v", rest, err)
	}
	// A comment before the next item is not of ours.
	const note = "# my note about bob\n\n"
	if rest, _, err := undo(e, before+ours+note+after); err != nil || rest != before+note+after {
		t.Errorf("%q, %v", rest, err)
	}
	if rest, _, err := undo(e, before+ours+note+"contexts: []\n"); err != nil || rest != before+note+"contexts: []\n" {
		t.Errorf("%q, %v", rest, err)
	}
	// One word more, or less, and it is somebody's own.
	for old, now := range map[string]string{
		"      - gep\n":    "      - gep\n      - --account\n      - alice\n",
		"env: null\n":      "env:\n      - name: HTTPS_PROXY\n        value: http://proxy\n",
		"/usr/bin/t2-cred": "t2-cred", "/t2-cred\n": "/t2-cred # mine\n", ": Never": ": IfAvailable", "- kubernetes\n": "- kubernetes\n      # mine\n",
		"      provideClusterInfo: true\n": "", "true\n": "true\n      installHint: ask bob\n",
	} {
		text := before + strings.Replace(ours, old, now, 1) + note + after
		if rest, keep, err := undo(e, text); err != nil || !keep || rest != text {
			t.Errorf("%q: cut %q, %v", text, rest, err)
		}
		if out, err := write(e, text, true); err == nil || !strings.Contains(err.Error(), "already has a user t2-gep") {
			t.Errorf("%q became %q, %v", text, out, err)
		}
	}
}

func TestPythonUndoesItself(t *testing.T) {
	pip := pipEdit("pip.conf")
	undoesItself(t, pip, "", "# mine\n[install]\nuser = yes\n", "[global]", "[global]\n", "# a\n[global]  \r\nindex-url = https://x/\r\n  https://y/\r\n[list]\r\nformat=columns", "[freeze]\ntimeout = 10")
	refuses(t, pip, "[global]\nkeyring-provider = disabled\n", "[global]\n[global]\n", "[install]\nKeyring_Provider: import\n", "[glo")
	uv := uvEdit("uv.toml")
	undoesItself(t, uv, "", "# mine\nnative-tls = true\n[[index]]\nurl = \"https://x/\"", "\r\n[pip]\r\nno-build = true\r\n")
	refuses(t, uv, "keyring-provider = \"disabled\"\n", "[pip]\nkeyring-provider = \"disabled\"\n", "[pip", "a\n")
	for e, text := range map[*edit]string{pip: "[global]\nkeyring-provider = subprocess\n", uv: "keyring-provider = \"subprocess\"\n"} {
		if out, err := write(e, text, true); err != nil || out != text {
			t.Errorf("%q became %q, %v", text, out, err)
		}
	}
}

func TestRcloneUndoesItself(t *testing.T) {
	r := rclone{profile: Profile{Name: "gep", Flags: []string{"--profile", "gep"}, Serves: func(u *url.URL) bool { return u.Host == "dav.example.org" }}, line: "bearer_token_command = /opt/t2-cred get --profile gep"}
	e := r.edit("rclone.conf")
	undoesItself(t, e, "# mine\n[a]\ntype = webdav\nurl = https://dav.example.org/x\nvendor = other\n", "[a]\r\nurl=https://dav.example.org\r\ntype=webdav\r\n[b]\r\ntype = s3\r\n[c]\r\ntype = webdav\r\nvendor = other\r\nurl = https://dav.example.org/c")
	refuses(t, e, "", "[a]\ntype = webdav\nurl = https://other.example.org/\n", "[a]\ntype = http\nurl = https://dav.example.org/\n", "[a\n",
		"[a]\ntype = webdav\nurl = https://dav.example.org/\nuser = me\n", "[a]\ntype = webdav\nbearer_token_command = pass x\nurl = https://dav.example.org/\n",
		"[a]\ntype = webdav\nbearer_token_command = t2-cred get --profile other\nurl = https://dav.example.org/\n", "# Encrypted rclone configuration File\n\nRCLONE_ENCRYPT_V0:\nAAAA\n")
	const old = "[a]\ntype = webdav\nurl = https://dav.example.org/\nvendor = other\nbearer_token_command = /old/t2-cred get --profile gep"
	if out, err := write(e, old, true); err != nil || out != strings.Replace(old, "/old", "/opt", 1) {
		t.Errorf("%q, %v", out, err)
	}
	// One word more and it is somebody's own; and of a URL nothing is said.
	for _, theirs := range []string{old + " --account alice", strings.Replace(old, "/old/", "", 1), strings.Replace(old, "get", "get --scope x", 1)} {
		theirs = strings.Replace(theirs, ".org/", ".org/?token=hush", 1)
		if out, err := write(e, theirs, true); err == nil || err.Error() != "the remote [a]: it already has a bearer_token_command, which is not t2-cred's" {
			t.Errorf("%q became %q, %v", theirs, out, err)
		}
		if rest, keep, err := undo(e, theirs); err != nil || !keep || rest != theirs {
			t.Errorf("%q: cut %q, %v", theirs, rest, err)
		}
	}
	if out, err := write(e, "[a]\ntype = webdav\nurl = https://dav.example.org/?token=hush\nuser = me\n", true); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("%q, %v", out, err)
	}
}

// TestHandEditedBlockStays: what somebody changed among our lines is neither
// written over nor taken out.
func TestHandEditedBlockStays(t *testing.T) {
	b := block{profile: "gep", lines: []string{"a = 1", "b = 2"}}
	once, _ := b.put("x\n", true)
	newer := block{profile: "gep", lines: []string{"a = 3"}}
	if out, err := newer.put(once, true); err != nil || strings.Contains(out, "b = 2") {
		t.Errorf("our own lines were not brought up to date: %q, %v", out, err)
	}
	if out, _, err := b.cut(strings.ReplaceAll(once, "\n", "\r\n")); err != nil || out != "x\r\n" {
		t.Errorf("with other line ends: %q, %v", out, err)
	}
	for _, edited := range []string{strings.Replace(once, "b = 2", "b = 7", 1), strings.Replace(once, "b = 2\n", "b = 2\nc = 3\n", 1), strings.Replace(once, "a = 1\n", "", 1)} {
		if out, err := newer.put(edited, true); err == nil {
			t.Errorf("%q became %q", edited, out)
		}
		if out, _, err := b.cut(edited); err == nil {
			t.Errorf("%q was cut to %q", edited, out)
		}
	}
}

// TestLooseLines: the comments around our lines are gone, and the lines are known
// all the same.
func TestLooseLines(t *testing.T) {
	b := block{profile: "gep", lines: []string{"ours 2"}, loose: func(line string) bool { return strings.HasPrefix(line, "ours ") }}
	for before, after := range map[string]string{"a\nours 1\nb\nours 1": "a\nb\n", "a\nb\n": "a\nb\n"} {
		if rest, keep, err := b.cut(before); err != nil || !keep || rest != after {
			t.Errorf("%q: cut %q, %v", before, rest, err)
		}
		once, err := b.put(before, true)
		if err != nil || once != after+b.text("", "\n") {
			t.Errorf("%q: put %q, %v", before, once, err)
		}
		if twice, err := b.put(once, true); err != nil || twice != once {
			t.Errorf("%q: a second time %q, %v", before, twice, err)
		}
	}
}

func TestLooseTokenHelper(t *testing.T) {
	p := Profile{Name: "gep", Flags: []string{"--profile", "gep"}}
	const line = "//h.example:8443/:tokenHelper=/opt/t2-cred pnpm --profile gep --url https://h.example:8443/"
	for _, ours := range []string{line, line + "\r\n", strings.Replace(line, "=", " = ", 1), strings.Replace(line, "/opt/", "/a/b/", 1)} {
		if !p.isTokenHelper(ours) {
			t.Errorf("%q is ours", ours)
		}
	}
	for _, theirs := range []string{
		"", "\n", "; " + line, line + " --account alice", strings.Replace(line, "--url", "--account alice --url", 1), strings.Replace(line, "gep", "other", 1),
		strings.Replace(line, "/opt/", "", 1), strings.Replace(line, "/opt/", "/opt/not-", 1), strings.Replace(line, "https://h", "https://other", 1), strings.Replace(line, "tokenHelper", "other", 1),
	} {
		if p.isTokenHelper(theirs) {
			t.Errorf("%q is somebody's own", theirs)
		}
	}
	p.Flags = append(p.Flags, "--account", "alice")
	if !p.isTokenHelper(strings.Replace(line, "--url", "--account alice --url", 1)) || p.isTokenHelper(line) {
		t.Error("the account makes no difference")
	}
}

// TestSaveLooksAgain: what the tool wrote between reading and replacing stays.
func TestSaveLooksAgain(t *testing.T) {
	b := block{profile: "gep", lines: []string{"a"}}
	ours, _ := b.put("", false)
	for name, c := range map[string]struct {
		before string // "": it is not there
		undo   bool
	}{"put": {"x\n", false}, "new": {"", false}, "cut": {"x\n" + ours, true}, "remove": {ours, true}} {
		file := filepath.Join(t.TempDir(), "file")
		write := func(text string) {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if c.before != "" {
			write(c.before)
		}
		change, err := b.edit(file, readNpmrc, nil).plan(c.undo)
		if err != nil {
			t.Fatal(err)
		}
		write("theirs\n")
		changed, err := change.save()
		if got, _ := os.ReadFile(file); changed || !errors.Is(err, errChanged) || string(got) != "theirs\n" {
			t.Errorf("%s: changed %v, %v; the file is %q", name, changed, err, got)
		}
		if err := change.failed(err, "x"); !errors.Is(err, ErrConfiguration) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestChangesShowNothingElse(t *testing.T) {
	for _, c := range [][3]string{
		{"", "a\nb\n", "@@ -0,0 +1,2 @@\n+a\n+b\n"},
		{"a\nb\nc\n", "a\nx\nb\nc\ny\n", "@@ -1,0 +2,1 @@\n+x\n@@ -3,0 +5,1 @@\n+y\n"},
		{"a\nold\nb", "a\nnew\nnewer\nb", "@@ -2,1 +2,2 @@\n-old\n+new\n+newer\n"},
		{"a\nold\n", "a\n", "@@ -2,1 +1,0 @@\n-old\n"},
		{"a\n", "b\n", "@@ -1,1 +1,1 @@\n-a\n+b\n"},
		{"a\n\na\n", "a\n\nb\n\na\n", "@@ -2,0 +3,2 @@\n+b\n+\n"},
	} {
		if got := changes(c[0], c[1]); got != c[2] {
			t.Errorf("%q to %q: %q", c[0], c[1], got)
		}
	}
}

func TestSaveKeepsModesAndLinks(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "real")
	if err := errors.Join(os.WriteFile(file, []byte("x\n"), 0o600), os.Chmod(file, 0o640)); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("real", link); err != nil {
		t.Skip(err) // Windows wants a privilege
	}
	b := block{profile: "gep", lines: []string{"a"}}
	e := b.edit(link, readNpmrc, nil)
	for n, undo := range []bool{false, false, true, true} {
		c, err := e.plan(undo)
		if err != nil {
			t.Fatal(err)
		}
		if changed, err := c.save(); err != nil || changed != (n%2 == 0) {
			t.Errorf("%d: changed %v, %v", n, changed, err)
		}
		info, err := os.Stat(link)
		if err != nil || info.Mode() != 0o640 {
			t.Errorf("%d: %v, %v", n, info.Mode(), err)
		}
		if to, err := os.Readlink(link); err != nil || to != "real" {
			t.Errorf("%d: a link to %q, %v", n, to, err)
		}
	}
}

// FuzzSetup: whatever is in a file, a change is refused, or can be made twice
// without difference and taken back to the byte.
func FuzzSetup(f *testing.F) {
	b := block{profile: "gep", lines: []string{"[a]", "a = 1"}}
	r := rclone{profile: Profile{Name: "gep", Flags: []string{"--profile", "gep"}, Serves: func(*url.URL) bool { return true }}, line: "bearer_token_command = /opt/t2-cred get --profile gep"}
	edits := []*edit{
		testKubeEdit(), pipEdit("pip.conf"), uvEdit("uv.toml"), r.edit("rclone.conf"), b.edit("x", readGitConfig, nil), b.edit("x", readConfigParser, nil), b.edit("x", readGDAL, nil),
		block{profile: "gep", lines: []string{"a = 1"}}.edit("x", readNpmrc, nil),
		block{profile: "gep", lines: []string{"GOAUTH=x"}, eol: "\n"}.edit("x", readGoEnv, nil),
		block{profile: "gep", lines: []string{`h "t2" {`, "}"}}.edit("x", readHCL, nil),
		(&cargo{profile: r.profile, command: []string{"/opt/t2-cred", "--profile", "gep"}, named: []string{"my"}}).edit("x"),
		dockerEdit("x", Profile{Hosts: []string{"h"}}),
	}
	for _, seed := range []string{
		"", "users: []\n", "users:\n  - name: a\n", "[global]\nx = 1", "a = 1\r\n", "[a]\ntype = webdav\nurl = https://h/\n", `{"credHelpers": {}, "a": [1]}`, "{}", "[registries]\nmy.index = \"sparse+https://h/\"\n", "[registries.my]\nindex = \"https://h/\"", "a {\n}\n",
	} {
		for n := range edits {
			f.Add(seed, n)
		}
	}
	f.Fuzz(func(t *testing.T, text string, n int) {
		if n < 0 || n >= len(edits) || strings.Contains(text, "t2") || text == "" && edits[n].whole {
			return // what is ours there already is another matter; nothing is no JSON
		}
		e := edits[n]
		once, err := write(e, text, true)
		if err != nil || once == text {
			return
		}
		if twice, err := write(e, once, true); err != nil || twice != once {
			t.Fatalf("%d: %q: a second time %q, %v; first %q", n, text, twice, err, once)
		}
		rest, keep, err := undo(e, once)
		if err != nil || !keep || rest != text {
			t.Fatalf("%d: %q: undone %q, keep %v, %v; was %q", n, text, rest, keep, err, once)
		}
	})
}
