package hook

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A Next is the error of a hook that leaves the call to another program. That program
// gets the call unchanged: the hook has read nothing of standard input.
type Next struct {
	Path string
	Argv []string
	// Variable and Value are set in its environment.
	Variable, Value string
}

func (n *Next) Error() string { return fmt.Sprintf("the call is for %s", n.Path) }

// keyringTried lists the programs that the call has already been passed to. No program
// gets the same call twice, be it a copy of t2-cred or a script that calls it.
const keyringTried = "T2_CRED_KEYRING_TRIED"

// nextKeyring leaves the call to the next keyring on PATH that is not t2-cred. If there
// is none, the answer is keyring's for a missing password: exit code 1 and no output.
func nextKeyring(c *Call) error {
	tried := filepath.SplitList(c.Getenv(keyringTried))
	us, err := os.Executable()
	if err != nil {
		return Exit(1) // without our own path we could call ourselves
	}
	tried = append(tried, us)
	if len(tried) > 32 {
		return Exit(1)
	}
	for _, dir := range filepath.SplitList(c.Getenv("PATH")) {
		if !filepath.IsAbs(dir) { // the working directory may be anybody's
			continue
		}
		path, err := exec.LookPath(filepath.Join(dir, keyringName))
		if err != nil || slices.ContainsFunc(tried, func(t string) bool { return sameFile(t, path) }) {
			continue
		}
		return &Next{
			Path: path, Argv: append([]string{keyringName}, c.Args...),
			Variable: keyringTried, Value: strings.Join(append(tried, path), string(os.PathListSeparator)),
		}
	}
	return Exit(1)
}

func sameFile(a, b string) bool {
	if a == b {
		return true
	}
	one, err1 := os.Stat(a)
	two, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(one, two)
}
