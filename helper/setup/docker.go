package setup

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/terradue/t2-cred/helper/safefile"
)

// dockerHelper is our name in credHelpers: docker-credential-t2 without the common
// prefix.
const dockerHelper = "t2"

// newDockerFile and newDockerEnd enclose the hosts in a file that we make.
const newDockerFile, newDockerEnd = "{\n\t\"credHelpers\": {\n\t\t", "\n\t}\n}\n"

// A member is one of a JSON object's, by offsets in the text.
type member struct {
	key                  string
	start, value, finish int
}

// members reads the object that begins at text[at], of a text that is valid JSON.
func members(text string, at int) (all []member, finish int, err error) {
	if text[at] != '{' {
		return nil, 0, errors.New("not an object")
	}
	seen := map[string]bool{}
	for at = skipSpace(text, at+1); text[at] != '}'; {
		if text[at] == ',' {
			at = skipSpace(text, at+1)
		}
		m := member{start: at}
		keyEnd := skipValue(text, at)
		if err := json.Unmarshal([]byte(text[at:keyEnd]), &m.key); err != nil {
			return nil, 0, err
		}
		if seen[m.key] {
			return nil, 0, fmt.Errorf("%q is there twice", m.key)
		}
		seen[m.key] = true
		m.value = skipSpace(text, skipSpace(text, keyEnd)+1) // past the colon
		m.finish = skipValue(text, m.value)
		all = append(all, m)
		at = skipSpace(text, m.finish)
	}
	return all, at + 1, nil
}

func skipSpace(text string, at int) int {
	for at < len(text) && strings.IndexByte(" \t\r\n", text[at]) >= 0 {
		at++
	}
	return at
}

// skipValue is where a string, object, array or word ends.
func skipValue(text string, at int) int {
	depth := 0
	for ; at < len(text); at++ {
		switch c := text[at]; {
		case c == '"':
			for at++; text[at] != '"'; at++ {
				if text[at] == '\\' {
					at++
				}
			}
		case c == '{' || c == '[':
			depth++
			continue
		case c == '}' || c == ']':
			depth--
		case depth > 0:
			continue
		default: // a word, up to what ends it
			for at < len(text) && strings.IndexByte(",]} \t\r\n", text[at]) < 0 {
				at++
			}
			return at
		}
		if depth == 0 {
			return at + 1
		}
	}
	return at
}

// openDocker finds credHelpers; helpers.value is 0 where there is none.
func openDocker(text string) (top []member, helpers member, inner []member, err error) {
	if !json.Valid([]byte(text)) {
		return nil, helpers, nil, errors.New("not JSON")
	}
	if top, _, err = members(text, skipSpace(text, 0)); err != nil {
		return nil, helpers, nil, err
	}
	for _, m := range top {
		if m.key == "credHelpers" {
			helpers = m
			if inner, _, err = members(text, m.value); err != nil {
				return nil, helpers, nil, fmt.Errorf("credHelpers: %w", err)
			}
		}
	}
	return top, helpers, inner, nil
}

// putDocker adds one host in the style of the file. An empty object that was there gets
// the new entry right after its brace; an object that we make has a space there.
// cutDocker tells the two apart by that.
func putDocker(text, host string) (string, error) {
	entry := fmt.Sprintf("%q: %q", host, dockerHelper)
	if text == "" {
		return newDockerFile + entry + newDockerEnd, nil
	}
	top, helpers, inner, err := openDocker(text)
	if err != nil {
		return "", err
	}
	for _, m := range inner {
		var value any
		_ = json.Unmarshal([]byte(text[m.value:m.finish]), &value)
		switch {
		case m.key == host && value == dockerHelper:
			return text, nil
		case m.key == host:
			return "", fmt.Errorf("credHelpers already names %q for %s", value, host)
		}
	}
	switch {
	case len(inner) > 0:
		last := inner[len(inner)-1]
		return text[:last.finish] + "," + spaceBefore(text, last.start) + entry + text[last.finish:], nil
	case helpers.value > 0:
		return text[:helpers.value+1] + entry + text[helpers.value+1:], nil
	case len(top) == 0:
		at := strings.IndexByte(text, '{') + 1
		return text[:at] + `"credHelpers": { ` + entry + " }" + text[at:], nil
	}
	last := top[len(top)-1]
	space := spaceBefore(text, last.start)
	within, after := " ", " "
	if n := strings.LastIndexByte(space, '\n'); n >= 0 {
		within, after = space+space[n+1:], space
	}
	return text[:last.finish] + "," + space + `"credHelpers": {` + within + entry + after + "}" + text[last.finish:], nil
}

func spaceBefore(text string, at int) string {
	return text[len(strings.TrimRight(text[:at], " \t\r\n")):at]
}

