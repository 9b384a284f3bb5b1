package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/terradue/t2-cred/helper/hint"
)

// noArgs refuses arguments. It shows none of them: one may be a token.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasSubCommands() {
		return unknownCommand(cmd, args...)
	}
	return usageError(fmt.Errorf("%s takes no arguments%s", verb(cmd), meantFlag(cmd)))
}

// meantFlagBy proposes the flag that one argument too many was meant for: its name
// without the dashes, its name before a =, or a URL for the issuer. The argument itself is
// not shown.
func meantFlagBy(cmd *cobra.Command, args []string) string {
	for _, arg := range args {
		name, _, _ := strings.Cut(arg, "=")
		if strings.Contains(arg, "://") && name == arg {
			name = "issuer"
		}
		if f := cmd.Flags().Lookup(strings.ReplaceAll(name, "_", "-")); f != nil {
			return "; did you mean --" + f.Name + "?"
		}
	}
	return ""
}

// unknownCommand is the error of a word that is no command below cmd. Of gh's auth the word
// behind it says what was meant.
func unknownCommand(cmd *cobra.Command, words ...string) error {
	typed := words[0]
	var known []string
	for _, sub := range cmd.Commands() {
		known = append(append(known, sub.Name()), sub.Aliases...)
	}
	near := didYouMeanCommand(typed, known)
	if typed == "auth" && len(words) > 1 {
		near = or(didYouMeanCommand(words[1], known), near)
	}
	if verb(cmd) == "config" && slices.Contains([]string{"set", "edit", "add", "unset"}, typed) {
		near = "; did you mean t2-cred profile edit?"
	}
	return usageError(fmt.Errorf("unknown command %q for %q%s", shownWord(typed), cmd.CommandPath(), near))
}

// meantFlag proposes the flag that an argument may have been meant for.
func meantFlag(cmd *cobra.Command) string {
	for _, name := range []string{"token-file", "output", "to"} {
		if cmd.Flags().Lookup(name) != nil {
			return "; did you mean --" + name + "?"
		}
	}
	if cmd.GroupID == groupCredentials || slices.Contains([]string{"doctor", "keepalive"}, cmd.Name()) {
		return "; did you mean --profile?"
	}
	return ""
}

// oneArg wants one argument, which the command's usage line names.
func oneArg(cmd *cobra.Command, args []string) error {
	if len(args) < 2 {
		return someArgs(cmd, args)
	}
	name := argumentName(cmd)
	return usageError(fmt.Errorf("%s wants one %s, not %d arguments%s", verb(cmd), name, len(args), meantFlagBy(cmd, args)))
}

// oneArgAtMost wants one argument or none.
func oneArgAtMost(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return oneArg(cmd, args)
}

// someArgs wants at least one argument, which the command's usage line names. An empty one
// is what a shell makes of a variable that is not set.
func someArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 && args[0] != "" {
		return nil
	}
	if len(args) > 0 {
		return usageError(fmt.Errorf("%s wants a %s, and what was typed is empty", verb(cmd), argumentName(cmd)))
	}
	return usageError(fmt.Errorf("%s wants a %s", verb(cmd), argumentName(cmd)))
}

// argumentName is the first word of a usage line that stands for an argument: it is in
// capitals, and no flag stands before it.
func argumentName(cmd *cobra.Command) string {
	afterFlag := false
	for _, word := range strings.Fields(cmd.Use)[1:] {
		word = strings.Trim(word, "[]")
		if !afterFlag && strings.ToUpper(word) == word && !strings.HasPrefix(word, "-") {
			return word
		}
		afterFlag = strings.HasPrefix(word, "--") && word != "--"
	}
	return "argument"
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
	if cmd.HasSubCommands() {
		return cmd.CommandPath() + " --help" // it lists them
	}
	return cmd.UseLine()
}

