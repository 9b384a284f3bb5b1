package store

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// aCall is one call of a process that changes files.
type aCall struct {
	name, path, to, data string
	create, truncate     bool
}

var (
	callLine  = regexp.MustCompile(`^(\w+)\((.*)\) += (-?\d+)`)
	callWords = regexp.MustCompile(`["<]((?:\\x[0-9a-f]{2})*)[">]`)
)

// callsIn reads what strace -ff -y -xx wrote of the thread that said "kept", as far
// as it is about files below dir.
func callsIn(t *testing.T, log, dir string) (calls []aCall) {
	t.Helper()
	threads, err := filepath.Glob(log + ".*")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if err != nil {
			t.Fatal(err)
		}
		var of []aCall
		said := false
		for line := range strings.Lines(string(text)) {
			if call, ok := callIn(line); ok && (strings.HasPrefix(call.path, dir+"/") || call.data == "kept\n") {
				of = append(of, call)
				said = said || call.data == "kept\n"
			}
		}
		if said {
			calls = of
		} else if len(of) > 0 {
			t.Fatalf("another thread has changed files too: %+v", of)
		}
	}
	return calls
}

func callIn(line string) (aCall, bool) {
	m := callLine.FindStringSubmatch(line)
	if m == nil || strings.HasPrefix(m[3], "-") {
		return aCall{}, false
	}
	c := aCall{name: m[1], create: strings.Contains(m[2], "O_CREAT"), truncate: strings.Contains(m[2], "O_TRUNC")}
	var named, fds []string // "…" and <…>
	for _, w := range callWords.FindAllStringSubmatch(m[2], -1) {
		text, err := strconv.Unquote(`"` + w[1] + `"`)
		if err != nil {
			return aCall{}, false
		}
		if w[0][0] == '"' {
			named = append(named, text)
		} else {
			fds = append(fds, text)
		}
	}
	switch {
	case strings.Contains(c.name, "write") && len(fds) > 0 && len(named) > 0:
		c.path, c.data = fds[0], named[0]
	case len(named) > 1:
		c.path, c.to = named[0], named[1]
	case len(named) > 0:
		c.path = named[0]
	case len(fds) > 0:
		c.path = fds[0]
	}
	return c, true
}

// A disk is a file system of which it is known what a power cut may take: the
// content of a file until that is synced, and each change of a directory until that
// is. That is more than ext4, XFS and btrfs take, which keep some order.
type disk struct {
	now     map[string]*inode
	durable map[string]*inode
	pending []change
}

type inode struct{ content, synced string }

// A change is a file that came, went, or (both) was renamed.
type change struct {
	gone, come string
	file       *inode
}

func newDisk(files map[string]string) *disk {
	d := &disk{now: map[string]*inode{}}
	for path, content := range files {
		d.now[path] = &inode{content, content}
	}
	d.durable = maps.Clone(d.now)
	return d
}

func (d *disk) play(c aCall) error {
	f := d.now[c.path]
	switch c.name {
	case "close", "fchmod", "fchmodat":
		return nil
	case "openat":
		switch {
		case f == nil && c.create:
			d.change(change{come: c.path, file: &inode{}})
		case f != nil && c.truncate:
			f.content = ""
		}
		return nil
	case "fsync", "fdatasync":
		if f != nil {
			f.synced = f.content
			return nil
		}
		d.pending = slices.DeleteFunc(d.pending, func(p change) bool {
			synced := p.dir() == c.path
			if synced {
				p.apply(d.durable)
			}
			return synced
		})
		return nil
	}
	if f == nil {
		return errors.New("there is no such file")
	}
	switch c.name {
	case "write":
		f.content += c.data
	case "ftruncate": // of a new temporary file
		f.content = ""
	case "rename", "renameat", "renameat2":
		if filepath.Dir(c.path) != filepath.Dir(c.to) {
			return fmt.Errorf("renamed into another directory: %s", c.to)
		}
		d.change(change{gone: c.path, come: c.to, file: f})
	case "unlink", "unlinkat":
		d.change(change{gone: c.path})
	default:
		return errors.New("this test does not know the call")
	}
	return nil
}

func (d *disk) change(c change) {
	c.apply(d.now)
	d.pending = append(d.pending, c)
}

func (c change) dir() string {
	if c.come != "" {
		return filepath.Dir(c.come)
	}
	return filepath.Dir(c.gone)
}

func (c change) apply(to map[string]*inode) {
	delete(to, c.gone)
	if c.come != "" {
		to[c.come] = c.file
	}
}

// cuts are what may be on the disk if the power goes now: path → content. Of the
// changes of directories it has all up to one, all but one, or one alone.
func (d *disk) cuts() (states []map[string]string) {
	var choices []func(i int) bool
	for n := range len(d.pending) + 1 {
		choices = append(choices,
			func(i int) bool { return i < n },
			func(i int) bool { return i != n },
			func(i int) bool { return i == n })
	}
	for _, chosen := range choices {
		entries := maps.Clone(d.durable)
		for i, c := range d.pending {
			if chosen(i) {
				c.apply(entries)
			}
		}
		for _, left := range []func(f *inode) string{
			func(f *inode) string { return f.content },
			func(f *inode) string { return f.synced },
			func(f *inode) string { return f.content[:len(f.content)/2] },
			func(f *inode) string { return strings.Repeat("\x00", len(f.content)) },
		} {
			files := map[string]string{}
			for path, f := range entries {
				files[path] = f.content
				if f.content != f.synced {
					files[path] = left(f)
				}
			}
			states = append(states, files)
		}
	}
	return states
}
