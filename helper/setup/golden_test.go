package setup

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
)

// A golden file begins with its steps: env, profile, write, undo, show, remove, and
// restored, which wants all files as they were, link, mode and is-mode. Then come the files of the home, and
// last, as GOLDEN, what was said and what became of the files.
func TestGolden(t *testing.T) {
	update := slices.Contains(flag.Args(), "update")
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := playGolden(t, archive)
			last := &archive.Files[len(archive.Files)-1]
			if update {
				last.Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if want := string(last.Data); last.Name != "GOLDEN" || got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// A goldenStage is a home with tools' files in it.
type goldenStage struct {
	t        *testing.T
	home     string
	env      map[string]string
	profiles map[string]Profile
	out      strings.Builder
}

func playGolden(t *testing.T, archive *txtar.Archive) string {
	home, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := &goldenStage{t: t, home: home, env: map[string]string{"HOME": home, "PATH": home + "/bin"}, profiles: map[string]Profile{}}
	for _, f := range archive.Files {
		if f.Name == "GOLDEN" {
			continue
		}
		path := filepath.Join(home, f.Name)
		text := bytes.TrimSuffix(f.Data, []byte("(no end)\n"))
		text = bytes.ReplaceAll(text, []byte("<CR>\n"), []byte("\r\n"))
		text = bytes.ReplaceAll(text, []byte("<BOM>"), []byte(bom))
		if len(text) < len(f.Data) && bytes.HasSuffix(f.Data, []byte("(no end)\n")) {
			text = bytes.TrimSuffix(text, []byte("\n"))
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first := s.files()
	for line := range strings.Lines(string(archive.Comment)) {
		line = strings.TrimSpace(line)
		if words := strings.Fields(line); len(words) > 0 && words[0] != "#" {
			s.step(words, line, first)
		}
	}
	return s.out.String()
}

func (s *goldenStage) step(words []string, line string, first map[string]string) {
	before := s.files()
	switch words[0] {
	case "env":
		key, value, _ := strings.Cut(words[1], "=")
		s.env[key] = strings.ReplaceAll(value, "$HOME", s.home)
		return
	case "profile":
		p := helper.Profile{Name: words[1], Hosts: words[2:]}
		exact := slices.DeleteFunc(slices.Clone(words[2:]), func(host string) bool { return strings.HasPrefix(host, "*") })
		s.profiles[words[1]] = Profile{Name: words[1], Flags: []string{"--profile", words[1]}, Hosts: exact, Serves: func(u *url.URL) bool { return p.Serves(u) }}
		return
	case "remove":
		if err := os.Remove(filepath.Join(s.home, words[1])); err != nil {
			s.t.Fatal(err)
		}
		return
	case "link": // a name, and the file that it leads to
		s.must(os.MkdirAll(filepath.Dir(filepath.Join(s.home, words[1])), 0o700))
		s.must(os.Symlink(words[2], filepath.Join(s.home, words[1])))
		return
	case "mode":
		mode, err := strconv.ParseUint(words[1], 8, 32)
		s.must(err)
		s.must(os.Chmod(filepath.Join(s.home, words[2]), os.FileMode(mode)))
		return
	case "is-mode":
		info, err := os.Stat(filepath.Join(s.home, words[2]))
		s.must(err)
		if got := fmt.Sprintf("%o", info.Mode().Perm()); got != words[1] {
			s.t.Errorf("%s has the mode %s, want %s", words[2], got, words[1])
		}
		return
	case "append":
		_, text, _ := strings.Cut(line, words[1]+" ")
		path := filepath.Join(s.home, words[1])
		old, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, append(old, text+"\n"...), 0o600)
		}
		if err != nil {
			s.t.Fatal(err)
		}
		return
	case "restored":
		if !maps.Equal(before, first) {
			s.t.Errorf("not as before: %v, was %v", before, first)
		}
		return
	}
	fmt.Fprintf(&s.out, "> %s\n", line)
	if err := s.run(words); err != nil {
		fmt.Fprintf(&s.out, "error: %v\nhint: %v\n", err, hint.Of(err))
		if after := s.files(); !maps.Equal(before, after) {
			s.t.Errorf("%s: refused, and changed %v to %v", line, before, after)
		}
	}
	s.showChanges(before)
}

func (s *goldenStage) run(words []string) error {
	tool, ok := Find(words[2])
	p, known := s.profiles[words[1]]
	if !ok || !known {
		s.t.Fatalf("%q", words)
	}
	e := Env{Getenv: func(name string) string { return s.env[name] }, GOOS: "linux", Program: "/opt/t2-cred", BinDir: filepath.Join(s.home, "bin")}
	o := Options{Undo: words[0] == "undo"}
	o.NPMRC = slices.Contains(words, "--npmrc")
	for n := 3; n+1 < len(words); n += 2 {
		switch words[n] {
		case "--registry":
			o.Registries = append(o.Registries, words[n+1])
		case "--url":
			o.Server = words[n+1]
		case "--endpoint":
			o.Endpoint = words[n+1]
		default:
			s.t.Fatalf("%q", words)
		}
	}
	plan, err := tool.Plan(e, p, o)
	if err != nil {
		return err
	}
	var r Report
	switch words[0] {
	case "write":
		r, err = tool.Write(e, plan)
	case "undo":
		r, err = tool.Undo(e, plan)
	case "show":
		s.out.WriteString(tool.Show(e, plan))
	default:
		s.t.Fatalf("%q", words)
	}
	for _, line := range r.Done {
		fmt.Fprintln(&s.out, line)
	}
	for _, line := range r.Warnings {
		fmt.Fprintln(&s.out, "warning:", line)
	}
	return err
}

func (s *goldenStage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// files are the contents of all files and links of the home.
func (s *goldenStage) files() map[string]string {
	all := map[string]string{}
	err := filepath.WalkDir(s.home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if d.Type() == fs.ModeSymlink {
			all[path], err = os.Readlink(path)
			all[path] = "link to " + all[path] + "\n"
			return err
		}
		text, err := os.ReadFile(path)
		all[path] = string(text)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

func (s *goldenStage) showChanges(before map[string]string) {
	after := s.files()
	names := slices.Sorted(maps.Keys(after))
	for name := range before {
		if _, ok := after[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		text, there := after[name]
		old, was := before[name]
		switch {
		case !there:
			fmt.Fprintf(&s.out, "%s is gone\n", name)
		case !was || text != old:
			fmt.Fprintf(&s.out, "%s:\n", name)
			for line := range strings.Lines(text) {
				kept, ended := strings.CutSuffix(line, "\n")
				if !ended {
					kept += "(no end)"
				}
				fmt.Fprintf(&s.out, "\t%s\n", strings.NewReplacer("\r", "<CR>", bom, "<BOM>").Replace(kept))
			}
		}
	}
	out := strings.ReplaceAll(s.out.String(), s.home, "$HOME")
	s.out.Reset()
	s.out.WriteString(out)
}
