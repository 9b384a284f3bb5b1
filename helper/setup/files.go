package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/safefile"
)

// homeFile is a file of the user: in the directory that a variable names, or below HOME.
func (e Env) homeFile(variable, below string, rest ...string) (string, error) {
	dir := ""
	switch {
	case strings.HasPrefix(variable, "XDG_"): // a relative path there counts as none, by the specification
		if dir = e.Getenv(variable); !filepath.IsAbs(dir) {
			dir = ""
		}
	case variable != "":
		var err error
		if dir, err = e.namedFile(variable); err != nil {
			return "", err
		}
	}
	if dir != "" {
		return filepath.Join(append([]string{dir}, rest...)...), nil
	}
	home := e.Getenv("HOME")
	if home == "" && e.GOOS == "windows" {
		home = e.Getenv("USERPROFILE")
	}
	if !filepath.IsAbs(home) {
		return "", configError("HOME is not set, so there is no place for the tool's files", "set HOME")
	}
	return filepath.Join(append([]string{home, below}, rest...)...), nil
}

// namedFile is the file that a variable names, or "" if it is unset. The tool takes a
// relative path from where it runs, which setup cannot know.
func (e Env) namedFile(variable string) (string, error) {
	file := e.Getenv(variable)
	if file != "" && !filepath.IsAbs(file) {
		return "", configError(fmt.Sprintf("%s is %q, a relative path, so the tool reads another file in each directory", variable, helper.Clean(file)),
			"set "+variable+" to the whole path, or unset it")
	}
	return file, nil
}

// set are warnings about variables that are set.
func (e Env) set(but string, variables ...string) (warnings []string) {
	for _, name := range variables {
		if e.Getenv(name) != "" {
			warnings = append(warnings, name+" is set in the environment and "+but+"; unset it")
		}
	}
	return warnings
}

// mention are the files among these that name t2-cred.
func mention(files ...string) []string {
	return slices.DeleteFunc(files, func(file string) bool {
		text, err := safefile.Read(file, safefile.Want{Max: maxFile})
		return err != nil || !strings.Contains(string(text), "t2-cred")
	})
}

// elsewhere are the edits that an undo makes in further files. The tool reads them, or
// did when t2-cred wrote to them.
func elsewhere(o Options, done string, edit func(file string) *edit, files ...string) (all []*edit) {
	if !o.Undo {
		return nil
	}
	for _, file := range mention(files...) {
		if file != done {
			one := edit(file)
			one.quiet = true
			all = append(all, one)
		}
	}
	return all
}

// configFile is a tool's file in XDG_CONFIG_HOME or ~/.config, and in AppData on
// Windows.
func (e Env) configFile(rest ...string) (string, error) {
	switch {
	case e.GOOS == "windows":
		return e.homeFile("AppData", `AppData\Roaming`, rest...)
	case e.Getenv("XDG_CONFIG_HOME") != "":
		return e.homeFile("XDG_CONFIG_HOME", ".config", rest...)
	}
	return e.homeFile("", ".config", rest...)
}

// isThere reports whether a name is taken, also by a dangling link.
func isThere(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
