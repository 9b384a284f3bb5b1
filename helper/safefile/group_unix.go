//go:build unix

package safefile

import (
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxAccounts caps /etc/passwd and /etc/group.
const maxAccounts = 4 << 20

// private reports whether a file's group has no member but its owner, us and root.
// Where each user has a group of his own the umask is 002, and the group may write
// most files. The group has to be the owner's: one without any member is for setgid
// programs. The accounts are read only when a group may do something. A group or
// user of a directory service is not among them, and is then not private. On macOS
// the files do not name the users at all.
func (id identity) private(st *unix.Stat_t) bool {
	members, known := id.members(st.Gid)
	users, err := records(id.passwd)
	if err != nil || !known || runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		return false
	}
	related := st.Uid == id.uid && st.Gid == id.gid
	for _, user := range users {
		listed := slices.Index(members, user.name)
		if listed >= 0 {
			members = slices.Delete(members, listed, listed+1)
		}
		if listed < 0 && user.fields[1] != number(st.Gid) {
			continue
		}
		if user.fields[0] != number(id.uid) && user.fields[0] != "0" {
			return false
		}
		related = related || user.fields[0] == number(st.Uid)
	}
	return related && len(members) == 0 // a member who is no known user may be anybody
}

// known reports whether the group has a name.
func (id identity) known(gid uint32) bool {
	_, known := id.members(gid)
	return known
}

// members are the users whom /etc/group lists. A gid may have several names.
func (id identity) members(gid uint32) (names []string, known bool) {
	groups, _ := records(id.group) // without it no group is known
	for _, group := range groups {
		if group.fields[0] != number(gid) {
			continue
		}
		known = true
		for name := range strings.SplitSeq(group.fields[1], ",") {
			if name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names, known
}

// An account is a line of /etc/passwd (fields: uid, gid) or /etc/group (fields: gid,
// members).
type account struct {
	name   string
	fields [2]string
}

func records(path string) (all []account, err error) {
	text, err := Read(path, Want{Max: maxAccounts})
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Split(strings.TrimRight(line, "\n"), ":"); len(f) >= 4 {
			all = append(all, account{name: f[0], fields: [2]string{f[2], f[3]}})
		}
	}
	return all, nil
}

func number(id uint32) string { return strconv.FormatUint(uint64(id), 10) }
