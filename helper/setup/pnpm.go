package setup

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func planPnpm(e Env, p Profile, o Options) (Plan, error) {
	file := e.Getenv("NPM_CONFIG_USERCONFIG")
	if !filepath.IsAbs(file) {
		var err error
		if file, err = e.homeFile("", ".npmrc"); err != nil {
			return Plan{}, err
		}
	}
	// npm, which has this file too, drops comments when it writes.
	b := block{profile: p.Name, loose: p.isTokenHelper}
	check := checkINI
	for _, host := range p.Hosts {
		key := "//" + host + "/:tokenHelper"
		b.lines = append(b.lines, fmt.Sprintf("%s=%s %s", key, e.Program, strings.Join(p.pnpm(host), " ")))
		check = unless(regexp.MustCompile(`(?m)^\s*`+regexp.QuoteMeta(key)+`\s*=`), key, check)
	}
	return Plan{
		why:   "pnpm 11 and later run t2-cred for these registries. (pnpm 10 takes no arguments: docs/hooks/pnpm.md.)",
		edits: []*edit{b.edit(file, check, nil)},
	}, p.someHosts(o)
}

func (p Profile) pnpm(host string) []string {
	return slices.Concat([]string{"pnpm"}, p.Flags, []string{"--url", firstURL(host) + "/"})
}

// isTokenHelper is whether a line is what we write for some host, which may have
// left the profile since.
func (p Profile) isTokenHelper(line string) bool {
	key, command, _ := strings.Cut(line, "=")
	host, ok := strings.CutSuffix(strings.TrimSpace(key), "/:tokenHelper")
	if !ok || !strings.HasPrefix(host, "//") {
		return false
	}
	return runsUs(command, p.pnpm(host[len("//"):])...)
}
