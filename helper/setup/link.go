package setup

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// linkNamed is the path of a link on PATH by which a tool finds t2-cred.
func (e Env) linkNamed(name string) string {
	if e.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(e.BinDir, name)
}

// checkLink refuses a name that something else has.
func checkLink(path, program string) error {
	if !isThere(path) {
		return nil
	}
	target, err := os.Readlink(path)
	if err == nil && !filepath.IsAbs(target) { // packages make relative links
		target = filepath.Join(filepath.Dir(path), target)
	}
	if err == nil && filepath.ToSlash(target) == program {
		return nil
	}
	return configError(fmt.Sprintf("%s is there already and is not a link to %s; it was left as it is", path, program), "move it away, or name another directory on PATH: --bin-dir DIR")
}

func makeLink(path, program string) error {
	if isThere(path) {
		return nil // checked before
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.Symlink(program, path); err != nil {
		return configError(fmt.Sprintf("link: %v", err), "name a directory on PATH that you may write to: --bin-dir DIR")
	}
	return nil
}

// pathWarning warns if a tool would not find the link on PATH. A link in a plugin
// directory needs no PATH.
func (e Env) pathWarning(link string) string {
	if filepath.Dir(link) != e.BinDir {
		return ""
	}
	path := filepath.SplitList(e.Getenv("PATH"))
	if !slices.Contains(path, e.BinDir) {
		return e.BinDir + " is not on PATH, where the tool looks for t2-cred; name one that is: --bin-dir DIR"
	}
	for _, dir := range path {
		first := filepath.Join(dir, filepath.Base(link))
		if first == link {
			return ""
		}
		if isProgram(first) {
			return fmt.Sprintf("%s comes before %s on PATH, so the tool runs that; name a directory that comes earlier: --bin-dir DIR", first, e.BinDir)
		}
	}
	return ""
}

func isProgram(path string) bool {
	if !filepath.IsAbs(path) {
		return false
	}
	_, err := exec.LookPath(path)
	return err == nil
}
