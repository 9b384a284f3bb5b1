package hook

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Called finds the protocol that a program of this name speaks. A tool calls a helper
// NAME as git-credential-NAME, so any name with such a beginning is the tool's, in any
// case and with any .exe: file systems ignore case, and people choose the end. The name
// is "" if the program is t2-cred itself. Its error wraps [ErrUsage] for a name that
// belongs to a tool without a protocol here. Such a call must get no token.
func Called(argv0 string) (name string, err error) {
	program := strings.TrimSuffix(strings.ToLower(filepath.Base(argv0)), ".exe")
	for _, p := range Protocols {
		if p.Alias == "" {
			continue
		}
		begins, chosen := strings.CutSuffix(p.Alias, "-t2") // the tool lets its user choose the end
		if program == p.Alias || chosen && (program == begins || strings.HasPrefix(program, begins+"-")) {
			return p.Name, nil
		}
	}
	for _, mark := range []string{"-credential-", "-credentials-"} {
		if strings.Contains(program+"-", mark) {
			return "", fmt.Errorf("%w: t2-cred was called as %.60q, and has no hook for that tool", ErrUsage, program)
		}
	}
	return "", nil
}

// Recognize is the name of the protocol whose request begins with text, or "".
func Recognize(text []byte) (name string) {
	for _, p := range Protocols {
		if p.Begins != nil && p.Begins(text) {
			return p.Name
		}
	}
	return ""
}
