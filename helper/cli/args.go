package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
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

// usageLine is how a command is typed. Without a command, the program's own name was
// wrong.
func usageLine(cmd *cobra.Command) string {
	if cmd == nil || !cmd.HasParent() {
		return "t2-cred help"
	}
	return cmd.UseLine()
}

// flagError says what is wrong with a flag, in the words of the field.
func flagError(cmd *cobra.Command, err error) error {
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok && unknown.GetSpecifiedShortnames() == "" {
		var known []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
		name := unknown.GetSpecifiedName()
		near := ""
		if word := nearest(name, known); word != "" {
			near = "; did you mean --" + word + "?"
		}
		return usageError(fmt.Errorf("unknown flag: --%s%s", shownWord(name), near))
	}
	if wrong, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		words := map[string]string{"duration": "a duration such as 30s", "bool": "true or false", "ints": "a number", "intSlice": "a number"}[wrong.GetFlag().Value.Type()]
		if _, ok := wrong.GetFlag().Value.(*days); ok {
			words = "a duration such as 7d or 12h"
		}
		if words != "" {
			return usageError(fmt.Errorf("--%s %q is not %s", wrong.GetFlag().Name, shownWord(wrong.GetValue()), words))
		}
	}
	return usageError(err)
}
