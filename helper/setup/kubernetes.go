package setup

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// planKubernetes makes a user. Which context uses it is for people to say.
func planKubernetes(e Env, p Profile, o Options) (Plan, error) {
	file, err := e.kubeconfig()
	if err != nil {
		return Plan{}, err
	}
	k := kubeUser{name: "t2-" + p.Name, program: e.Program, args: append([]string{"kubernetes"}, p.Flags...), block: block{profile: p.Name}}
	k.lines = k.item("")
	return Plan{
		why:   "kubectl and all of client-go run t2-cred for the user t2-" + p.Name + ", of this kubeconfig.",
		edits: []*edit{{file: file, lines: k.shown(""), put: k.putUser, cut: k.cutUser}},
		show:  fmt.Sprintf("# Then kubectl --user t2-%s, or for good: kubectl config set-context NAME --user t2-%s\n", p.Name, p.Name),
	}, nil
}

// kubeconfig is the file that kubectl config writes a new user to: of those that
// KUBECONFIG lists the first that is there, else the last.
func (e Env) kubeconfig() (string, error) {
	files := slices.DeleteFunc(filepath.SplitList(e.Getenv("KUBECONFIG")), func(file string) bool { return file == "" })
	if len(files) == 0 {
		return e.homeFile("", ".kube", "config")
	}
	file := files[len(files)-1]
	if n := slices.IndexFunc(files, isThere); n >= 0 {
		file = files[n]
	}
	return filepath.Abs(file)
}

// A kubeUser is a user of a kubeconfig, by lines of its YAML in block style, as
// kubectl and people write it. kubectl drops comments when it writes, so our user
// is known by all that it says, too.
type kubeUser struct {
	block
	name, program string
	args          []string
}

// emptyUsers are the lists without users that kubectl writes. The comment that
// begins the block remembers which it was.
func emptyUsers() []string { return []string{"users: []", "users: null", "users: {}"} }

func (k kubeUser) item(indent string) []string {
	return []string{
		indent + "- name: " + k.name,
		indent + "  user:",
		indent + "    exec:",
		indent + "      apiVersion: client.authentication.k8s.io/v1",
		indent + "      command: " + k.program,
		indent + "      args: [" + strings.Join(k.args, ", ") + "]",
		indent + "      interactiveMode: Never",
		indent + "      provideClusterInfo: true",
	}
}

func (k kubeUser) putUser(text string, exists bool) (string, error) {
	rest, keep, err := k.cutUser(text)
	if err != nil {
		return "", err
	}
	list, err := k.findUsers(rest)
	switch {
	case err != nil:
		return "", err
	case k.within(rest, list) != nil:
		return "", fmt.Errorf("it already has a user %s, which is not t2-cred's", k.name)
	case strings.TrimSpace(rest) == "":
		k.lines = append([]string{"apiVersion: v1", "kind: Config", "users:"}, k.item("")...)
		return k.put(rest, exists && keep)
	case list.start < 0: // no users at all
		k.lines = append([]string{"users:"}, k.item("")...)
		return k.put(rest, true)
	}
	k.lines = k.item(list.indent)
	if list.empty == "" {
		return k.putAt(rest, list.start, true)
	}
	head := rest[:list.start-len(list.line)]
	eol := eolOf(rest)
	return head + "users:" + eol + k.text(" ("+list.empty+" before)", eol) + rest[list.start:], nil
}

func (k kubeUser) cutUser(text string) (rest string, keep bool, err error) {
	start, stop, note, found, err := k.find(text)
	switch empty := strings.TrimSuffix(strings.TrimPrefix(note, " ("), " before)"); {
	case err != nil:
		return text, true, err
	case found && slices.Contains(emptyUsers(), empty):
		eol := eolOf(text)
		if head, ok := strings.CutSuffix(text[:start], "users:"+eol); ok {
			return head + empty + eol + text[stop:], true, nil
		}
		return text, true, errBlock
	case found:
		return k.cut(text)
	}
	list, err := k.findUsers(text)
	if err != nil {
		return text, true, err
	}
	if at := k.within(text, list); at != nil && k.isOurs(text[at[0]:at[1]]) {
		return text[:at[0]] + text[at[1]:], true, nil
	}
	return text, true, nil
}

// isOurs is whether an item says what ours does and nothing else, for some path of
// t2-cred. kubectl sorts what is in it, and adds that there is no env.
func (k kubeUser) isOurs(item string) bool {
	says := kubeSays(item)
	for n, line := range says {
		path, ok := strings.CutPrefix(line, "command: ")
		if ok && strings.Contains(path, "/") && filepath.Base(path) == filepath.Base(k.program) {
			says[n] = "command: " + k.program
		}
	}
	return slices.Equal(says, kubeSays(strings.Join(k.item(""), "\n")))
}

