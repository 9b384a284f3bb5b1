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
	"time"

	"github.com/terradue/t2-cred/helper/safefile"
	"github.com/terradue/t2-cred/store/backend"
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

// matches says whether n is a note of this record as it is.
func (n note) matches(r Record) bool {
	return n.Grant == r.Grant && n.RevokedBy == r.RevokedBy && n.Issuer == r.Issuer && n.ClientID == r.ClientID
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
	n = note{Note: Note{Key: Key{w[3], w[4]}}, place: w[2]}
	n.Grant = w[1]
	return n, rest, nil
}

// noteJSON is what follows.
type noteJSON struct {
	Backend string `json:"store"`
	GrantInfo
	Refreshed   time.Time `json:"refreshed,omitzero"`
	TokenExpiry time.Time `json:"token_expiry,omitzero"`
}

// maxNote bounds what is read of a note, in bytes.
const maxNote = backend.MaxValue

// readNoteFile reads a note. One that another user can change says nothing: a note
// decides where the token is looked for, and which of two records is the newer.
func readNoteFile(path string) ([]byte, error) {
	return safefile.Read(path, safefile.Want{Max: maxNote, Trust: safefile.Ours})
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
	raw, err := readNoteFile(d.path(k))
	if err != nil {
		return "", "", err
	}
	n, _, err := readHead(raw)
	if err == nil && n.Key != k {
		err = fs.ErrNotExist
	}
	return n.Grant, n.place, err
}

// stat is of the account's note; nil when it has none.
func (d dirNotes) stat(k Key) os.FileInfo {
	info, err := os.Stat(d.path(k))
	if err != nil {
		return nil
	}
	return info
}

// sameNote reports whether a note was not written in between.
func sameNote(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == b
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime())
}

func readNote(path string) (note, error) {
	raw, err := readNoteFile(path)
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
	j.Grant = n.Grant
	n.Note = Note{Key: n.Key, Backend: j.Backend, GrantInfo: j.GrantInfo, Refreshed: j.Refreshed, TokenExpiry: j.TokenExpiry}
	return n, nil
}

func (d dirNotes) put(n note) error {
	raw, err := json.Marshal(noteJSON{
		Backend: n.Backend, GrantInfo: n.atRest(), Refreshed: atRest(n.Refreshed), TokenExpiry: atRest(n.TokenExpiry),
	})
	if err != nil {
		return err
	}
	if err := safefile.MakeDir(d.dir); err != nil {
		return err
	}
	return safefile.Replace(d.path(n.Key), fmt.Appendf(nil, "%s\n%s\n", n.head(), raw), safefile.Write{})
}

func (d dirNotes) remove(k Key) error { return safefile.Remove(d.path(k), false) }

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
