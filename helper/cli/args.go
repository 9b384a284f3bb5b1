package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// noArgs refuses arguments. It shows none of them: one may be a token.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasSubCommands() {
		var known []string
		for _, sub := range cmd.Commands() {
			known = append(append(known, sub.Name()), sub.Aliases...)
		}
		return usageError(fmt.Errorf("unknown command %q for %q%s", shownWord(args[0]), cmd.CommandPath(), didYouMean(args[0], known)))
	}
	return usageError(fmt.Errorf("%s takes no arguments", verb(cmd)))
}

// oneArg wants one argument, which the command's usage line names.
func oneArg(cmd *cobra.Command, args []string) error {
	if len(args) == 1 {
		return nil
	}
	name := "argument"
	for _, word := range strings.Fields(cmd.Use)[1:] {
		if strings.ToUpper(word) == word {
			name = word
			break
		}
	}
	if len(args) == 0 {
		return usageError(fmt.Errorf("%s wants a %s", verb(cmd), name))
	}
	return usageError(fmt.Errorf("%s wants one %s, not %d arguments", verb(cmd), name, len(args)))
}

// verb is a command's path without the program, as in "profile add".
func verb(cmd *cobra.Command) string {
	_, path, _ := strings.Cut(cmd.CommandPath(), " ")
	return or(path, cmd.CommandPath())
}
