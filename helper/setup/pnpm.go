package setup

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// planPnpm changes the file that only pnpm reads. npm reads ~/.npmrc too, and warns of
// unknown keys.
func planPnpm(e Env, p Profile, o Options) (Plan, error) {
	file, err := e.pnpmAuth()
	if err != nil {
		return Plan{}, err
	}
	npmrc, err := e.npmrc()
	if err != nil {
		return Plan{}, err
	}
	b := block{profile: p.Name, loose: p.isTokenHelper}
	for _, host := range p.Hosts {
		b.lines = append(b.lines, fmt.Sprintf("//%s/:tokenHelper=%s %s", host, e.Program, strings.Join(p.pnpm(host), " ")))
	}
	refuse := func(says []setting) error {
		for _, s := range says {
			if s.section == "" && p.isRegistryLogin(s.key) {
				return p.taken("pnpm", s.key, s.value)
			}
		}
		return nil
	}
	if o.NPMRC {
		return Plan{
			why:      "pnpm 11 and later run t2-cred for these registries. (pnpm 10 takes no arguments: docs/hooks/pnpm.md.)",
			edits:    []*edit{b.edit(npmrc, readNpmrc, refuse), b.leave(file, readNpmrc, refuse)},
			warnings: []string{"npm 11 reads this file too and says of the line that it will stop working; pnpm 11.13 and later need no --npmrc"},
		}, p.someHosts(o)
	}
	return Plan{
		why:   "pnpm 11.13 and later run t2-cred for these registries. The file is pnpm's own. In ~/.npmrc, npm 11 would warn of the line.",
		edits: []*edit{b.edit(file, readNpmrc, refuse), b.leave(npmrc, readNpmrc, refuse)},
		show:  "# pnpm 11.0 to 11.12 stop at this line: t2-cred setup pnpm --npmrc --write is for them. For pnpm 10: docs/hooks/pnpm.md.\n",
	}, p.someHosts(o)
}

// npmrc is npm's file of the user. npm takes its variables in small letters, too.
func (e Env) npmrc() (string, error) {
	for _, variable := range []string{"NPM_CONFIG_USERCONFIG", "npm_config_userconfig"} {
		if file, err := e.namedFile(variable); err != nil || file != "" {
			return file, err
		}
	}
	return e.homeFile("", ".npmrc")
}

// leave removes the block from a file to which t2-cred wrote before.
func (b block) leave(file string, read grammar, refuse func(says []setting) error) *edit {
	return &edit{file: file, quiet: true, read: read, refuse: refuse, cut: b.cut}
}

// pnpmAuth is https://pnpm.io/npmrc#auth-file-locations.
func (e Env) pnpmAuth() (string, error) {
	switch {
	case filepath.IsAbs(e.Getenv("XDG_CONFIG_HOME")):
		return filepath.Join(e.Getenv("XDG_CONFIG_HOME"), "pnpm", "auth.ini"), nil
	case e.GOOS == "windows":
		return e.homeFile("LOCALAPPDATA", `AppData\Local`, "pnpm", "config", "auth.ini")
	case e.GOOS == "darwin":
		return e.homeFile("", "Library/Preferences/pnpm/auth.ini")
	}
	return e.homeFile("", ".config", "pnpm", "auth.ini")
}

func (p Profile) pnpm(host string) []string {
	return slices.Concat([]string{"pnpm"}, p.Flags, []string{"--url", firstURL(host) + "/"})
}

// isRegistryLogin reports whether a key is a login at a host of the profile. pnpm takes
// the longest path that matches, so a key for a path hides ours.
func (p Profile) isRegistryLogin(key string) bool {
	place, what, ok := cutLast(key, ":")
	if !ok || !strings.HasPrefix(place, "//") || !slices.Contains([]string{"_authToken", "_auth", "username", "_password", "tokenHelper"}, what) {
		return false
	}
	return p.servesAddress("https:"+place) || p.servesAddress("http:"+place)
}

func cutLast(s, sep string) (before, after string, found bool) {
	n := strings.LastIndex(s, sep)
	if n < 0 {
		return s, "", false
	}
	return s[:n], s[n+len(sep):], true
}

// isTokenHelper reports whether a line is one that we write, for any host: a host may
// have left the profile.
func (p Profile) isTokenHelper(line string) bool {
	key, command, _ := strings.Cut(line, "=")
	host, ok := strings.CutSuffix(strings.TrimSpace(key), "/:tokenHelper")
	if !ok || !strings.HasPrefix(host, "//") {
		return false
	}
	return runsUs(command, p.pnpm(host[len("//"):])...)
}
