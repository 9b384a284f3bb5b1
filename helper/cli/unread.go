package cli

import (
	"runtime"
	"slices"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const ownPrefix = "T2_CRED_"

// twins are the variables that stand for flags.
func twins(root *cobra.Command) (all []entry) {
	root.PersistentFlags().VisitAll(func(f *pflag.Flag) {
		if _, name, ok := strings.Cut(f.Usage, "("+ownPrefix); ok {
			all = append(all, entry{ownPrefix + strings.TrimSuffix(name, ")"), "stands for --" + f.Name})
		}
	})
	return all
}

// notForUs are variables with our prefix that t2-cred does not read, and that are no
// mistake: the one that exec sets, and those of the tests and the Makefile.
func notForUs() []string {
	return []string{
		tokenVariable, ownPrefix + "BIN", ownPrefix + "MORE",
		ownPrefix + "E2E", ownPrefix + "E2E_CACHE", ownPrefix + "E2E_CHILD",
	}
}

// An unreadVariable is set, and t2-cred does not read it.
type unreadVariable struct {
	Name  string `json:"name"`
	Meant string `json:"meant"` // the variable that was meant, or empty
}

// what says it. The value is not shown, as it may be a secret.
func (u unreadVariable) what() string {
	text := u.Name + " is set, and t2-cred does not read it"
	if u.Meant != "" {
		text += "; did you mean " + u.Meant + "?"
	}
	return text
}

// unread lists the variables that somebody has set for t2-cred, and that it does not read.
// These are all with our prefix, and those whose name is nearly that of one of ours.
func (a *app) unread(root *cobra.Command) (found []unreadVariable) {
	if a.Environ == nil {
		return nil
	}
	var known, others []string
	for _, line := range a.Environ() {
		name, value, _ := strings.Cut(line, "=")
		if value == "" || len(name) < 2 || !strings.EqualFold(name[:2], ownPrefix[:2]) {
			continue
		}
		if known == nil {
			known, others = variables(root)
		}
		if slices.ContainsFunc(known, func(k string) bool { return sameVariable(k, name) }) {
			continue
		}
		u := unreadVariable{shownWord(name), meantVariable(name, known, others)}
		if u.Meant != "" || strings.HasPrefix(name, ownPrefix) {
			found = append(found, u)
		}
	}
	sort.Slice(found, func(i, j int) bool { return found[i].Name < found[j].Name })
	return found
}

// variables are the names that nobody is told of: those with our prefix; and the others that
// t2-cred reads.
func variables(root *cobra.Command) (known, others []string) {
	known = notForUs()
	for _, e := range slices.Concat(twins(root), environment()) {
		for name := range strings.SplitSeq(e.word, ", ") {
			if strings.HasPrefix(name, ownPrefix) {
				known = append(known, name)
			} else {
				others = append(others, name)
			}
		}
	}
	return known, others
}

// sameVariable compares names as the system does.
func sameVariable(a, b string) bool {
	return a == b || runtime.GOOS == "windows" && strings.EqualFold(a, b)
}

// meantVariable is the variable that a name was meant for: one spelt nearly so, one that
// other tools call so, or one that has no prefix.
func meantVariable(name string, known, others []string) string {
	var read []string
	for _, k := range known {
		if !slices.Contains(notForUs(), k) {
			read = append(read, k)
		}
	}
	word, ours := strings.CutPrefix(name, ownPrefix)
	if !ours {
		return nearest(name, read)
	}
	if slices.Contains(others, word) {
		return word
	}
	words := make([]string, len(read))
	for n, k := range read {
		words[n] = strings.TrimPrefix(k, ownPrefix)
	}
	likely := []string{nearest(word, words)}
	for _, end := range []string{"_FILE", "_NAME", "_PATH"} {
		likely = append(likely, strings.TrimSuffix(word, end))
	}
	likely = append(likely, sameVariables(word)...)
	for _, w := range likely {
		if slices.Contains(words, w) {
			return ownPrefix + w
		}
	}
	return ""
}

// sameVariables are the words that other tools have for what a variable of ours says.
func sameVariables(word string) []string {
	switch word {
	case "DEBUG", "TRACE", "LOG", "LOG_LEVEL":
		return []string{"VERBOSE"}
	case "CA_BUNDLE", "CACERT", "SSL_CERT_FILE":
		return []string{"CA_FILE"}
	case "CONFIG_DIR", "CONFIG_HOME":
		return []string{"CONFIG"}
	case "BACKEND":
		return []string{"STORE"}
	}
	var same []string
	for _, flag := range sameFlags(word) {
		same = append(same, strings.ToUpper(flag))
	}
	return same
}

// warnOfUnread warns of variables that were meant for another one: the command goes on with
// another profile, account or store. With unsure it warns of those too of which nothing more
// is known. Hooks never warn, since tools show their users what a hook says. With --json,
// standard error has the error alone.
func (a *app) warnOfUnread(cmd *cobra.Command, unsure bool) {
	if cmd == nil || a.flags.json || staysQuiet(cmd) {
		return
	}
	for _, u := range a.unread(cmd.Root()) {
		if said := a.warnedUnread && u.Meant != ""; !said && (u.Meant != "" || unsure) {
			a.warn(u.what())
		}
	}
	a.warnedUnread = true
}

// mayBeUnread reports whether a failure may come of a variable that is not read.
func mayBeUnread(code int) bool { return code == exitUsage || code == exitConfig || code == exitLogin }

// staysQuiet is for hooks, for what a shell asks, for doctor, which has a line for each, and
// for what shows texts.
func staysQuiet(cmd *cobra.Command) bool {
	first := firstCommand(cmd)
	return first.GroupID == groupHooks || first.Name() == "doctor" || slices.Contains(completionRequests(), first.Name()) || showsTexts(cmd)
}

// showsTexts is of commands that read nothing of what the environment names. A shell runs one
// at its start, and a hint about a wrong variable names another.
func showsTexts(cmd *cobra.Command) bool {
	return slices.Contains([]string{"completion", "help", "version"}, firstCommand(cmd).Name())
}

// completionRequests are cobra's commands with which a shell asks for completions.
func completionRequests() []string {
	return []string{cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd}
}

// firstCommand is the command behind t2-cred, for one that may lie below it.
func firstCommand(cmd *cobra.Command) *cobra.Command {
	for cmd.HasParent() && cmd.Parent().HasParent() {
		cmd = cmd.Parent()
	}
	return cmd
}

// logUnread says the same for a hook, to those who ask with -v.
func (a *app) logUnread(cmd *cobra.Command) {
	if !a.flags.verbose {
		return
	}
	for _, u := range a.unread(cmd.Root()) {
		a.log.Warn(u.what())
	}
}
