package store

import (
	"encoding/json"
	"errors"
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
	// place is what a cached get needs of a note, read for a third of the price.
	place(k Key) (grant, place string, err error)
	put(n note) error
	remove(k Key) error
	all() ([]note, error)
}

// noteJSON is a note's file.
type noteJSON struct {
	V             int      `json:"v"`
	Profile       string   `json:"profile"`
	Account       string   `json:"account"`
	Backend       string   `json:"store"`
	Grant         string   `json:"grant"`
	Issuer        string   `json:"issuer"`
	ClientID      string   `json:"client_id"`
	Subject       string   `json:"sub,omitempty"`
	Username      string   `json:"username,omitempty"`
	Scopes        []string `json:"scopes,omitempty"`
	Offline       bool     `json:"offline,omitempty"`
	Created       stamp    `json:"created,omitzero"`
	Refreshed     stamp    `json:"refreshed,omitzero"`
	RefreshExpiry stamp    `json:"refresh_expiry,omitzero"`
	TokenExpiry   stamp    `json:"token_expiry,omitzero"`
	Dead          string   `json:"dead,omitempty"`
	DeadAt        stamp    `json:"dead_at,omitzero"`
	Place         string   `json:"token_in,omitempty"`
}

// dirNotes keeps one small file an account, so that reading one costs the same
// with one account and with ten thousand.
type dirNotes struct{ dir string }

func (d dirNotes) path(k Key) string {
	return filepath.Join(d.dir, itemName("note", k.Profile, k.Account)+".json")
}

func (d dirNotes) get(k Key) (note, error) {
	n, err := readNote(d.path(k))
	if err == nil && n.Key != k {
		err = fs.ErrNotExist
	}
	return n, err
}

func (d dirNotes) place(k Key) (grant, place string, err error) {
	raw, err := os.ReadFile(d.path(k))
	if err != nil {
		return "", "", err
	}
	var j struct {
		V       int    `json:"v"`
		Profile string `json:"profile"`
		Account string `json:"account"`
		Grant   string `json:"grant"`
		Place   string `json:"token_in"`
	}
	if json.Unmarshal(raw, &j) != nil || j.V != codecVersion || j.Grant == "" || (Key{j.Profile, j.Account}) != k {
		return "", "", fs.ErrNotExist
	}
	return j.Grant, j.Place, nil
}

func readNote(path string) (note, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return note{}, err
	}
	var j noteJSON
	if json.Unmarshal(raw, &j) != nil || j.V != codecVersion || j.Grant == "" {
		return note{}, fs.ErrNotExist
	}
	return note{Note: Note{
		Key: Key{j.Profile, j.Account}, Backend: j.Backend, Grant: j.Grant,
		Issuer: j.Issuer, ClientID: j.ClientID, Subject: j.Subject, Username: j.Username,
		Scopes: j.Scopes, Offline: j.Offline, Created: j.Created.Time, Refreshed: j.Refreshed.Time,
		RefreshExpiry: j.RefreshExpiry.Time, TokenExpiry: j.TokenExpiry.Time,
		Dead: j.Dead, DeadAt: j.DeadAt.Time,
	}, place: j.Place}, nil
}

func (d dirNotes) put(n note) error {
	raw, err := json.Marshal(noteJSON{
		V: codecVersion, Profile: n.Key.Profile, Account: n.Key.Account, Backend: n.Backend,
		Grant: n.Grant, Issuer: n.Issuer, ClientID: n.ClientID, Subject: n.Subject,
		Username: n.Username, Scopes: n.Scopes, Offline: n.Offline, Created: at(n.Created),
		Refreshed: at(n.Refreshed), RefreshExpiry: at(n.RefreshExpiry),
		TokenExpiry: at(n.TokenExpiry), Dead: n.Dead, DeadAt: at(n.DeadAt), Place: n.place,
	})
	if err != nil {
		return err
	}
	return writeFile(d.path(n.Key), append(raw, '\n'), false)
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
		if !strings.HasSuffix(e.Name(), ".json") {
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