// kubeSays are the keys and values of an item, sorted, args as on one line.
func kubeSays(item string) []string {
	var says, args []string
	inArgs := false
	for line := range strings.Lines(strings.Replace(item, "- ", "", 1)) {
		line = strings.TrimSpace(line)
		key, value, _ := strings.Cut(line, ": ")
		arg, isArg := strings.CutPrefix(line, "- ")
		flow, isFlow := strings.CutPrefix(line, "args: [")
		switch {
		case line == "" || line == "env: null":
		case inArgs && isArg:
			args = append(args, unquoted(arg))
		case isFlow && strings.HasSuffix(flow, "]"):
			for arg := range strings.SplitSeq(strings.TrimSuffix(flow, "]"), ",") {
				args = append(args, unquoted(arg))
			}
		case line == "args:":
			inArgs = true
		case value == "":
			says, inArgs = append(says, line), false
		default:
			says, inArgs = append(says, key+": "+unquoted(value)), false
		}
	}
	slices.Sort(says)
	return append(says, args...)
}

// unquoted is a YAML scalar without its quotes, if it is a plain word in them.
func unquoted(value string) string {
	value = strings.TrimSpace(value)
	if n := len(value) - 1; n > 0 && value[0] == value[n] && (value[0] == '"' || value[0] == '\'') {
		return value[1:n]
	}
	return value
}

// users is where a kubeconfig has its list of users.
type users struct {
	line        string // the line that begins it, up to start
	start, stop int    // start is -1 where there is none
	indent      string // of its items
	empty       string // one of emptyUsers, when it is that
}

// findUsers refuses a text that is not of one document in block style, since the
// list may then be where it is not looked for.
func (k kubeUser) findUsers(text string) (users, error) {
	list := users{start: -1, stop: len(text)}
	key := regexp.MustCompile(`^"?([A-Za-z][\w-]*)"?:( .*)?$`)
	inside, items, number, at := false, false, 0, 0
	for raw := range strings.Lines(text) {
		line, ended := strings.CutSuffix(raw, "\n")
		if ended {
			line = strings.TrimSuffix(line, "\r")
		}
		trimmed := strings.TrimLeft(line, " ")
		begin := at
		at += len(raw)
		number++
		switch m := key.FindStringSubmatch(line); {
		case strings.ContainsAny(line, "\x00\r") || strings.HasPrefix(trimmed, "\t"):
			return list, fmt.Errorf("line %d: a control character", number)
		case trimmed == "" || trimmed[0] == '#' || line == "---" && number == 1:
		case line != trimmed || strings.HasPrefix(line, "- "):
			if inside && !items && strings.HasPrefix(trimmed, "- ") {
				items, list.indent = true, line[:len(line)-len(trimmed)]
			}
		case m == nil:
			return list, fmt.Errorf("line %d: not of one kubeconfig in YAML's block style", number)
		case m[1] != "users":
			if inside {
				list.stop = begin
			}
			inside = false
		case list.start >= 0:
			return list, fmt.Errorf("line %d: users, once more", number)
		default:
			inside, list.line, list.start = true, raw, at
			value := strings.TrimSpace(m[2])
			switch {
			case slices.Contains(emptyUsers(), line) && raw != line:
				list.empty = line
			case value != "" && value[0] != '#':
				return list, fmt.Errorf("line %d: users, not as a list in YAML's block style", number)
			}
		}
	}
	return list, nil
}

// within is where the item of our user's name begins and ends, or nil. Comments
// and empty lines after it are of what follows.
func (k kubeUser) within(text string, list users) []int {
	if list.start < 0 {
		return nil
	}
	name := regexp.MustCompile(`(?:^|[\s{,-])name:\s*["']?` + regexp.QuoteMeta(k.name) + `["']?\s*(?:[,}#].*)?$`)
	begin, end, found, at := -1, -1, false, list.start
	for raw := range strings.Lines(text[list.start:list.stop]) {
		if strings.HasPrefix(raw, list.indent+"- ") {
			if found {
				break
			}
			begin = at
		}
		found = found || begin >= 0 && name.MatchString(strings.TrimRight(raw, "\r\n"))
		at += len(raw)
		if line := strings.TrimSpace(raw); line != "" && line[0] != '#' {
			end = at
		}
	}
	if found {
		return []int{begin, end}
	}
	return nil
}
