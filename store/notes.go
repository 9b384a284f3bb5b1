package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Where a cached access token lies; kept in the note, so that a token in one
// place is never shadowed by an older one in the other.
const (
	placeNone   = ""
	placeKernel = "kernel"
	placeItem   = "item"
)

// note is a Note with what only this package needs to know.
type note struct {
	Note
	place string // of the cached token
}

// tells says whether n is a note of this record as it is.
func (n note) tells(r Record) bool { return n.Grant == r.Grant && n.Dead == r.Dead }

// noteShelf holds the notes of one namespace and backend. get's error is
// fs.ErrNotExist for a missing note; one that cannot be read counts as missing,
// since it can be made anew.
type noteShelf interface {
	get(k Key) (note, error)
	// place is what a cached get needs of a note, read from its head alone.
	place(k Key) (grant, place string, err error)
	put(n note) error
	remove(k Key) error
	all() ([]note, error)
}

// A note's file is a line of words, all that a cached get reads, and the rest of it
// in JSON.
const noteVersion = "note2"

func (n note) head() string {
	return words(noteVersion, n.Grant, n.place, n.Key.Profile, n.Key.Account)
}

// readHead reads the first line; fs.ErrNotExist when it is none of ours.
func readHead(raw []byte) (n note, rest []byte, err error) {
	line, rest, _ := bytes.Cut(raw, []byte("\n"))
	w := readWords(string(line), noteVersion, 5)
	if w == nil || w[1] == "" {
		return note{}, nil, fs.ErrNotExist
	}
	return note{Note: Note{Grant: w[1], Key: Key{w[3], w[4]}}, place: w[2]}, rest, nil
}

// noteJSON is what follows.
type noteJSON struct {
	Backend       string   `json:"store"`
	Issuer        string   `json:"issuer"`
	ClientID      string   `json:"client_id"`
	Subject       string   `json:"sub,omitempty"`
	Username      string   `json:"username,omitempty"`
	Scopes        []string `json:"scopes,omitempty"`
	Offline       bool     `json:"offline,omitempty"`
	Session       string   `json:"session,omitempty"`
	Created       stamp    `json:"created,omitzero"`
	Refreshed     stamp    `json:"refreshed,omitzero"`
	RefreshExpiry stamp    `json:"refresh_expiry,omitzero"`
	TokenExpiry   stamp    `json:"token_expiry,omitzero"`
	Dead          string   `json:"dead,omitempty"`
	DeadAt        stamp    `json:"dead_at,omitzero"`
}

// dirNotes keeps one small file an account, so that reading one costs the same
// with one account and with ten thousand.
type dirNotes struct{ dir string }

func (d dirNotes) path(k Key) string {
	return filepath.Join(d.dir, itemName("note", k.Profile, k.Account)+noteSuffix)
}

const noteSuffix = ".note"

func (d dirNotes) get(k Key) (note, error) {
	n, err := readNote(d.path(k))
	if err == nil && n.Key != k {
		err = fs.ErrNotExist
	}
	return n, err
}

func (d dirNotes) place(k Key) (grant, place string, err error) {
	raw, err := ReadFile(d.path(k))
	if err != nil {
		return "", "", err
	}
	n, _, err := readHead(raw)
	if err == nil && n.Key != k {
		err = fs.ErrNotExist
	}
	return n.Grant, n.place, err
}

func readNote(path string) (note, error) {
	raw, err := ReadFile(path)
	if err != nil {
		return note{}, err
	}
	n, rest, err := readHead(raw)
	if err != nil {
		return note{}, err
	}
	var j noteJSON
	if json.Unmarshal(rest, &j) != nil {
		return note{}, fs.ErrNotExist
	}
	n.Note = Note{
		Key: n.Key, Grant: n.Grant, Backend: j.Backend,
		Issuer: j.Issuer, ClientID: j.ClientID, Subject: j.Subject, Username: j.Username,
		Scopes: j.Scopes, Offline: j.Offline, Session: j.Session, Created: j.Created.Time, Refreshed: j.Refreshed.Time,
		RefreshExpiry: j.RefreshExpiry.Time, TokenExpiry: j.TokenExpiry.Time,
		Dead: j.Dead, DeadAt: j.DeadAt.Time,
	}
	return n, nil
}

func (d dirNotes) put(n note) error {
	raw, err := json.Marshal(noteJSON{
		Backend: n.Backend, Issuer: n.Issuer, ClientID: n.ClientID, Subject: n.Subject,
		Username: n.Username, Scopes: n.Scopes, Offline: n.Offline, Session: n.Session, Created: at(n.Created),
		Refreshed: at(n.Refreshed), RefreshExpiry: at(n.RefreshExpiry),
		TokenExpiry: at(n.TokenExpiry), Dead: n.Dead, DeadAt: at(n.DeadAt),
	})
	if err != nil {
		return err
	}
	return writeFile(d.path(n.Key), fmt.Appendf(nil, "%s\n%s\n", n.head(), raw), false)
}

func (d dirNotes) remove(k Key) error { return removeFile(d.path(k), false) }

func (d dirNotes) all() ([]note, error) {
	entries, err := os.ReadDir(d.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	notes := make([]note, 0, len(entries))
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), noteSuffix) {
			continue
		}
		if n, err := readNote(filepath.Join(d.dir, e.Name())); err == nil {
			notes = append(notes, n)
		}
	}
	return notes, nil
}

// memoryNotes keeps the notes of who keeps nothing.
type memoryNotes struct{ m sync.Map }

func (m *memoryNotes) get(k Key) (note, error) {
	if v, ok := m.m.Load(k); ok {
		return v.(note), nil
	}
	return note{}, fs.ErrNotExist
}

func (m *memoryNotes) place(k Key) (grant, place string, err error) {
	n, err := m.get(k)
	return n.Grant, n.place, err
}

func (m *memoryNotes) put(n note) error { m.m.Store(n.Key, n); return nil }

func (m *memoryNotes) remove(k Key) error { m.m.Delete(k); return nil }

func (m *memoryNotes) all() ([]note, error) {
	var notes []note
	m.m.Range(func(_, v any) bool { notes = append(notes, v.(note)); return true })
	return notes, nil
}
