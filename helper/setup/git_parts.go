package setup

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/terradue/t2-cred/helper/safefile"
)

// A gitPart is a file that git reads beside the one that setup changes.
type gitPart struct {
	file  string
	says  []setting
	maybe bool // only under a condition: includeIf
}

// maxIncludes is git's own limit for files that include files.
const maxIncludes = 10

// gitParts are the other files that git reads for this user, with all that they and the
// changed file include. A file that cannot be read has nothing to say here.
func (e Env) gitParts(changed string, says []setting) (parts []gitPart) {
	seen := []string{changed}
	var add func(file string, maybe bool, depth int)
	included := func(file string, says []setting, maybe bool, depth int) {
		for _, s := range says {
			condition := strings.HasPrefix(s.section, "includeif.")
			if s.key == "path" && (s.section == "include" || condition) {
				add(e.gitPath(file, s.value), maybe || condition, depth+1)
			}
		}
	}
	add = func(file string, maybe bool, depth int) {
		if file == "" || depth > maxIncludes || slices.Contains(seen, file) {
			return
		}
		seen = append(seen, file)
		text, err := safefile.Read(file, safefile.Want{Max: maxFile})
		if err != nil {
			return
		}
		says, err := readGitConfig(string(text))
		if err != nil {
			return
		}
		parts = append(parts, gitPart{file, says, maybe})
		included(file, says, maybe, depth)
	}
	included(changed, says, false, 0)
	for _, file := range e.gitConfigs() {
		add(file, false, 0)
	}
	return parts
}

// gitPath is a path as a file names it: below HOME, or beside the file.
func (e Env) gitPath(file, path string) string {
	if below, ok := strings.CutPrefix(path, "~/"); ok {
		path, err := e.homeFile("", below)
		if err != nil {
			return ""
		}
		return path
	}
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real
	}
	return filepath.Join(filepath.Dir(file), path)
}
