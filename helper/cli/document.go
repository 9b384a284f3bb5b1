package cli

import "github.com/spf13/cobra"

// Commands are all commands, as help shows them to somebody whose environment says
// nothing: what the manual pages are made of. They are not for running.
func Commands() *cobra.Command {
	a := &app{Env: Env{Getenv: func(string) string { return "" }}}
	root := a.root()
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	return root
}

// An ExitCode is one of those in exit.go, and what it means.
type ExitCode struct {
	Code  int
	Means string
}

// ExitCodes are all exit codes, for the manual. docs/commands.md has the same words.
func ExitCodes() []ExitCode {
	return []ExitCode{
		{exitOK, "done"},
		{exitUnexpected, "unexpected"},
		{exitUsage, "usage"},
		{exitConfig, "configuration or profile"},
		{exitLogin, "nothing stored, expired or revoked"},
		{exitStore, "store unavailable, locked or too small"},
		{exitUnreachable, "issuer unreachable or overloaded"},
		{exitVerify, "a token was refused by verification, or the user's token by the issuer"},
		{exitRefused, "the issuer refused: client, secret, exchange, scope, audience"},
		{exitBusy, "another process held the lock too long"},
		{exitCannotRun, "exec: the command cannot be run"},
		{exitNoCommand, "exec: there is no such command"},
		{exitInterrupted, "interrupted"},
	}
}
