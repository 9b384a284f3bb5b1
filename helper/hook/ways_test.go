package hook

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// A way is how a protocol is told for which place a token is wanted.
type way struct {
	name     string // PROTOCOL, or PROTOCOL and what else is asked of it
	protocol Protocol
	// says is the text in which a place is named, and call puts it where the tool does.
	says func(scheme, host string) string
	call func(c *Call, text string)
	tls  bool // the place is always reached by https
	// trims is set if spaces and line ends after the place are not of it.
	trims bool
	// more is that text with an unknown key, or the key of the place twice.
	more  func(value string) string
	twice func(first, second string) string
	// The answer for what is not ours: standard output and error.
	notMine    string
	notMineErr error
	// saysNotMine reports the same of an answer that is not always one text.
	saysNotMine func(stdout string, err error) bool
	// refusal reports whether an answer is a refusal, where that is not ErrUsage and
	// an empty standard output.
	refusal func(stdout string, err error) bool
}

func toStdin(args ...string) func(*Call, string) {
	return func(c *Call, text string) { c.Args, c.Stdin = args, strings.NewReader(text) }
}

func toArgs(args ...string) func(*Call, string) {
	return func(c *Call, text string) {
		for _, arg := range args {
			c.Args = append(c.Args, strings.ReplaceAll(arg, "TEXT", text))
		}
	}
}

func toOption(name string) func(*Call, string) {
	return func(c *Call, text string) { c.Option[name] = text }
}

// asURL is a place as most are told it.
func asURL(scheme, host string) string {
	if scheme == "" {
		return "//" + host + "/a/"
	}
	return scheme + "://" + host + "/a/"
}

func asHost(_, host string) string { return host }

// asJSON is a place within what goes before and after it, as a member of objects.
func asJSON(before, form, after string) func(scheme, host string) string {
	return func(scheme, host string) string {
		text, _ := json.Marshal(form + asURL(scheme, host))
		return before + string(text) + after
	}
}

// pair is two members of an object with one name.
func pair(before, name, form, after string) func(first, second string) string {
	return func(first, second string) string {
		return fmt.Sprintf(`%s"%[2]s":"%[3]shttps://%[4]s/","%[2]s":"%[3]shttps://%[5]s/"%s`, before, name, form, first, second, after)
	}
}

// ways are at least one row for each protocol, from the test file of each.
func ways() []way {
	return slices.Concat(
		gitWays(),
		dockerWays(),
		kubernetesWays(),
		awsWays(),
		cargoWays(),
		goauthWays(),
		pnpmWays(),
		terraformWays(),
		keyringWays(),
		googleWays(),
		bazelWays(),
		kubeletWays(),
	)
}
