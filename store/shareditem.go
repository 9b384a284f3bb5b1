package store

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
	"github.com/terradue/t2-cred/store/backend"
)

// itemVersion is that of an account's item in a shared store.
const itemVersion = 1

// maxSkew is how far the clock of the machine that got a token may be ahead of ours.
const maxSkew = time.Minute

// An item is what a shared store keeps of one account: the record, the access token, the
// claim and the doubt. They are one item, so that one check-and-set changes them together.
type item struct {
	V      int    `json:"v"`
	Record string `json:"record,omitempty"` // as other stores keep it; empty when there is none
	Token  string `json:"token,omitempty"`
	Claim  *claim `json:"claim,omitempty"`
	Doubt  *doubt `json:"doubt,omitempty"`
	// Listed is when the list of the engine was last told of the record.
	Listed time.Time `json:"listed,omitzero"`
}

// A claim says who may change the item, and send its refresh token.
type claim struct {
	ID      string    `json:"id"`    // of the one call that made it
	Node    string    `json:"node"`  // the machine's name, for people
	Owner   string    `json:"owner"` // the state directory, as this machine knows it since it started
	PID     int       `json:"pid"`
	Seconds int       `json:"life"`
	Since   time.Time `json:"since"`            // by the clock of that machine, for people
	Spends  bool      `json:"spends,omitempty"` // the refresh token may be sent under it
}

func (c *claim) life() time.Duration { return time.Duration(c.Seconds) * time.Second }

// A doubt says that the refresh token may have been sent, and that nobody has stored
// what came of it. It stays until a save, or until a person clears it.
type doubt struct {
	Node  string    `json:"node"`
	Owner string    `json:"owner"`
	Since time.Time `json:"since"` // when the claim was made
	Found time.Time `json:"found"` // when it was written down, by the engine's clock
	// Lost says that no machine can have the answer.
	Lost bool `json:"lost,omitempty"`
}

func (i item) encode() secret.Secret {
	i.V = itemVersion
	return asciiJSON(i)
}

// decodeItem is encode's inverse; its error wraps ErrCorrupt.
func decodeItem(value secret.Secret) (i item, err error) {
	err = decodeJSON("the item", value, &i, &i.V, itemVersion)
	return i, err
}

// token is the item's access token, if it is of that grant and still good.
func (i item) token(grant string, now time.Time) Token {
	of, t, err := decodeToken(secret.Secret(i.Token))
	if err != nil || of != grant || t.AccessToken == "" || expired(t, now) || t.Obtained.After(now.Add(maxSkew)) {
		return Token{}
	}
	return t
}

// Shared reports whether several machines use this store.
func (s *Store) Shared() bool { return s.shared() }

func (s *Store) shared() bool { return s.sharer != nil }

// loadItem loads an account's item. An item with a claim alone is ErrNotFound; the item
// and the revision are good beside it.
func (s *Store) loadItem(ctx context.Context, k Key) (item, backend.Revision, error) {
	value, rev, err := s.backend.Load(ctx, k.item(kindGrant))
	return itemOf(value, rev, err)
}

// itemOf is what a Load gave of an account's item.
func itemOf(value secret.Secret, rev backend.Revision, err error) (item, backend.Revision, error) {
	if err != nil {
		return item{}, rev, err
	}
	i, err := decodeItem(value)
	if err == nil && i.Record == "" {
		err = backend.NotFound()
	}
	return i, rev, err
}

// doubtOf is a doubt as a Spender finds it.
func (s *Store) doubtOf(d *doubt) *Doubt {
	if d == nil {
		return nil
	}
	return &Doubt{Since: d.Since, Age: s.engineTime().Sub(d.Found), Node: d.Node, Elsewhere: d.Owner != s.owner(), Lost: d.Lost, Ask: s.terms.Ask}
}

// newDoubt is what a claim without an outcome leaves.
func (s *Store) newDoubt(c *claim) *doubt {
	return &doubt{Node: c.Node, Owner: c.Owner, Since: c.Since, Found: atRest(s.engineTime())}
}

// engineTime is the time by the engine's clock, which all machines see. One of them may
// have a wrong clock.
func (s *Store) engineTime() time.Time {
	if at := s.sharer.Clock(); !at.IsZero() {
		return at
	}
	return s.opt.Now()
}

// About what is kept beside an item for a list: the note of its record, in parts that an
// engine takes.
const (
	aboutPart  = 500 // bytes
	aboutParts = 60
)

// aboutJSON is the note of an account as a list of the engine shows it.
type aboutJSON struct {
	Profile string `json:"profile"`
	Account string `json:"account"`
	noteJSON
	InDoubt *doubt `json:"doubt,omitempty"`
}

// about cuts a note into parts; nil for one that is too long.
func about(n Note, d *doubt) map[string]string {
	text := asciiJSON(aboutJSON{n.Key.Profile, n.Key.Account, noteJSON{
		Backend: n.Backend, GrantInfo: n.atRest(), Refreshed: atRest(n.Refreshed), TokenExpiry: atRest(n.TokenExpiry),
	}, d}).Reveal() // a note has no secret
	parts := map[string]string{}
	for n := 0; text != ""; n++ {
		size := min(aboutPart, len(text))
		parts["t2-cred-"+string(rune('A'+n/10))+string(rune('0'+n%10))], text = text[:size], text[size:]
		if n >= aboutParts {
			return nil
		}
	}
	return parts
}

// fromAbout is about's inverse.
func fromAbout(parts map[string]string) (n Note, d *doubt, ok bool) {
	var text strings.Builder
	for i := range aboutParts {
		text.WriteString(parts["t2-cred-"+string(rune('A'+i/10))+string(rune('0'+i%10))])
	}
	var j aboutJSON
	if json.Unmarshal([]byte(text.String()), &j) != nil || j.Grant == "" {
		return n, nil, false
	}
	n = Note{Key: Key{j.Profile, j.Account}, Backend: j.Backend, GrantInfo: j.GrantInfo, Refreshed: j.Refreshed, TokenExpiry: j.TokenExpiry}
	return n, j.InDoubt, n.Key.Validate() == nil
}
