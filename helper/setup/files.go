package setup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// homeFile is a file of the user: in the directory that a variable names, or below HOME.
func (e Env) homeFile(variable, below string, rest ...string) (string, error) {
	if dir := e.Getenv(variable); variable != "" && filepath.IsAbs(dir) {
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