// cutDocker removes one host if it is ours. keep is false if nothing is left in a file
// that we made.
func cutDocker(text, host string) (rest string, keep bool, err error) {
	top, helpers, inner, err := openDocker(text)
	if err != nil {
		return "", true, err
	}
	for n, m := range inner {
		if m.key != host || text[m.value:m.finish] != `"`+dockerHelper+`"` {
			continue
		}
		made := strings.IndexByte(" \t\r\n", text[helpers.value+1]) >= 0
		if len(inner) > 1 || !made {
			return cutMember(text, inner, n), true, nil
		}
		if len(top) == 1 && strings.HasPrefix(text, newDockerFile) && strings.HasSuffix(text, newDockerEnd) {
			return "", false, nil
		}
		for n, m := range top {
			if m.key == helpers.key {
				return cutMember(text, top, n), true, nil
			}
		}
	}
	return text, true, nil
}

// cutMember removes a member with the comma before it, or else the one after it.
func cutMember(text string, all []member, n int) string {
	switch {
	case n > 0:
		return text[:all[n-1].finish] + text[all[n].finish:]
	case len(all) > 1:
		return text[:all[0].start] + text[all[1].start:]
	}
	return text[:all[0].start] + text[all[0].finish:]
}

// usesDockerHelper reports whether a host still uses our helper.
func usesDockerHelper(text string) bool {
	_, _, inner, err := openDocker(text)
	for _, m := range inner {
		if err == nil && text[m.value:m.finish] == `"`+dockerHelper+`"` {
			return true
		}
	}
	return false
}

func planDocker(e Env, p Profile, o Options) (Plan, error) {
	file, err := e.homeFile("DOCKER_CONFIG", ".docker", "config.json")
	if err != nil {
		return Plan{}, err
	}
	return Plan{
		why:   "docker, podman, skopeo, crane run docker-credential-t2, which must be on PATH, for these registries. They name no profile or account: those come from the host and T2_CRED_ACCOUNT.",
		edits: []*edit{dockerEdit(file, p)}, warnings: append(e.podmanLogins(p), e.set("docker takes its logins first", "DOCKER_AUTH_CONFIG")...), links: []string{e.linkNamed("docker-credential-t2")}, used: usesDockerHelper,
	}, p.someHosts(o)
}

func dockerEdit(file string, p Profile) *edit {
	e := &edit{file: file, whole: true, read: readDocker, want: func(string, []setting) (want []setting) {
		for _, host := range p.Hosts {
			want = append(want, setting{"credHelpers", host, dockerHelper})
		}
		return want
	}, put: func(text string, exists bool) (string, error) {
		if exists && text == "" {
			return "", errors.New("not JSON")
		}
		for _, host := range p.Hosts {
			var err error
			if text, err = putDocker(text, host); err != nil {
				return "", err
			}
		}
		return text, nil
	}, cut: func(text string) (string, bool, error) {
		if len(p.Hosts) == 0 && usesDockerHelper(text) {
			return "", true, fmt.Errorf("which hosts were this profile's is not known; take %q out of credHelpers by hand", dockerHelper)
		}
		keep := true
		for n := len(p.Hosts) - 1; n >= 0 && keep; n-- {
			var err error
			if text, keep, err = cutDocker(text, p.Hosts[n]); err != nil {
				return "", true, err
			}
		}
		return text, keep, nil
	}}
	for _, host := range p.Hosts {
		e.lines = append(e.lines, fmt.Sprintf("credHelpers: %q: %q", host, dockerHelper))
	}
	return e
}

// podmanLogins are warnings about logins in podman's own file, which podman and skopeo
// prefer to docker's.
func (e Env) podmanLogins(p Profile) (warnings []string) {
	var files []string
	if file := e.Getenv("REGISTRY_AUTH_FILE"); filepath.IsAbs(file) {
		files = append(files, file)
	}
	if dir := e.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		files = append(files, filepath.Join(dir, "containers", "auth.json"))
	}
	if file, err := e.configFile("containers", "auth.json"); err == nil {
		files = append(files, file)
	}
	for _, file := range files {
		var kept struct {
			Auths       map[string]json.RawMessage
			CredHelpers map[string]string
		}
		text, err := safefile.Read(file, safefile.Want{Max: maxFile})
		if err != nil || json.Unmarshal(text, &kept) != nil {
			continue // podman reports a file that it cannot read
		}
		for _, host := range p.Hosts {
			for _, place := range slices.Sorted(maps.Keys(kept.Auths)) { // a host, or one with the beginning of a path
				if (place == host || strings.HasPrefix(place, host+"/")) && Plain(place, ".-:[]/_") {
					warnings = append(warnings, fmt.Sprintf("%s has a login for %s, which podman and skopeo take instead: podman logout %s", file, place, place))
				}
			}
			if other := kept.CredHelpers[host]; other != "" && other != dockerHelper {
				warnings = append(warnings, fmt.Sprintf("%s has credHelpers: %q: %q, which podman and skopeo take instead", file, host, other))
			}
		}
	}
	return warnings
}
