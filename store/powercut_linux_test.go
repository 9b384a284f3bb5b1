package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The calls of a save that change what is there, or make it last.
const savingCalls = "openat,write,pwrite64,fsync,fdatasync,fchmod,fchmodat,ftruncate,?rename,renameat,renameat2,linkat,?unlink,unlinkat,?mkdir,mkdirat,close"

// aCut is a store that is looked at after each way in which a save can end.
type aCut struct {
	t      *testing.T
	o      Options
	dir    string            // of all that the store writes
	before map[string]string // path → content
	seen   map[[32]byte]bool
	old    int // how often the old record was there
	new    int
}

func newCut(t *testing.T) *aCut {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		if os.Getenv("T2_CRED_E2E") == "1" {
			t.Fatal("strace is missing: run e2e/setup.sh keyring")
		}
		t.Skip("strace is not installed")
	}
	o := fileOptions(t)
	put(t, open(t, o), alice, sampleRecord("g1"))
	c := &aCut{t: t, o: o, dir: filepath.Dir(o.StateDir), before: map[string]string{}, seen: map[[32]byte]bool{}}
	err := filepath.WalkDir(c.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			var b []byte
			b, err = os.ReadFile(path)
			c.before[path] = string(b)
		}
		return err
	})
	if err != nil || len(c.before) < 3 {
		t.Fatalf("%d files, %v", len(c.before), err)
	}
	return c
}

// restore makes the directory what these files say.
func (c *aCut) restore(files map[string]string) {
	c.t.Helper()
	for _, d := range []string{c.o.StateDir, c.o.DataDir, c.o.RuntimeDir} {
		if err := os.RemoveAll(d); err != nil {
			c.t.Fatal(err)
		}
	}
	for path, content := range files {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			c.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
}

// strace runs one replacement under strace.
func (c *aCut) strace(args ...string) error {
	k := childOf(c.o, alice)
	cmd := child(c.t, "replace", k)
	cmd.Args = slices.Concat([]string{"strace", "-f", "-qq", "-e", "signal=none"}, args, []string{cmd.Path})
	cmd.Path, _ = exec.LookPath("strace")
	return cmd.Run()
}

// look wants the old or the new record whole, a token of the same or none, and a
// store that goes on; and only the new one once it was said to be kept.
func (c *aCut) look(when string, kept bool) {
	c.t.Helper()
	s := open(c.t, c.o)
	rec, err := s.Load(context.Background(), alice)
	if err != nil {
		c.t.Errorf("%s: %v", when, err)
		return
	}
	want, token := sampleRecord("g1"), "first"
	if rec.Grant == "g2" {
		want, token = secondRecord(), "second"
		c.new++
	} else {
		c.old++
		if kept {
			c.t.Errorf("%s: the old record is back", when)
		}
	}
	if encodeRecord(alice, rec) != encodeRecord(alice, want) {
		c.t.Errorf("%s: neither the old record nor the new one: %+v", when, rec)
	}
	if got := rec.Token.AccessToken.Reveal(); got != "" && got != token {
		c.t.Errorf("%s: the record of %s comes with the token %q", when, rec.Grant, got)
	}
	after := sampleRecord("g3")
	if _, err := s.Update(context.Background(), alice, func(Record) (Record, error) { return after, nil }); err != nil {
		c.t.Errorf("%s: the next save: %v", when, err)
	} else if rec, err := s.Load(context.Background(), alice); err != nil || rec.Grant != "g3" || rec.Token.AccessToken != "first" {
		c.t.Errorf("%s: after the next save: %+v, %v", when, rec, err)
	}
}

// TestFile_killedAtEachCall kills a process before each of the calls that it saves
// with, by strace: before the first openat, the second, and so on until there is
// none left to be killed at, then the same with the next call.
func TestFile_killedAtEachCall(t *testing.T) {
	c := newCut(t)
	killed := 0
	for _, call := range strings.Split(savingCalls, ",") {
		for n, alive := 1, false; !alive; n++ {
			c.restore(c.before)
			err := c.strace("-o", os.DevNull, "-e", "trace="+savingCalls, "-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", call, n))
			if alive = err == nil; !alive {
				killed++
			}
			c.look(fmt.Sprintf("killed at %s %d", call, n), alive)
			if n > 200 || t.Failed() {
				t.Fatalf("no end after %d kills: %v", killed, err)
			}
		}
	}
	t.Logf("killed %d times: the old record was there %d times, the new one %d times", killed, c.old, c.new)
	if killed < 20 || c.old < 5 || c.new < 5 {
		t.Error("the kills were not in the save: this shows nothing")
	}
}

// TestFile_powerCut writes down what a save does and plays it on a disk that may
// lose, when the power goes, whatever was not yet synced: of files the content, of
// directories any of the changes. A cut comes after each call.
func TestFile_powerCut(t *testing.T) {
	c := newCut(t)
	log := filepath.Join(t.TempDir(), "log")
	if err := c.strace("-ff", "-y", "-xx", "-s", "1000000", "-o", log, "-e", "trace="+savingCalls); err != nil {
		t.Fatal(err)
	}
	calls := callsIn(t, log, c.dir)
	d := newDisk(c.before)
	kept := false
	for n, call := range calls {
		if call.name == "write" && call.data == "kept\n" {
			kept = true
		} else if err := d.play(call); err != nil {
			t.Fatalf("call %d: %s %s: %v", n, call.name, call.path, err)
		}
		for _, files := range d.cuts() {
			sum := sha256.Sum256(fmt.Appendf(nil, "%t %q", kept, files)) // maps are printed in order
			if !c.seen[sum] {
				c.seen[sum] = true
				c.restore(files)
				c.look(fmt.Sprintf("cut after call %d, %s %s", n, call.name, filepath.Base(call.path)), kept)
			}
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	t.Logf("%d calls, %d different states: the old record %d times, the new one %d times", len(calls), len(c.seen), c.old, c.new)
	if !kept || c.old < 5 || c.new < 5 {
		t.Error("the calls were not those of a save: this shows nothing")
	}
}
