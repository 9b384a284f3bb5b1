package setup

import (
	"cmp"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
)

// planKubernetes adds a user. People choose the contexts that use it.
func planKubernetes(e Env, p Profile, o Options) (Plan, error) {
	file, others, err := e.kubeconfig()
	if err != nil {
		return Plan{}, err
	}
	if o.Server != "" && !p.servesAddress(o.Server) && !o.Undo {
		return Plan{}, usageError(fmt.Sprintf("--url %q is at no host of the profile %s", helper.Clean(o.Server), p.Name),
			hint.Words("its hosts: "), hint.Run("profile", "show", p.Name))
	}
	k := kubeUser{
		name: "t2-" + p.Name, program: e.Program, args: append([]string{"kubernetes"}, p.Flags...), server: o.Server, serves: p.servesAddress,
		block: block{profile: p.Name},
	}
	k.lines = k.item("")
	return Plan{
		why:   "kubectl and all of client-go run t2-cred for the user t2-" + p.Name + ", of this kubeconfig.",
		edits: append([]*edit{k.edit(file)}, elsewhere(o, file, k.edit, others...)...),
		show:  fmt.Sprintf("# Then kubectl --user t2-%s, or for good: kubectl config set-context NAME --user t2-%s\n", p.Name, p.Name),
	}, nil
}

func (k kubeUser) edit(file string) *edit {
	one := &edit{
		file: file, lines: k.shown(""), read: readKubeconfig, put: k.putUser, cut: k.cutUser,
		want: func(rest string, says []setting) []setting {
			k.server = k.serverOf(says)
			want, _ := readKubeconfig("users:\n" + strings.Join(k.item(""), "\n"))
			if strings.TrimSpace(rest) == "" {
				want = append(want, setting{"", "apiVersion", "v1"}, setting{"", "kind", "Config"})
			}
			return want
		},
	}
	return one.pastMark()
}

// kubeconfig is the file to which kubectl config writes a new user: the first file in
// KUBECONFIG that exists, else the last.
func (e Env) kubeconfig() (file string, all []string, err error) {
	files := slices.DeleteFunc(filepath.SplitList(e.Getenv("KUBECONFIG")), func(file string) bool { return file == "" })
	if len(files) == 0 {
		file, err = e.homeFile("", ".kube", "config")
		return file, nil, err
	}
	for n, file := range files {
		if files[n], err = filepath.Abs(file); err != nil {
			return "", nil, err
		}
	}
	file = files[len(files)-1]
	if n := slices.IndexFunc(files, isThere); n >= 0 {
		file = files[n]
	}
	return file, files, nil
}

// A kubeUser is a user of a kubeconfig in YAML's block style, as kubectl and people
// write it. kubectl drops comments when it writes. Our user is then found by its exact
// content.
type kubeUser struct {
	block
	name, program string
	args          []string
	server        string // from --url or from the file
	serves        func(address string) bool
}

// serverOf is the server of the contexts that use our user, or "" if they have several
// or none. Some clients do not tell the program which server it is for.
func (k kubeUser) serverOf(says []setting) string {
	if k.server != "" {
		return k.server
	}
	var servers []string
	for _, s := range says {
		if !strings.HasPrefix(s.section, "contexts.[") || s.key != "user" || s.value != k.name {
			continue
		}
		for _, cluster := range values(says, s.section, "cluster") {
			servers = append(servers, values(says, "clusters.["+cluster+"].cluster", "server")...)
		}
	}
	slices.Sort(servers)
	if servers = slices.Compact(servers); len(servers) == 1 && Plain(servers[0], ":/.-_[]") && k.serves != nil && k.serves(servers[0]) {
		return servers[0]
	}
	return ""
}

// emptyUsers are the empty lists that kubectl writes. The note of the block has the
// one that was there.
func emptyUsers() []string { return []string{"users: []", "users: null", "users: {}"} }

// noEndUsers follows the empty list in the note where the file ended with that list.
const noEndUsers = " without a line end"

func (k kubeUser) item(indent string) []string {
	args := strings.Join(k.args, ", ")
	switch {
	case strings.Contains(k.server, "["): // which YAML takes for a list
		args += `, --url, "` + k.server + `"`
	case k.server != "":
		args += ", --url, " + k.server
	}
	return []string{
		indent + "- name: " + k.name,
		indent + "  user:",
		indent + "    exec:",
		indent + "      apiVersion: client.authentication.k8s.io/v1",
		indent + "      command: " + k.program,
		indent + "      args: [" + args + "]",
		indent + "      interactiveMode: Never",
		indent + "      provideClusterInfo: true",
	}
}

func (k kubeUser) putUser(text string, exists bool) (string, error) {
	rest, keep, err := k.cutUser(text)
	if err != nil {
		return "", err
	}
	says, err := readKubeconfig(rest)
	if err != nil {
		return "", err
	}
	k.server = k.serverOf(says)
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
		return k.putAt(rest, behindBlock(rest, list.start), true)
	}
	head := rest[:list.start-len(list.line)]
	eol := eolOf(rest)
	return head + "users:" + eol + k.text(" ("+list.empty+" before)", eol) + rest[list.start:], nil
}

