package hook

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// TestReleaseLinks compares the names by which tools call t2-cred with the links that
// a release makes: of the program, of its manual pages, and of the cask.
func TestReleaseLinks(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", ".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var programs, pages []string
	for _, p := range Protocols {
		if p.Alias != "" && p.Shared == "" {
			programs = append(programs, p.Alias)
			pages = append(pages, p.Name+" "+p.Alias)
		}
	}
	if len(programs) < 5 {
		t.Errorf("only %d protocols have a name of their own: %q", len(programs), programs)
	}
	for what, c := range map[string]struct {
		line string
		want []string
	}{
		"link of a package": {`(?m)^ *- \{type: symlink, src: t2-cred, dst: /usr/bin/([^ }]+)\}$`, programs},
		"manual page":       {`(?m)^ *- \{type: symlink, src: t2-cred-([a-z]+)\.1\.gz, dst: /usr/share/man/man1/([^ }]+)\.1\.gz\}$`, pages},
		"link of the cask":  {`(?m)^ *binary "t2-cred", target: "([^"]+)"$`, programs},
	} {
		var got []string
		for _, m := range regexp.MustCompile(c.line).FindAllStringSubmatch(string(text), -1) {
			name := m[1]
			if len(m) == 3 {
				name += " " + m[2]
			}
			got = append(got, name)
		}
		slices.Sort(got)
		slices.Sort(c.want)
		if !slices.Equal(got, c.want) {
			t.Errorf(".goreleaser.yaml: the names of each %s are %q, not %q", what, got, c.want)
		}
	}
}
