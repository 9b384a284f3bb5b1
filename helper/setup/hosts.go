package setup

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"

	"github.com/terradue/t2-cred/helper"
)

// someHosts wants the profile to name a host exactly.
func (p Profile) someHosts(o Options) error {
	if len(p.Hosts) == 0 && !o.Undo {
		return configError(fmt.Sprintf("profile %s names no host exactly, so there is nothing to tell the tool", p.Name), "add hosts to the profile: t2-cred profile add --host HOST …, or in the configuration file")
	}
	return nil
}

// urls are how tools address a host; plain http is for loopback alone.
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

// firstURL is the one where only one can be said.
func firstURL(host string) string {
	all := urls(host)
	return all[len(all)-1]
}

// blockEdit is the edit that puts lines between two comments.
func blockEdit(file, profile string, lines []string, check, whole func(string) error) *edit {
	return block{profile: profile, lines: lines}.edit(file, check, whole)
}

// edit is that of the block at the end of a file. check refuses the file as it is
// outside of the block, and whole what it becomes.
func (b block) edit(file string, check, whole func(string) error) *edit {
	return &edit{
		file: file, lines: b.shown(""), cut: b.cut,
		put: func(text string, exists bool) (string, error) {
			outside, err := b.outside(text)
			if err == nil {
				err = check(outside)
			}
			if err != nil {
				return "", err
			}
			after, err := b.put(text, exists)
			if err != nil || whole == nil {
				return after, err
			}
			return after, whole(after)
		},
	}
}

// unless refuses a text that already says something of its own.
func unless(says *regexp.Regexp, what string, also func(string) error) func(string) error {
	return func(text string) error {
		if says.MatchString(text) {
			return errors.New("it already has " + what + ", which is not t2-cred's")
		}
		return also(text)
	}
}
