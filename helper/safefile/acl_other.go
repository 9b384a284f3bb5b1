//go:build unix && !linux

package safefile

// hasACL is of Linux alone: on other systems the group's bits are the group's.
func hasACL(string) bool { return false }
