// Package hint has the one error that says what to do next. A remedy is made of
// words and of commands. A command is a value and not text, so that it is printed
// complete (profile, account, store, configuration) and quoted for a POSIX shell.
//
// The package is a leaf: it imports nothing of ours. Its Go API is internal to
// t2-cred and may change at any time.
package hint

import "strings"

// An Error is a failure. It says what was seen and what to do next.
type Error struct {
	// Kind is a sentinel that says which sort of failure this is. Package cli turns
	// it into the exit code.
	Kind   error
	Detail string // what was seen, without secrets; empty for the words of Kind
	Remedy Remedy // what to do next; nil when nothing is known
	Err    error  // the cause, or nil
}

// Error implements error: the detail, then the cause.
func (e *Error) Error() string {
	text := e.Detail
	if text == "" {
		text = e.Kind.Error()
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives the kind and the cause.
func (e *Error) Unwrap() []error { return []error{e.Kind, e.Err} }

// Hint gives the remedy.
func (e *Error) Hint() Remedy { return e.Remedy }

// Of returns the first remedy in an error's tree that is not empty, in the order
// in which errors.As walks it. It is nil when no error of the tree has one. An error
// of a leaf, which cannot know this package, has Repair: the words of a command.
func Of(err error) Remedy {
	if err == nil {
		return nil
	}
	if h, ok := err.(interface{ Hint() Remedy }); ok {
		if r := h.Hint(); len(r) > 0 {
			return r
		}
	}
	if r, ok := err.(interface{ Repair() []string }); ok {
		if argv := r.Repair(); len(argv) > 0 {
			return Do(Shell(argv...))
		}
	}
	switch u := err.(type) { //nolint:errorlint // this is the walk over what is wrapped
	case interface{ Unwrap() error }:
		return Of(u.Unwrap())
	case interface{ Unwrap() []error }:
		for _, one := range u.Unwrap() {
			if r := Of(one); r != nil {
				return r
			}
		}
	}
	return nil
}

// A Remedy is what to do next: words and commands in the order of reading.
type Remedy []Part

// A Part is a [Words] or a [Command].
type Part interface{ text(Globals) string }

// Do makes a remedy of its parts.
func Do(parts ...Part) Remedy { return parts }

// Say makes a remedy that is advice and no command: an admin, a browser, a package. It
// is nil for no words.
func Say(words string) Remedy {
	if words == "" {
		return nil
	}
	return Remedy{Words(words)}
}

// Globals are the global flags of this run that name other files than the default
// ones. A t2-cred command in a hint needs them to mean the same.
type Globals struct{ Config, Store string }

// Text is the remedy as a person reads it.
func (r Remedy) Text(g Globals) string {
	var b strings.Builder
	for _, p := range r {
		b.WriteString(p.text(g))
	}
	return b.String()
}

// String is Text without global flags.
func (r Remedy) String() string { return r.Text(Globals{}) }

// Commands are the commands of the remedy, each as it is typed.
func (r Remedy) Commands(g Globals) (lines []string) {
	for _, p := range r {
		if c, ok := p.(Command); ok {
			lines = append(lines, c.text(g))
		}
	}
	return lines
}

// Words are text that is no command. Nothing in them is quoted.
type Words string

func (w Words) text(Globals) string { return string(w) }

// A Command is one that the reader can type as it stands. Words in capitals (FILE,
// NAME, URL) are for the reader to replace.
type Command struct {
	own  bool // of t2-cred
	argv []string
}

// Run is a command of t2-cred: its verb, flags and arguments.
func Run(args ...string) Command {
	return Command{own: true, argv: append([]string{"t2-cred"}, args...)}
}

// Shell is a command of another program.
func Shell(argv ...string) Command { return Command{argv: append([]string{}, argv...)} }

// For adds the flags that name the profile and the account that are meant. An empty
// profile is left out, and so is an account that is empty or the default one.
func (c Command) For(profile, account string) Command {
	if profile != "" {
		c = c.With("--profile", profile)
	}
	if account != "" && account != "default" {
		c = c.With("--account", account)
	}
	return c
}

// With adds flags and arguments.
func (c Command) With(args ...string) Command {
	c.argv = append(c.argv[:len(c.argv):len(c.argv)], args...)
	return c
}

func (c Command) text(g Globals) string {
	argv := c.argv
	if c.own {
		if g.Store != "" && !c.names("--store") && !c.names("--use") { // --use chooses another store
			argv = append(argv[:len(argv):len(argv)], "--store", g.Store)
		}
		if g.Config != "" && !c.names("--config") {
			argv = append(argv[:len(argv):len(argv)], "--config", g.Config)
		}
	}
	words := make([]string, len(argv))
	for i, arg := range argv {
		words[i] = Quote(arg)
	}
	return strings.Join(words, " ")
}

func (c Command) names(flag string) bool {
	for _, arg := range c.argv {
		if arg == flag {
			return true
		}
	}
	return false
}

// Quote writes one word for a POSIX shell (XCU 2.2.2): bare where every character
// is plain, else in single quotes.
func Quote(word string) string {
	plain := word != ""
	for n := 0; n < len(word) && plain; n++ {
		c := word[n]
		plain = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_@%+=:,./-", c) >= 0
	}
	if plain {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
