package setup

import (
	"fmt"
	"slices"
	"strings"

	"github.com/terradue/t2-cred/helper"
)

// planRclone changes the webdav remotes at hosts of the profile.
func planRclone(e Env, p Profile, o Options) (Plan, error) {
	files, err := e.rcloneConfigs()
	if err != nil {
		return Plan{}, err
	}
	file := files[0]
	if n := slices.IndexFunc(files, isThere); n >= 0 {
		file = files[n]
	}
	r := rclone{profile: p, line: fmt.Sprintf("bearer_token_command = %s get %s", e.Program, p.words())}
	return Plan{
		why:      "rclone runs a command for a bearer token, for each webdav remote; these are at hosts of the profile.",
		edits:    append([]*edit{r.edit(file)}, elsewhere(o, file, r.edit, files...)...),
		warnings: e.set("comes before the file", "RCLONE_WEBDAV_BEARER_TOKEN_COMMAND", "RCLONE_WEBDAV_BEARER_TOKEN", "RCLONE_WEBDAV_USER"),
	}, nil
}

// rcloneConfigs are the files of which rclone reads the first that is there, unless one
// lies beside rclone itself: https://rclone.org/docs/#config-string
func (e Env) rcloneConfigs() (files []string, err error) {
	if f, err := e.namedFile("RCLONE_CONFIG"); err != nil || f != "" {
		return []string{f}, err
	}
	for _, dir := range []func() (string, error){
		func() (string, error) { return e.configFile("rclone", "rclone.conf") },
		func() (string, error) { return e.homeFile("", ".config", "rclone", "rclone.conf") },
		func() (string, error) { return e.homeFile("", ".rclone.conf") },
	} {
		file, err := dir()
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// rclone adds a line to sections of rclone's file. rclone may move comments when it
// writes, so our line is found by its content.
type rclone struct {
	profile Profile
	line    string
}

func (r rclone) edit(file string) *edit {
	key, command, _ := strings.Cut(r.line, " = ")
	one := &edit{
		file: file, lines: []string{r.line}, read: readRclone, put: r.put, cut: r.cut,
		want: func(_ string, says []setting) (want []setting) {
			for _, s := range says {
				if s.key == "url" && slices.Contains(values(says, s.section, "type"), "webdav") && r.profile.servesAddress(s.value) {
					want = append(want, setting{s.section, key, command})
				}
			}
			return want
		},
	}
	return one.pastMark()
}

// A remote is a section of rclone's file. Offsets are those of lines.
type remote struct {
	name               string // with its brackets
	kind, url, command string
	other              string // another credential of the remote
	urlAt, at, next    int    // of the line of url, and of the command
}

func (r rclone) put(text string, _ bool) (string, error) {
	remotes, err := r.read(text)
	if err != nil {
		return "", err
	}
	eol, ours := eolOf(text), 0
	for _, s := range slices.Backward(remotes) { // backward, so that offsets stay valid
		if s.kind != "webdav" || !r.profile.servesAddress(s.url) {
			continue
		}
		ours++
		switch {
		case s.other != "":
			return "", fmt.Errorf("the remote %s has %s, which rclone would take instead", helper.Clean(s.name), s.other)
		case s.command == "":
			text = text[:s.urlAt] + r.line + eol + text[s.urlAt:]
		case !r.isOurs(s.command):
			err := r.profile.taken("rclone", "a bearer_token_command", s.command)
			return "", fmt.Errorf("the remote %s: %w", helper.Clean(s.name), err)
		default:
			old := strings.TrimRight(text[s.at:s.next], "\r\n")
			text = text[:s.at] + r.line + text[s.at+len(old):]
		}
	}
	if ours == 0 {
		return "", fmt.Errorf("no remote of type webdav in it is at a host of the profile %s; make one first: rclone config create NAME webdav url https://HOST/… vendor other", r.profile.Name)
	}
	return text, nil
}

func (r rclone) cut(text string) (string, bool, error) {
	remotes, err := r.read(text)
	if err != nil {
		return text, true, err
	}
	for _, s := range slices.Backward(remotes) {
		if s.command != "" && r.isOurs(s.command) {
			text = text[:s.at] + text[s.next:]
		}
	}
	return text, true, nil
}

// isOurs reports whether a command is one that we write for this profile and account.
func (r rclone) isOurs(command string) bool {
	return runsUs(command, append([]string{"get"}, r.profile.Flags...)...)
}

func (r rclone) read(text string) (remotes []remote, err error) {
	if _, err := readRclone(text); err != nil {
		return nil, err
	}
	at := 0
	for raw := range strings.Lines(text) {
		begin := at
		at += len(raw)
		line := strings.TrimSpace(raw)
		if strings.HasPrefix(line, "[") {
			remotes = append(remotes, remote{name: line})
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || len(remotes) == 0 || line[0] == '#' || line[0] == ';' {
			continue
		}
		s := &remotes[len(remotes)-1]
		switch key, value = strings.TrimSpace(key), strings.TrimSpace(value); key {
		case "type":
			s.kind = value
		case "url":
			s.url, s.urlAt = value, begin
		case "bearer_token_command":
			s.command, s.at, s.next = value, begin, at
		case "user", "pass", "bearer_token":
			if value != "" {
				s.other = key
			}
		case "headers":
			if strings.Contains(strings.ToLower(value), "authorization") {
				s.other = key
			}
		}
	}
	return remotes, nil
}
