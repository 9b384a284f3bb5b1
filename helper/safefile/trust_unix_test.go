//go:build unix

package safefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	victim = 65534
	other  = 65533
	shared = 65500 // a group with more than one member
	unsaid = 65499 // a group that the system does not know
)

// accounts are those of a system where each user has a group of his own.
func accounts(t *testing.T, uid uint32) identity {
	t.Helper()
	dir := t.TempDir()
	passwd, group := filepath.Join(dir, "passwd"), filepath.Join(dir, "group")
	for path, text := range map[string]string{
		passwd: "root:x:0:0:root:/root:/bin/sh\nvictim:x:65534:65534::/v:/bin/sh\nother:x:65533:65533::/o:/bin/sh\nthird:x:65532:65532::/t:/bin/sh\n# x\n",
		group: "root:x:0:\nvictim:x:65534:\nother:x:65533:\nshared:x:65500:victim,other\nprimary:x:65532:\n" +
			"mine:x:65498:victim,root\nstranger:x:65497:victim,fromldap\nsetgid:x:65496:\ntwice:x:65495:victim\ntwin:x:65495:other\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return identity{uid: uid, gid: uid, groups: func() []int { return nil }, passwd: passwd, group: group}
}

func TestPrivate_isAGroupWithoutStrangers(t *testing.T) {
	if runtime.GOOS == "darwin" {
		t.Skip("macOS does not list its users in /etc/passwd: no group is private there")
	}
	id := accounts(t, victim)
	for _, tt := range []struct {
		uid, gid uint32
		want     bool
	}{
		{victim, victim, true},
		{0, 0, true},
		{victim, 65498, true}, // root and the owner are its members
		{victim, shared, false},
		{0, shared, false},
		{victim, other, false}, // the primary group of another user
		{victim, 65532, false}, // the same; the line in group lists nobody
		{0, 65532, false},
		{victim, unsaid, false},
		{victim, 65497, false}, // a member whom passwd does not know
		{victim, 65496, false}, // without any member: for setgid programs
		{victim, 65495, false}, // one gid by two names
		{0, 65496, false},
	} {
		if got := id.private(&unix.Stat_t{Uid: tt.uid, Gid: tt.gid}); got != tt.want {
			t.Errorf("a file of user %d, group %d: private = %v", tt.uid, tt.gid, got)
		}
	}
	nobody := id
	nobody.passwd += ".none"
	if nobody.private(&unix.Stat_t{Uid: victim, Gid: victim}) {
		t.Error("private without knowing who has the group as primary group")
	}
	// A pod's random user: no name, but the group has one, and nobody else is in it.
	random := id
	random.uid, random.gid = 1000650000, 0
	if !random.private(&unix.Stat_t{Uid: 0, Gid: 0}) || random.private(&unix.Stat_t{Uid: 0, Gid: shared}) {
		t.Error("a user without a name in root's group")
	}
}

// A tree is made under a directory of root's: each entry "path mode uid gid [content]",
// or "path -> target uid".
type entry struct {
	path     string
	mode     fs.FileMode // of a directory with fs.ModeDir
	uid, gid int
	link     string
	hard     string
}

func (e entry) make(t *testing.T, top string) {
	t.Helper()
	path := filepath.Join(top, e.path)
	var err error
	switch {
	case e.link != "":
		err = os.Symlink(strings.ReplaceAll(e.link, "TOP", top), path)
	case e.hard != "":
		err = os.Link(filepath.Join(top, e.hard), path)
	case e.mode.IsDir():
		err = os.Mkdir(path, 0o700)
	default:
		err = os.WriteFile(path, []byte("content"), 0o600)
	}
	if err == nil {
		err = os.Lchown(path, e.uid, e.gid)
	}
	if err == nil && e.link == "" && e.hard == "" {
		err = os.Chmod(path, e.mode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func dir(path string, mode fs.FileMode, uid, gid int) entry {
	return entry{path: path, mode: mode | fs.ModeDir, uid: uid, gid: gid}
}

func file(path string, mode fs.FileMode, uid, gid int) entry {
	return entry{path: path, mode: mode, uid: uid, gid: gid}
}

func link(path, target string, uid int) entry {
	return entry{path: path, link: target, uid: uid, gid: uid}
}

// A volume as the kubelet makes it: AtomicWriter in pkg/volume/util, with fsGroup.
func volume(mode fs.FileMode, gid int) []entry {
	return []entry{
		dir("vol", 0o777|fs.ModeSticky|fs.ModeSetgid, 0, gid),
		dir("vol/..2026_11_30_02_00_00.123", 0o755|fs.ModeSetgid, 0, gid),
		file("vol/..2026_11_30_02_00_00.123/f", mode, 0, gid),
		link("vol/..data", "..2026_11_30_02_00_00.123", 0),
		link("vol/f", "..data/f", 0),
	}
}

var trees = []struct {
	name   string
	as     uint32
	tree   []entry
	path   string
	ours   bool   // passes as Ours
	priv   bool   // passes as Private
	repair string // of Private, with TOP
}{
	{"a home", victim, []entry{dir("v", 0o755, victim, victim), file("v/f", 0o600, victim, victim)}, "v/f", true, true, ""},
	{"a home of umask 002", victim, []entry{dir("v", 0o775, victim, victim), dir("v/c", 0o775, victim, victim), file("v/c/f", 0o664, victim, victim)}, "v/c/f", true, false, "chmod 600 TOP/v/c/f"},
	{"a secret of umask 007", victim, []entry{dir("v", 0o770, victim, victim), file("v/f", 0o660, victim, victim)}, "v/f", true, true, ""},
	{"a group of others", victim, []entry{dir("v", 0o755, victim, victim), file("v/f", 0o660, victim, shared)}, "v/f", false, false, "chmod g-w TOP/v/f"},
	{"a directory for a group of others", victim, []entry{dir("v", 0o755, victim, victim), dir("v/c", 0o775, victim, shared), file("v/c/f", 0o600, victim, victim)}, "v/c/f", false, false, "chmod g-w TOP/v/c"},
	{"two directories up", victim, []entry{dir("v", 0o755, victim, victim), dir("v/c", 0o777, victim, victim), dir("v/c/d", 0o755, victim, victim), file("v/c/d/f", 0o600, victim, victim)}, "v/c/d/f", false, false, "chmod go-w TOP/v/c"},
	{"above the home", victim, []entry{dir("all", 0o777, 0, 0), dir("all/v", 0o755, victim, victim), file("all/v/f", 0o600, victim, victim)}, "all/v/f", true, true, ""},
	{"root's file below everybody's directory", victim, []entry{dir("all", 0o777, 0, 0), dir("all/c", 0o755, 0, 0), file("all/c/f", 0o644, 0, 0)}, "all/c/f", false, false, "chmod go-w TOP/all"},
	{"another's file", victim, []entry{dir("v", 0o755, victim, victim), file("v/f", 0o600, other, other)}, "v/f", false, false, "chown 65534 TOP/v/f"},
	{"another's directory", victim, []entry{dir("o", 0o755, other, other), file("o/f", 0o600, victim, victim)}, "o/f", false, false, "chown 65534 TOP/o"},
	{"another's file, read by root", 0, []entry{dir("o", 0o755, other, other), file("o/f", 0o600, other, other)}, "o/f", false, false, "chown 0 TOP/o"},
	{"root's file", victim, []entry{dir("e", 0o755, 0, 0), file("e/f", 0o644, 0, 0)}, "e/f", true, false, "chmod 600 TOP/e/f"},
	{"everybody's file", victim, []entry{dir("v", 0o755, victim, victim), file("v/f", 0o666, victim, victim)}, "v/f", false, false, "chmod go-w TOP/v/f"},
	{"a group reads it", victim, []entry{dir("v", 0o755, victim, victim), file("v/f", 0o640, victim, shared)}, "v/f", true, false, "chmod 600 TOP/v/f"},

	{"sticky, ours", victim, []entry{dir("t", 0o777|fs.ModeSticky, 0, 0), file("t/f", 0o600, victim, victim)}, "t/f", true, true, ""},
	{"sticky, root's", victim, []entry{dir("t", 0o777|fs.ModeSticky, 0, 0), file("t/f", 0o644, 0, 0)}, "t/f", true, false, "chmod 600 TOP/t/f"},
	{"sticky, another's", victim, []entry{dir("t", 0o777|fs.ModeSticky, 0, 0), file("t/f", 0o644, other, other)}, "t/f", false, false, ""},
	{"sticky of another", victim, []entry{dir("t", 0o777|fs.ModeSticky, other, other), file("t/f", 0o600, victim, victim)}, "t/f", false, false, "chown 65534 TOP/t"},
	{"a hard link planted in a sticky directory", victim, []entry{dir("v", 0o755, victim, victim), file("v/f", 0o600, victim, victim), dir("t", 0o777|fs.ModeSticky, 0, 0), {path: "t/f", hard: "v/f", uid: victim, gid: victim}}, "t/f", false, false, ""},
	{"a hard link in our own directory", victim, []entry{dir("v", 0o755, victim, victim), file("v/f", 0o600, victim, victim), {path: "v/g", hard: "v/f", uid: victim, gid: victim}}, "v/g", true, true, ""},

	{"a link of ours", victim, []entry{dir("v", 0o755, victim, victim), dir("v/dots", 0o755, victim, victim), file("v/dots/f", 0o600, victim, victim), link("v/f", "dots/f", victim)}, "v/f", true, true, ""},
	{"a link out of everybody's directory", victim, []entry{dir("v", 0o755, victim, victim), file("v/f", 0o600, victim, victim), dir("all", 0o777, 0, 0), link("all/f", "../v/f", victim)}, "all/f", false, false, "chmod go-w TOP/all"},
	{"another's link in a sticky directory", victim, []entry{dir("v", 0o755, victim, victim), file("v/f", 0o600, victim, victim), dir("t", 0o777|fs.ModeSticky, 0, 0), link("t/c", "TOP/v", other)}, "t/c/f", false, false, ""},
	{"through everybody's directory and back", victim, []entry{dir("v", 0o755, victim, victim), file("v/f", 0o600, victim, victim), dir("all", 0o777, 0, 0), link("all/l", "TOP/v", victim), link("v/l", "../all/l/f", victim)}, "v/l", false, false, "chmod go-w TOP/all"},
	{"a loop", victim, []entry{dir("v", 0o755, victim, victim), link("v/f", "g", victim), link("v/g", "f", victim)}, "v/f", false, false, ""},

	{"a Secret or ConfigMap", victim, volume(0o644, 0), "vol/f", true, false, ""},
	{"a Secret with defaultMode 0400 and an fsGroup", victim, volume(0o440, unsaid), "vol/f", true, true, ""},
	{"the same for root in the pod", 0, volume(0o440, unsaid), "vol/f", true, true, ""},
	{"a projected token", victim, []entry{dir("vol", 0o777|fs.ModeSticky, 0, 0), dir("vol/..2026", 0o755, 0, 0), file("vol/..2026/f", 0o600, victim, victim), link("vol/..data", "..2026", 0), link("vol/f", "..data/f", 0)}, "vol/f", true, true, ""},
	{"a volume in which another put the link", victim, []entry{dir("vol", 0o777|fs.ModeSticky, 0, 0), dir("vol/..2026", 0o755, 0, 0), file("vol/..2026/f", 0o440, 0, 0), link("vol/..data", "..2026", other), link("vol/f", "..data/f", 0)}, "vol/f", false, false, ""},
	{"a credential of systemd", victim, []entry{dir("credentials", 0o755, 0, 0), dir("credentials/u", 0o550, 0, 0), file("credentials/u/f", 0o440, 0, 0)}, "credentials/u/f", true, true, ""},
	{"root's secret for a group that root is not in", 0, []entry{dir("e", 0o755, 0, 0), file("e/f", 0o640, 0, shared)}, "e/f", true, false, "chmod 600 TOP/e/f"},
	{"our directory on a pod's emptyDir", victim, []entry{dir("empty", 0o777|fs.ModeSetgid, 0, unsaid), dir("empty/t", 0o700, victim, unsaid), file("empty/t/f", 0o600, victim, unsaid)}, "empty/t/f", true, true, ""},
}

// Files of other users and of root are made by root.
func TestTrusted_byOwnerModeAndPlace(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("T2_CRED_E2E") != "" {
			t.Fatal("root alone can give files to other users")
		}
		t.Skip("root alone can give files to other users")
	}
	for _, tt := range trees {
		t.Run(tt.name, func(t *testing.T) {
			top := t.TempDir()
			for _, e := range tt.tree {
				e.make(t, top)
			}
			id := accounts(t, tt.as)
			id.groups = func() []int { return []int{unsaid} }
			for trust, want := range map[Trust]bool{Ours: tt.ours, Private: tt.priv} {
				err := id.read(filepath.Join(top, tt.path), trust)
				if (err == nil) != want || err != nil && !errors.Is(err, ErrNotOurs) && !errors.Is(err, unix.ELOOP) {
					t.Errorf("trust %d: %v", trust, err)
				}
				if d, ok := errors.AsType[*distrust](err); ok && trust == Private {
					got := strings.ReplaceAll(strings.Join(d.Repair(), " "), top, "TOP")
					if got != tt.repair {
						t.Errorf("%v: the repair is %q, want %q", err, got, tt.repair)
					}
				}
			}
		})
	}
}

// read is what Read does, for another reader than this process.
func (id identity) read(path string, trust Trust) error {
	fd, st, err := open(path, Want{Max: 100})
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return id.trusted(path, &st, trust)
}

// Behind the group's bits another user may stand (acl(5)).
func TestTrusted_anAccessList(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the group's bits stand for other users on Linux alone")
	}
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// Version 2; owner rw, user 65533 rw, group none, mask rw, others none: tag, permission, id.
	none := []byte{0xff, 0xff, 0xff, 0xff}
	acl := slices.Concat([]byte{2, 0, 0, 0},
		[]byte{0x01, 0, 6, 0}, none, []byte{0x02, 0, 6, 0}, []byte{0xfd, 0xff, 0, 0},
		[]byte{0x04, 0, 0, 0}, none, []byte{0x10, 0, 6, 0}, none, []byte{0x20, 0, 0, 0}, none)
	if err := setACL(path, acl); err != nil {
		t.Skipf("this file system has no access lists: %v", err)
	}
	_, err := Read(path, Want{Max: 100, Trust: Ours})
	if !errors.Is(err, ErrNotOurs) {
		t.Errorf("user 65533 can write it, and Read = %v", err)
	}
}
