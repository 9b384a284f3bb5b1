package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/terradue/t2-cred/helper/hint"
)

// refuseUnexpanded is an error of a flag's value that the shell has not made what was meant: a
// ~ that it left alone, or nothing in the place of a variable. Another file, profile or store
// would be used without a word.
func refuseUnexpanded(cmd *cobra.Command) (err error) {
	if slices.Contains(completionRequests(), cmd.Name()) {
		return nil // what was typed is not complete
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if err != nil || f.Name == "account" {
			return
		}
		switch value := f.Value.String(); {
		case isTilde(value):
			err = &hint.Error{
				Kind: errUsage, Detail: fmt.Sprintf("--%s: there is no directory ~ here: the shell replaces ~ only at the start of a word without quotes", f.Name),
				Remedy: hint.Say("put a space in the place of = before ~, and no quotes around it"),
			}
		case value == "" && slices.Contains([]string{"profile", "config", "store"}, f.Name):
			err = usageError(fmt.Errorf("--%s is empty: leave it out to use the default", f.Name))
		}
	})
	return err
}

// checkVariablePaths refuses a ~ in a path of the environment, and a relative one: a tool runs
// its helper in a directory that may be anybody's, such as a clone.
func (a *app) checkVariablePaths(given func(flag string) bool) error {
	for _, name := range []string{"T2_CRED_CONFIG", "T2_CRED_IDENTITY_FILE", "T2_CRED_CA_FILE"} {
		switch value := a.Getenv(name); {
		case value == "", filepath.IsAbs(value), name == "T2_CRED_CONFIG" && given("config"):
		case isTilde(value):
			return environmentError(fmt.Errorf("%s: there is no directory ~ here: write the path of the home in its place", name))
		case name == "T2_CRED_IDENTITY_FILE": // the store looks at it
		default:
			return environmentError(fmt.Errorf("%s is not an absolute path; no file of the current directory is read", name))
		}
	}
	return nil
}

// isTilde reports whether a path begins with a ~ that no directory is called.
func isTilde(path string) bool {
	first, _, below := strings.Cut(filepath.ToSlash(path), "/")
	if !strings.HasPrefix(first, "~") || !below && first != "~" {
		return false
	}
	_, err := os.Lstat(first)
	return err != nil
}

// fromHome is a path that was typed at a question, where no shell replaces ~.
func (a *app) fromHome(path string) string {
	if below, ok := strings.CutPrefix(path, "~/"); ok && filepath.IsAbs(a.Getenv("HOME")) {
		return filepath.Join(a.Getenv("HOME"), below)
	}
	return path
}