// flagError says what is wrong with a flag, in the words of the field.
func flagError(cmd *cobra.Command, err error) error {
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		return unknownFlag(cmd, unknown)
	}
	if alone, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return usageError(fmt.Errorf("--%s wants a value", alone.GetFlag().Name))
	}
	if wrong, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		words := map[string]string{"duration": "a duration such as 30s", "bool": "true or false", "ints": "a number", "intSlice": "a number", "float64": "a number"}[wrong.GetFlag().Value.Type()]
		if _, ok := wrong.GetFlag().Value.(*days); ok {
			words = "a duration such as 7d or 12h"
		}
		if _, bare := strconv.ParseUint(wrong.GetValue(), 10, 16); bare == nil && words == "a duration such as 30s" {
			words = "a duration; did you mean " + wrong.GetValue() + "s?"
		}
		if words != "" {
			return usageError(fmt.Errorf("--%s %q is not %s", wrong.GetFlag().Name, shownWord(wrong.GetValue()), words))
		}
	}
	return usageError(err)
}

// unknownFlag is the error of a flag that the command does not have. It proposes one, else
// where the flags are listed.
func unknownFlag(cmd *cobra.Command, unknown *pflag.NotExistError) error {
	name, dashes := unknown.GetSpecifiedName(), "--"
	if letters := unknown.GetSpecifiedShortnames(); letters != "" {
		dashes = "-"
		if long := longFlag(cmd, letters); long != "" {
			return usageError(fmt.Errorf("unknown flag: -%s; did you mean --%s?", long, long))
		}
	}
	near, others := "", ""
	for _, same := range sameFlags(name) {
		if cmd.Flags().Lookup(same) != nil {
			near = same
			break
		}
	}
	if near == "" && dashes == "--" { // the very name at another command says more than a name like it
		if others = whoHasFlag(name); others == "" {
			near = nearestFlag(cmd, name)
		}
	}
	e := &hint.Error{Kind: errUsage, Detail: "unknown flag: " + dashes + shownWord(name)}
	switch {
	case near != "":
		e.Detail += "; did you mean --" + near + "?"
	case cmd.HasParent():
		e.Detail += others
		e.Remedy = hint.Do(hint.Words(usageLine(cmd)+"; all flags: "), hint.Run(append(strings.Fields(verb(cmd)), "--help")...))
	default: // its help lists all flags
		e.Detail += others
	}
	return e
}

// nearestFlag is the flag of cmd that is nearest to a mistyped name. A name that begins with
// no- means the opposite of the flag without it.
func nearestFlag(cmd *cobra.Command, name string) string {
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if strings.HasPrefix(f.Name, "no-") || !strings.HasPrefix(name, "no-") {
			known = append(known, f.Name)
		}
	})
	return nearest(name, known)
}

// longFlag is the flag that was meant by its name behind one dash, as in -fresh. The letters
// come with a value behind =, if there is one.
func longFlag(cmd *cobra.Command, letters string) string {
	name, _, _ := strings.Cut(letters, "=")
	if f := cmd.Flags().Lookup(name); f != nil {
		return f.Name
	}
	return ""
}

// whoHasFlag says which commands have a flag that the one at hand does not have, if they are
// few. erase is not named: what its flags do is not taken back.
func whoHasFlag(name string) string {
	var has []string
	var look func(*cobra.Command)
	look = func(cmd *cobra.Command) {
		if cmd.Name() != "erase" && cmd.HasParent() && cmd.LocalNonPersistentFlags().Lookup(name) != nil {
			has = append(has, verb(cmd))
		}
		for _, sub := range cmd.Commands() {
			look(sub)
		}
	}
	look(Commands())
	switch {
	case len(has) == 1:
		return "; " + has[0] + " has it"
	case len(has) > 1 && len(has) <= 4:
		return "; " + strings.Join(has[:len(has)-1], ", ") + " and " + has[len(has)-1] + " have it"
	}
	return ""
}

// missingFlags is cobra's error of flags that must be given, in our words; else err.
func missingFlags(err error) error {
	list, found := strings.CutPrefix(err.Error(), "required flag(s) ")
	list, ended := strings.CutSuffix(list, " not set")
	if !found || !ended {
		return err
	}
	names := strings.Split(strings.ReplaceAll(list, `"`, ""), ", ")
	for n, name := range names {
		names[n] = "--" + name
	}
	if len(names) > 1 {
		return usageError(fmt.Errorf("%s are missing", strings.Join(names, " and ")))
	}
	return usageError(fmt.Errorf("%s is missing", names[0]))
}