// behindBlock moves an offset that lies in another profile's block to the end of that
// block.
func behindBlock(text string, at int) int {
	for _, m := range otherBlock().FindAllStringSubmatchIndex(text, -1) {
		_, stop, _, found, err := block{profile: text[m[2]:m[3]]}.find(text)
		if err == nil && found && m[0] < at && at < stop {
			return stop
		}
	}
	return at
}

func (k kubeUser) cutUser(text string) (rest string, keep bool, err error) {
	start, stop, note, found, err := k.find(text)
	switch {
	case err != nil:
		return text, true, err
	case found:
		return k.cutBlock(text, start, stop, note)
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

// cutBlock removes the block. If the list goes on after it, the line that begins the
// list stays, or becomes part of the next block.
func (k kubeUser) cutBlock(text string, start, stop int, note string) (rest string, keep bool, err error) {
	before, after := text[:start], text[stop:]
	var header []string
	for line := range strings.Lines(text[start:stop]) {
		if line = strings.TrimRight(line, "\r\n"); strings.HasPrefix(strings.TrimLeft(line, " "), "- ") {
			break
		}
		header = append(header, line)
	}
	header = header[1:] // without our comment
	eol, follows := eolOf(text), itemFollows(after)
	empty := strings.TrimSuffix(strings.TrimPrefix(note, " ("), " before)")
	empty, noEnd := strings.CutSuffix(empty, noEndUsers)
	head, first := strings.CutSuffix(before, "users:"+eol)
	switch wasEmpty := slices.Contains(emptyUsers(), empty); {
	case wasEmpty && first && noEnd && after == "":
		return head + empty, true, nil
	case wasEmpty && first && !follows:
		return head + empty + eol + after, true, nil
	case wasEmpty && strings.HasPrefix(after, "# t2-cred "):
		return before + passOn(after, note), true, nil
	case wasEmpty:
		if m := otherBlock().FindAllStringIndex(before, -1); m != nil {
			at := m[len(m)-1][0]
			return before[:at] + passOn(before[at:], note) + after, true, nil
		}
		return before + after, true, nil
	case len(header) > 0 && strings.HasPrefix(after, "# t2-cred "):
		return before + withHeader(after, header, note, eol), true, nil
	case len(header) > 0 && follows:
		return before + strings.Join(header, eol) + eol + after, true, nil
	}
	return k.cut(text)
}

// withHeader adds the lines that begin the list to the block at the start of a text.
func withHeader(text string, header []string, note, eol string) string {
	b := block{profile: otherProfile(text)}
	start, stop, own, found, err := b.find(text)
	if err != nil || !found || start != 0 {
		return strings.Join(header, eol) + eol + text
	}
	for line := range strings.Lines(text[:stop]) {
		b.lines = append(b.lines, strings.TrimRight(line, "\r\n"))
	}
	b.lines = slices.Concat(header, b.lines[1:len(b.lines)-1])
	return b.text(cmp.Or(own, note), eol) + text[stop:]
}

// itemFollows reports whether a text begins with an item of a list.
func itemFollows(text string) bool {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return line == "-" || strings.HasPrefix(line, "- ")
		}
	}
	return false
}

// isOurs reports whether an item has exactly the content of ours, for any path of
// t2-cred. kubectl sorts the keys and adds "env: null".
func (k kubeUser) isOurs(item string) bool {
	says := kubeSays(item)
	for n, line := range says {
		path, ok := strings.CutPrefix(line, "command: ")
		if ok && strings.Contains(path, "/") && filepath.Base(path) == filepath.Base(k.program) {
			says[n] = "command: " + k.program
		}
	}
	k.server = ""
	ours := kubeSays(strings.Join(k.item(""), "\n"))
	// --url comes last. The server may have been another one then.
	if n := len(says) - 2; n >= 0 && len(says) == len(ours)+2 && says[n] == "--url" {
		says = says[:n]
	}
	return slices.Equal(says, ours)
}

// kubeSays are the keys and values of an item, sorted, then its args.
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

// unquoted removes the quotes of a YAML scalar.
func unquoted(value string) string {
	value = strings.TrimSpace(value)
	if n := len(value) - 1; n > 0 && value[0] == value[n] && (value[0] == '"' || value[0] == '\'') {
		return value[1:n]
	}
	return value
}

// users is the place of the list of users in a kubeconfig.
type users struct {
	line        string // the line that begins it, up to start
	start, stop int    // start is -1 where there is none
	indent      string // of its items
	empty       string // one of emptyUsers, when it is that
}

// findUsers locates the list. It refuses a text that is not one document in block
// style, as the list may be elsewhere in it.
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
			case slices.Contains(emptyUsers(), line):
				list.empty = line
				if !ended {
					list.empty += noEndUsers
				}
			case value != "" && value[0] != '#':
				return list, fmt.Errorf("line %d: users, not as a list in YAML's block style", number)
			}
		}
	}
	return list, nil
}

// within is the start and end of the item with our user's name, or nil. Comments and
// empty lines after it belong to the next item.
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
