package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/terradue/t2-cred/helper/cli"
	"github.com/terradue/t2-cred/helper/hook"
)

// A source is what the pages are made for.
type source struct{ version, date string }

// hooksPage is the page about all hooks.
const hooksPage = "t2-cred-hooks"

// pages are all manual pages, by file name: one a command, and one about the hooks.
func (s source) pages() map[string]string {
	pages := map[string]string{hooksPage + ".7": s.hooks()}
	root := cli.Commands()
	pages["t2-cred.1"] = s.overview(root)
	for _, cmd := range below(root) {
		pages[pageName(cmd)+".1"] = s.command(cmd)
	}
	return pages
}

// below are the commands under cmd, in the order of help, each before its own.
func below(cmd *cobra.Command) (all []*cobra.Command) {
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() || sub.Name() == "help" {
			all = append(append(all, sub), below(sub)...)
		}
	}
	return all
}

func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// command is the page of one command.
func (s source) command(cmd *cobra.Command) string {
	p := newPage(s, pageName(cmd), "1", cmd.Short)
	p.synopsis(cmd)
	p.macro("SH", "DESCRIPTION")
	p.description(cmd)
	if subs := below(cmd); len(subs) > 0 {
		p.macro("SH", "COMMANDS")
		p.commands(subs)
	}
	if cmd.HasAvailableLocalFlags() {
		p.macro("SH", "OPTIONS")
		p.options(cmd.LocalFlags())
		p.paragraph()
		p.line(fmt.Sprintf("The options that every command has are in %s(1).", bold("t2-cred")))
	}
	if cmd.Example != "" {
		p.macro("SH", "EXAMPLES")
		p.text(cmd.Example)
	}
	p.also(cmd)
	return p.b.String()
}

func (p *page) synopsis(cmd *cobra.Command) {
	p.macro("SH", "SYNOPSIS")
	path, rest, _ := strings.Cut(cmd.UseLine(), cmd.CommandPath())
	p.line(bold(path+cmd.CommandPath()) + escape(rest))
}

func (p *page) description(cmd *cobra.Command) {
	if cmd.Long != "" {
		p.text(cmd.Long)
	} else {
		p.text(cmd.Short + ".")
	}
}

func (p *page) commands(cmds []*cobra.Command) {
	for _, cmd := range cmds {
		p.item(bold(pageName(cmd))+"(1)", cmd.Short)
	}
}

// options are flags as help lists them.
func (p *page) options(flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		tag := bold("--" + f.Name)
		if f.Shorthand != "" {
			tag = bold("-"+f.Shorthand) + ", " + tag
		}
		if value != "" {
			tag += " " + italic(value)
		}
		if d := f.DefValue; d != "" && d != "false" && d != "[]" && !strings.Contains(usage, "default") {
			if f.Value.Type() == "string" {
				d = strconv.Quote(d)
			}
			usage += fmt.Sprintf(" (default %s)", d)
		}
		p.item(tag, usage)
	})
}

// also ends a page: with its parent, and for a hook with the page about them all.
func (p *page) also(cmd *cobra.Command) {
	p.macro("SH", "SEE ALSO")
	seen := bold(pageName(cmd.Parent())) + "(1)"
	for _, protocol := range hook.Protocols {
		if protocol.Name == cmd.Name() && !cmd.Parent().HasParent() {
			seen += ", " + bold(hooksPage) + "(7)"
		}
	}
	p.line(seen)
}

// overview is the page of t2-cred itself.
func (s source) overview(root *cobra.Command) string {
	p := newPage(s, "t2-cred", "1", root.Short)
	p.macro("SH", "SYNOPSIS")
	p.line(bold("t2-cred") + " " + italic("command") + escape(" [options]"))
	p.macro("SH", "DESCRIPTION")
	p.text(root.Long)
	p.macro("SH", "COMMANDS")
	p.commands(below(root))
	p.macro("SH", "OPTIONS")
	p.line("Every command has these, beside its own.")
	p.options(root.PersistentFlags())
	p.macro("SH", "ENVIRONMENT")
	p.line("Each of the options above has a variable, named with it, that is used where the option is not given.")
	p.macro("SH", "EXIT STATUS")
	for _, c := range cli.ExitCodes() {
		p.item(bold(fmt.Sprint(c.Code)), c.Means)
	}
	p.paragraph()
	p.line("On failure standard output is empty, and standard error has one line that says what failed and why, and one line")
	p.line("that begins with " + bold("hint:") + " and says what to type next.")
	p.macro("SH", "FILES")
	p.item(italic("~/.config/t2-cred/config.toml"), "the configuration that a person writes; it holds no secret")
	p.item(italic("~/.config/t2-cred/profiles.d/"), "what commands write: one file a profile, and settings.toml")
	p.item(italic("~/.local/state/t2-cred/"), "notes about what is kept, without secrets, and locks")
	p.item(italic("~/.cache/t2-cred/"), "what issuers publish about themselves")
	p.paragraph()
	p.line("The XDG variables move them. Secrets are in the store that the configuration names.")
	p.macro("SH", "SEE ALSO")
	p.line(bold(hooksPage) + "(7)")
	return p.b.String()
}

// hooks is the page about the protocols of tools.
func (s source) hooks() string {
	p := newPage(s, hooksPage, "7", "how tools ask t2-cred in their own protocols")
	p.macro("SH", "DESCRIPTION")
	p.text(`Tools with a credential hook ask t2-cred in their own protocol. A profile names the
hosts that may have its tokens (t2-cred profile add --host); for any other host a tool
gets its protocol's word for "not mine". t2-cred setup makes the change to a tool's
configuration that is described here.`)
	for _, protocol := range hook.Protocols {
		p.macro("SH", "T2-CRED "+strings.ToUpper(protocol.Name))
		p.line(escape(protocol.Short) + ".")
		if protocol.Alias != "" {
			p.paragraph()
			p.line("Also called as " + bold(protocol.Alias) + ".")
		}
		p.text(protocol.Long)
		p.paragraph()
		p.line("See " + bold("t2-cred-"+protocol.Name) + "(1).")
	}
	p.macro("SH", "SEE ALSO")
	p.line(bold("t2-cred") + "(1), " + bold("t2-cred-setup") + "(1)")
	return p.b.String()
}
