package setup

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
)

// someHosts demands a host without a wildcard.
func (p Profile) someHosts(o Options) error {
	if len(p.Hosts) == 0 && !o.Undo {
		return configRemedy(fmt.Sprintf("profile %s has no exact host to configure", p.Name),
			hint.Words("add one: "), helper.Profile{Name: p.Name, Hosts: p.Others}.AddHost())
	}
	return nil
}

// urls are the addresses of a host. Plain http is for loopback alone.
func urls(host string) []string {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if helper.Loopback(strings.Trim(name, "[]")) {
		return []string{"https://" + host, "http://" + host}
	}
	return []string{"https://" + host}
}

// firstURL is the address for a tool that takes only one.
func firstURL(host string) string {
	all := urls(host)
	return all[len(all)-1]
}

// edit adds the block at the end of a file.
func (b block) edit(file string, read grammar, refuse func(says []setting) error) *edit {
	ours, err := read(strings.Join(b.lines, "\n") + "\n")
	return &edit{
		file: file, lines: b.shown(""), read: read, refuse: refuse, cut: b.cut,
		want: func(string, []setting) []setting { return ours },
		put: func(text string, exists bool) (string, error) {
			if err != nil {
				return "", err
			}
			return b.put(text, exists)
		},
	}
}

// taken is the error for a setting that the file has already. value tells whether
// t2-cred wrote it for another profile.
func (p Profile) taken(tool, what, value string) error {
	if other := profileIn(value); other != "" && other != p.Name {
		return configRemedy(fmt.Sprintf("it already has %s, which is t2-cred's for the profile %s, and %s takes one", what, other, tool),
			hint.Words("take that back first: "), hint.Run("setup", tool, "--undo", "--profile", other))
	}
	return errors.New("it already has " + what + ", which is not t2-cred's")
}

// profileIn is the profile that a command of t2-cred names.
func profileIn(command string) string {
	words := strings.FieldsFunc(command, func(r rune) bool { return strings.ContainsRune(" \t,[]\"'=", r) })
	for n, word := range words {
		if word == "--profile" && n+1 < len(words) && Plain(words[n+1], "._-") {
			return words[n+1]
		}
	}
	return ""
}
