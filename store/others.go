package store

import (
	"os"
	"path/filepath"
	"strings"
)

// OtherAccounts counts the accounts of other configurations that have a note in the state
// directory. The names at rest have a hash of both paths, so a home that was moved is another
// configuration. What cannot be read is not counted.
func (s *Store) OtherAccounts() (n int) {
	for _, dir := range s.otherNotes() {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), noteSuffix) {
				n++
			}
		}
	}
	return n
}

// HasOther reports whether another configuration has a note of the account in the state
// directory. If it is one of the configurations that are given, its path is returned.
func (s *Store) HasOther(k Key, configs ...string) (path string, found bool) {
	for _, dir := range s.otherNotes() {
		if _, err := (dirNotes{dir: dir}).get(k); err != nil {
			continue
		}
		found = true
		for _, config := range configs {
			if filepath.Base(filepath.Dir(dir)) == namespace(Options{StateDir: s.opt.StateDir, Config: config}) {
				return config, true
			}
		}
	}
	return "", found
}

// otherNotes are the directories of the notes of other configurations.
func (s *Store) otherNotes() (dirs []string) {
	entries, _ := os.ReadDir(s.opt.StateDir)
	for _, e := range entries {
		if e.Name() == s.ns || len(e.Name()) != hashLen || !e.IsDir() {
			continue
		}
		notes, _ := os.ReadDir(filepath.Join(s.opt.StateDir, e.Name()))
		for _, n := range notes {
			if strings.HasPrefix(n.Name(), "notes-") {
				dirs = append(dirs, filepath.Join(s.opt.StateDir, e.Name(), n.Name()))
			}
		}
	}
	return dirs
}
