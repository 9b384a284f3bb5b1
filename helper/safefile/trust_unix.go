//go:build unix

package safefile

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// An identity is who reads: file permissions are judged for it.
type identity struct {
	uid, gid uint32
	groups   func() []int // supplementary groups
	passwd   string       // the file with each user's primary group
	group    string       // the file with each group's members
}

func process() identity {
	return identity{
		uid: uint32(os.Geteuid()), gid: uint32(os.Getegid()),
		groups: func() []int { g, _ := os.Getgroups(); return g },
		passwd: "/etc/passwd", group: "/etc/group",
	}
}

// A node is one directory of a path.
type node struct {
	path string
	st   unix.Stat_t
}

// maxLinks is how many links a path may have, as in Linux.
const maxLinks = 40

// trusted says whether the file that was opened at path may be believed. The content
// is ours or root's because the owner is and nobody else can write it. The name is
// ours as well if nobody else can put another file of ours there, by a rename or by
// a link.
//
// So each directory on the way is looked at, and on the way of each link. The look
// ends, as sshd's does, at the home directory: it is the topmost directory that is
// ours. A user who can rename that one can harm us in other ways, and often he is
// meant to: in a project's directory, or on a pod's emptyDir. If no directory is
// ours, the look ends at the root.
func (id identity) trusted(path string, st *unix.Stat_t, t Trust) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	dirs, mounted, err := id.walk(path)
	if err != nil {
		return err
	}
	if err := id.file(path, st, t, mounted); err != nil {
		return err
	}
	if dir := dirs[len(dirs)-1]; st.Nlink > 1 && dir.st.Mode&unix.S_ISVTX != 0 && dir.st.Mode&0o022 != 0 {
		// Anybody may have linked it here: it is a file of ours, but meant for another place.
		return &distrust{reason: "it is a hard link in a directory that others can write"}
	}
	return nil
}

// walk follows a path by its parts and returns the directories of the file at its
// end. Each link has to be ours. Mounted says that the path goes through the links
// by which Kubernetes swaps the content of a volume.
func (id identity) walk(path string) (dirs []node, mounted bool, err error) {
	root := node{path: "/"}
	if err := lstat(&root); err != nil {
		return nil, false, err
	}
	dirs = []node{root}
	rest := strings.Split(path, "/")
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			dirs = dirs[:max(1, len(dirs)-1)]
			continue
		}
		n := node{path: filepath.Join(dirs[len(dirs)-1].path, name)}
		if err := lstat(&n); err != nil {
			return nil, false, err
		}
		switch n.st.Mode & unix.S_IFMT {
		case unix.S_IFLNK:
			if links++; links > maxLinks {
				return nil, false, unix.ELOOP
			}
			if err := id.place(dirs, &n.st); err != nil {
				return nil, false, err
			}
			target, err := os.Readlink(n.path)
			if err != nil {
				return nil, false, err
			}
			if filepath.IsAbs(target) {
				dirs = dirs[:1]
			}
			mounted = mounted || name == "..data"
			rest = append(strings.Split(target, "/"), rest...)
		case unix.S_IFDIR:
			dirs = append(dirs, n)
		default: // the file, which was opened already
			return dirs, mounted, id.place(dirs, &n.st)
		}
	}
	return nil, false, ErrNotRegular
}

func lstat(n *node) error {
	_, err := again(func() (int, error) { return 0, unix.Lstat(n.path, &n.st) })
	return err
}

// place says whether only we or root can decide what lies at a place: in the last of
// the directories, with the status of the file there.
func (id identity) place(dirs []node, st *unix.Stat_t) error {
	from := slices.IndexFunc(dirs, func(n node) bool { return n.st.Uid == id.uid })
	for n := max(0, from); n < len(dirs); n++ {
		entry := st
		if n+1 < len(dirs) {
			entry = &dirs[n+1].st
		}
		if err := id.directory(dirs[n], entry); err != nil {
			return err
		}
	}
	return nil
}

// directory says whether nobody else can rename or replace an entry of a directory.
func (id identity) directory(dir node, entry *unix.Stat_t) error {
	if !id.us(dir.st.Uid) {
		return owned("directory "+dir.path, dir.path, &dir.st, id)
	}
	if dir.st.Mode&unix.S_ISVTX != 0 && dir.st.Mode&0o022 != 0 {
		// In a sticky directory only its owner and the entry's may rename the entry.
		if id.us(entry.Uid) {
			return nil
		}
		return &distrust{reason: fmt.Sprintf("user %d owns an entry of directory %s on the way to it", entry.Uid, dir.path)}
	}
	return id.unwritable("directory "+dir.path, dir.path, &dir.st)
}

// file judges the file itself.
func (id identity) file(path string, st *unix.Stat_t, t Trust, mounted bool) error {
	if !id.us(st.Uid) {
		return owned("it", path, st, id)
	}
	if err := id.unwritable("it", path, st); err != nil || t != Private {
		return err
	}
	switch {
	case st.Mode&0o004 != 0 && mounted:
		return &distrust{reason: "every user can read it; the volume needs defaultMode 0400, or 0440 with an fsGroup"}
	case st.Mode&0o004 != 0:
		return &distrust{reason: "every user can read it", repair: []string{"chmod", "600", path}}
	case st.Mode&0o040 != 0 && !id.groupMayRead(path, st):
		return &distrust{reason: fmt.Sprintf("group %d can read it", st.Gid), repair: []string{"chmod", "600", path}}
	}
	return nil
}

func (id identity) us(uid uint32) bool { return uid == id.uid || uid == 0 }

func owned(what, path string, st *unix.Stat_t, id identity) error {
	return &distrust{
		reason: fmt.Sprintf("user %d owns %s", st.Uid, what),
		repair: []string{"chown", strconv.Itoa(int(id.uid)), path},
	}
}

func (id identity) unwritable(what, path string, st *unix.Stat_t) error {
	switch {
	case st.Mode&0o002 != 0:
		return &distrust{reason: "every user can write " + what, repair: []string{"chmod", "go-w", path}}
	case st.Mode&0o020 != 0 && (hasACL(path) || !id.private(st)):
		return &distrust{reason: fmt.Sprintf("group %d can write %s", st.Gid, what), repair: []string{"chmod", "g-w", path}}
	}
	return nil
}

// groupMayRead is for a secret. What root gave to a group, we were meant to read. If
// we are root ourselves, the group must be private, or ours without being known to
// the system: a pod's fsGroup.
func (id identity) groupMayRead(path string, st *unix.Stat_t) bool {
	switch {
	case st.Uid == 0 && id.uid != 0:
		return true
	case !hasACL(path) && id.private(st):
		return true
	}
	return st.Uid == 0 && slices.Contains(id.groups(), int(st.Gid)) && !id.known(st.Gid)
}
